"""The program, with every request to the cloud counted: python -m tests.openstack.counted FILE ARGUMENTS…

FILE becomes {"nova": 12, …} when the program ends. What is counted are HTTP requests, those that are tried again too.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from requests.sessions import Session

from cloud import cli
from tests.openstack.lab.connections import PORTS

_NAMES = {port: name for name, port in PORTS.items()}


def main() -> int:
    """Run the program in this process."""
    counts: Counter[str] = Counter()
    send = Session.send

    def counted(self: Session, request: Any, **how: Any) -> Any:
        counts[_NAMES.get(urlsplit(request.url).port or 0, "elsewhere")] += 1
        return send(self, request, **how)

    Session.send = counted  # type: ignore[method-assign]
    try:
        return cli.run(sys.argv[2:])
    finally:
        Path(sys.argv[1]).write_text(json.dumps(counts))


if __name__ == "__main__":
    sys.exit(main())
