"""One directory of the master for all machines, by NFS: data, environment, checkpoints.

    shared/data   shared/env/LOCK   shared/runs/RUN/NODE (what a node's program saves)

Carried only where a job asks for it. It belongs to host.py: it changes the machine, and a rehearsal never
does; there the directory is brought to the workers from outside, and only looked for here.
"""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

from .context import Context
from .failure import StageFailed
from .host import SKIPPED
from .stages.source import install

_OPTIONS = "nosuid,nodev,soft,retry=0"  # a master that is lost must not hold processes for ever
_MARK = ".run"  # whose directory this is
_PATIENCE_S = 180.0  # once the master says that it serves


def add(context: Context, deadline: float) -> str:
    """Have the master's directory here, and let the program use it. Returns what was done, for the console.

    Raises StageFailed `share-failed`.
    """
    context.found.pop("owner", None)  # of an earlier run: what follows is root's
    top, run, coordinator = context.layout.state / "shared", context.run, context.coordinator
    own = top / "runs" / run / context.identity.name
    top.mkdir(exist_ok=True)
    program, package = ("exportfs", "nfs-kernel-server") if coordinator else ("mount.nfs4", "nfs-common")
    if not (context.host.is_rehearsal or shutil.which(program)):
        install(context, [package if shutil.which("apt-get") else "nfs-utils"], deadline)
    if coordinator is not None:
        for path in (top / "data", top / "env", own):
            path.mkdir(parents=True, exist_ok=True)
        (top / _MARK).write_text(run)
        if not context.host.is_rehearsal:
            _serve(context, top, deadline)
        usual = context.layout.checkpoints(run)  # where they are fetched from while the program trains
        if not usual.is_symlink():
            usual.rmdir()
            usual.symlink_to(own)
        coordinator.publish("share", {})
    else:
        _told(context, "share", deadline)
        _take(context, top, deadline)
        own.mkdir(exist_ok=True)
    variables = {
        "HOTRUN_SHARED_DIR": str(top), "HOTRUN_DATA_DIR": str(top / "data"),
        "HOTRUN_CHECKPOINT_DIR": str(own),
    }  # fmt: skip
    context.found.update(variables=variables, checkpoints=own, turn=turn)
    return SKIPPED if context.host.is_rehearsal else "nfs"


@contextmanager
def turn(context: Context, own: Path, deadline: float) -> Iterator[tuple[Path, bool]]:
    """This node's environment, and whether it is to be made: the master's, if it is for the same lock.

    The master's is ready when its set-up command has ended: what that downloads is there for the others'.
    """
    shared = context.layout.state / "shared/env" / own.name
    if context.coordinator is not None:
        yield shared, True
        context.coordinator.publish("environment", {"name": own.name})
    elif _told(context, "environment", deadline)["name"] == own.name and (shared / "bin/python").exists():
        yield shared, False
    else:  # of another kind, or its image has Python elsewhere
        yield own, True


def exports(top: Path, cidr: str, uid: int, gid: int) -> str:
    """The line of /etc/exports: the cluster's machines may write; whoever does is the program's user here."""
    return f"{top} {cidr}(rw,sync,no_subtree_check,fsid=1,all_squash,anonuid={uid},anongid={gid})\n"


def _told(context: Context, name: str, deadline: float) -> dict[str, Any]:
    """What the master published, once it did."""
    link = context.connected()

    def look() -> dict[str, Any] | None:
        context.waiting(f"waiting for the master's {name}")
        return link.offered(name)

    return link.wait_for(look, deadline)


def _serve(context: Context, top: Path, deadline: float) -> None:
    """Export the directory to the cluster's addresses."""
    uid, gid = (context.host.program_user([top]) or (0, 0))[:2]
    path = context.layout.root / "etc/exports.d/hotrun.exports"
    path.parent.mkdir(exist_ok=True)
    path.write_text(exports(top, context.job.cidr, uid, gid))
    for command in (["systemctl", "enable", "--now", "nfs-server"], ["exportfs", "-ra"]):
        code, tail = context.execute(command, deadline=deadline)
        if code != 0:
            raise _failed(f"the master can't serve {top}", tail)


def _take(context: Context, top: Path, deadline: float) -> None:
    """Mount the directory, as often as needed; it is the right one when it holds this run's mark."""
    late = time.monotonic() + _PATIENCE_S
    place = f"{context.job.master}:{top}"
    mount = ["mount", "-t", "nfs4", "-o", _OPTIONS, place, str(top)]
    tail: list[str] = []
    while not _is_here(context, top):
        if context.host.is_rehearsal or time.monotonic() > late:
            raise _failed(f"{context.identity.name} can't mount {place}", tail)
        context.waiting(f"waiting for the master's share {' '.join(tail)}")
        for command in (["umount", "-l", str(top)], mount):  # it may be of a master that is no more
            tail = context.execute(command, deadline=deadline)[1]
        time.sleep(1.0)


def _failed(what: str, tail: list[str]) -> StageFailed:
    why = tail[-1] if tail else "it is not this run's"
    return StageFailed("share-failed", f"{what}: {why}", log=tail, fix="leave --share out")


def _is_here(context: Context, top: Path) -> bool:
    try:
        return (top / _MARK).read_text() == context.run
    except OSError:  # nothing is mounted, or what was is stale
        return False
