"""`python3 -m tests.horizon COMMAND…`: run a command in the OpenStack lab, with Horizon and a browser installed before."""

from __future__ import annotations

import sys

from tests.horizon import served
from tests.openstack.lab import __main__ as lab
from tests.openstack.lab import place


def main(words: list[str]) -> int:
    """Install, and let the lab run the command; where there can be no lab the command learns why and runs outside."""
    try:
        if not place.obstacle():
            served.install()
    except place.CannotRun as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return lab.main(["run", "--", *words])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
