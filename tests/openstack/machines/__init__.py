"""Machines for a cloud whose Nova boots none: every server's own user data runs in namespaces, as that server.

    watch.py     Nova's servers -> machines that start, end, come back        asks.py      what is asked as admin
    cluster.py   one Neutron network: a lab of cloud/rehearse, plugged while it runs
    machine.py   one server's process            boot.py     what runs in it: paths, sshd, user data
    metadata.py  169.254.169.254 -> Nova's own   gateway.py  the way out: to the cloud, and to the world
    floating.py  the master's floating IP        namespaces.py   where the cloud is, and where the world
    played.py    only the master's signals, for stacks that are too large for real programs

What is not real: a machine's kernel, image and console (its log is a file here), Neutron's routing and firewall
(its rules are read from Neutron, and hold, by nftables).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.openstack.machines.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.openstack.machines.watch import Watch

__all__ = ["Place", "machines"]


@contextmanager
def machines(
    admin: object, project_id: str, place: Place, repositories: Mapping[str, Path]
) -> Iterator[Watch]:
    """Run the project's servers until the block ends; then none is left.

    `admin` is an openstack.connection.Connection that may see every project; `repositories` are directories
    with git repositories by the https address for which they stand. A failure of the watching itself is raised
    at the end.
    """
    from tests.openstack.machines.watch import Watch

    watch = Watch(admin, project_id, place, repositories)
    watch.start()
    try:
        yield watch
    finally:
        watch.close()
