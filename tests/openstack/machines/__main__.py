"""Machines for a project until a signal: python -m tests.openstack.machines --help. As root."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
from pathlib import Path

from tests.openstack.machines import Place, machines


def main() -> int:
    """Watch one project of one lab; OS_* are an admin's."""
    import openstack

    known = argparse.ArgumentParser(prog="python -m tests.openstack.machines", description=__doc__)
    known.add_argument("project", help="its id")
    known.add_argument("--namespace", default="/run/netns/hotrun-lab", type=Path)
    known.add_argument("--api", default="198.51.100.1", help="where the public endpoints are")
    known.add_argument("--secret", required=True, type=Path, help="a file with the metadata proxy's secret")
    known.add_argument("--directory", type=Path, help="for roots and logs; a new one if not given")
    known.add_argument("--repository", action="append", default=[], metavar="ADDRESS=DIRECTORY")
    given = known.parse_args()
    directory = given.directory or Path(tempfile.mkdtemp(prefix="hotrun-"))
    place = Place(
        namespace=given.namespace, api=given.api, directory=directory,
        warm=directory / "warm",
        secret=given.secret.read_text().strip(),
    )  # fmt: skip
    repositories = {each.rpartition("=")[0]: Path(each.rpartition("=")[2]) for each in given.repository}
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    admin = openstack.connect()
    with machines(admin, given.project, place, repositories) as watch:
        print(f"machines of project {given.project}: {place.logs}", flush=True)
        while not ended.wait(1) and watch.failure is None:
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
