"""One command line on N machines at the same time, each a process group of this one. Standard library only.

    python tests/prove/machines.py COUNT ANSWER LINE

LINE is a line of bash with $I for the machine's number. ANSWER gets {"codes": […], "last": […]}, by machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

DEADLINE_S = 150


def main() -> int:
    """Run them all; the first exit code that is not 0, else 0."""
    count, answer, line = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    machines = [
        subprocess.Popen(
            ["timeout", str(DEADLINE_S), "bash", "-c", line], env={**os.environ, "I": str(number)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for number in range(count)
    ]  # fmt: skip
    texts = [machine.communicate()[0] for machine in machines]
    codes = [machine.returncode for machine in machines]
    print("\n".join(texts), file=sys.stderr)
    lines = [[line for line in text.splitlines() if line.strip()] for text in texts]
    last = [kept[-1].strip() if kept else "" for kept in lines]
    answer.write_text(json.dumps({"codes": codes, "last": last}))
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main())
