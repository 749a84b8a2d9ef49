"""`python3 -m node JOB_FILE`, started by the boot text in the directory that holds `node/`."""

from __future__ import annotations

import sys

from .program import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
