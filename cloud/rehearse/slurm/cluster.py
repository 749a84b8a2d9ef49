"""A Slurm of its own on this computer: munged, slurmctld and a slurmd per node, in a lab of namespaces.

    login   the lab itself: slurmctld, and where sbatch and scontrol are run; its address is the bridge's
    node1…  network, mount, host name and process namespaces on the bridge; killed whole, started again

Everything lives below the lab's one process, which ends with this one: nothing can be left behind. All see
this computer's files, but for what is a node's own: /tmp, /dev/shm, /run, and `Site.local` if given.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.rehearse.lab import CantDo
from cloud.rehearse.lab.namespace import processes_of, views
from cloud.rehearse.lab.site import Lab, search_path
from cloud.rehearse.lab.site import Site as LabSite
from cloud.rehearse.processes import kill
from cloud.rehearse.slurm import configuration, control
from cloud.rehearse.slurm.daemons import Daemons

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cloud.rehearse.addresses import Subnet

START_S = 180.0  # for each daemon; they take a second here
COMMAND_S = 120.0  # slurmctld may be busy with a node that it can't reach
VARIABLE = "HOTRUN_SLURM_NODE"  # in the environment of a node's first processes
_LOOK_S = 0.1
_INNER = str(Path(__file__).parents[1] / "lab" / "inner.py")
_WRITE = 'umask 077; cat >"$1"; chmod "$2" "$1"'
_AS_LOGIN = f'hostname {configuration.LOGIN}; exec "$@"'
_WITH_LOCAL = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'  # in the node's own mount namespace


class ClusterFailed(Exception):
    """A daemon of the cluster did not start, or a command of Slurm failed; the text is what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a cluster lives and what its nodes see."""

    directory: Path
    """For state, logs and the nodes' roots; made by the caller, kept by it."""
    network: Subnet
    kept: Sequence[Path] = ()
    """What nodes find where it lies, also below /tmp and /run."""
    local: Path | None = None
    """A directory that each node has for itself: no shared storage."""


class Cluster:
    """A running cluster. Raises Unavailable where labs don't work, ClusterFailed for what did not start."""

    def __init__(self, site: Site, layout: configuration.Layout) -> None:
        self.site, self.layout = site, layout
        self.names = list(layout.nodes)
        self._daemons = Daemons(layout.state)
        lab = LabSite(
            network=site.network, names=self.names, group=None, where="", directory=site.directory / "lab"
        )
        self.taps = lab.taps
        for name in self.names:
            (self.root(name) / "tmp").mkdir(parents=True, exist_ok=True)
        layout.state.mkdir(parents=True, exist_ok=True)
        self._lab = Lab(lab, [])
        try:
            for socket in self._lab.sockets:  # nobody serves them: compute nodes have no way out
                socket.close()
            self._configure()
            self._start_all()
        except BaseException:
            self.close()
            raise

    def root(self, name: str) -> Path:
        """What a node has for itself on this computer's disk."""
        return self.site.directory / "nodes" / name

    def log(self, daemon: str) -> Path:
        """What a daemon said: munged, slurmctld, or the slurmd of a node by the node's name."""
        return self._daemons.log(daemon)

    def login(self, argv: Sequence[str], environment: Mapping[str, str], directory: Path) -> list[str]:
        """The command that runs `argv` where one types sbatch, with nothing but this environment."""
        pairs = [f"{key}={value}" for key, value in environment.items()]
        return [*self._lab.inside(), "env", "-i", f"--chdir={directory}", *pairs, *argv]

    def ask(self, *argv: str) -> str:
        """What a command of Slurm prints. Raises ClusterFailed with what it said."""
        return self.run(argv, {"PATH": search_path(), "LANG": "C.UTF-8"}, Path("/"))

    def run(self, argv: Sequence[str], environment: Mapping[str, str], directory: Path) -> str:
        """The same with an environment and a working directory."""
        try:
            done = subprocess.run(
                self.login(argv, environment, directory), capture_output=True, check=False, timeout=COMMAND_S,
                stdin=subprocess.DEVNULL, text=True, errors="replace",
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ClusterFailed(f"{argv[0]} said nothing for {COMMAND_S:.0f} s") from error
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise ClusterFailed(said or f"{argv[0]} ended with {done.returncode}")
        return done.stdout

    def job(self, job_id: str) -> control.JobState:
        """How a job stands."""
        return control.job(self.ask("scontrol", "show", "job", job_id))

    def states(self) -> dict[str, str]:
        """How each node stands: IDLE, ALLOCATED, DOWN*."""
        return control.nodes(self.ask("scontrol", "show", "nodes", "--oneliner"))

    def processes(self, name: str) -> set[int]:
        """All processes of a node, by the numbers that they have on this computer."""
        return processes_of(f"{VARIABLE}={self.root(name)}", self._lab.pid)

    def cut(self, name: str) -> None:
        """End a node as a loss of power does: nobody hears a last word."""
        self.link(name, up=False)
        kill(self.processes(name))
        self._daemons.end(name)

    def link(self, name: str, *, up: bool) -> None:
        """Cut a node's cable, or mend it."""
        how = "up" if up else "down"
        self._lab.run([*self._lab.inside(), "ip", "link", "set", self.taps[name], how])

    def is_up(self, name: str) -> bool:
        """Whether the node's slurmd runs."""
        return self._daemons.is_up(name)

    def bring_back(self, name: str) -> None:
        """The node boots again; jobs find it as soon as its slurmd has said so."""
        kill(self.processes(name))
        self._daemons.end(name)
        self.link(name, up=True)
        self._start_node(name)

    def wait(self, condition: Callable[[], bool], what: str, deadline_s: float = START_S) -> None:
        """Raise ClusterFailed when `condition` is not true in time, or a daemon ended before."""
        until = time.monotonic() + deadline_s
        while not condition():
            dead = self._daemons.ended()
            if dead:
                raise ClusterFailed(f"{what}: {dead[0]} ended: {self._daemons.last_words(dead[0])}")
            if time.monotonic() > until:
                raise ClusterFailed(f"{what}, not after {deadline_s:.0f} s")
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """End everything."""
        self._lab.close()
        self._daemons.end_all()

    def _configure(self) -> None:
        """The lab's own /etc/slurm, in memory, with a new key."""
        home = configuration.HOME
        self._lab.run([*self._lab.inside(), "mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", home])
        conf, gres = configuration.slurm_conf(self.layout), configuration.gres_conf(self.layout)
        texts = {"slurm.conf": conf, **({"gres.conf": gres} if gres else {})}
        for name, text in texts.items():
            self._write(f"{home}/{name}", text, "644")
        for number in range(1, self.layout.gpus + 1):
            (self.layout.state / f"gpu{number}").touch()
        self._write(f"{home}/munge.key", secrets.token_hex(64), "400")

    def _write(self, path: str, text: str, mode: str) -> None:
        self._lab.run([*self._lab.inside(), "sh", "-c", _WRITE, "sh", path, mode], text)

    def _start_all(self) -> None:
        home = configuration.HOME
        files = {
            "key-file": "key",
            "socket": "socket",
            "pid-file": "pid",
            "seed-file": "seed",
            "log-file": "log",
        }
        munge = [f"--{option}={home}/munge.{ending}" for option, ending in files.items()]
        self._daemons.start("munged", [*self._lab.inside(), "munged", "--foreground", "--force", *munge])
        self.wait(lambda: self._is_there(f"{home}/munge.socket"), "munged did not start")
        login = ["unshare", "--uts", "sh", "-c", _AS_LOGIN, "sh", "slurmctld", "-D", "-c"]
        self._daemons.start("slurmctld", [*self._lab.inside(), *login])
        self.wait(self._answers, "slurmctld did not start")
        for name in self.names:
            self._start_node(name)
        self.wait(lambda: all(state == "IDLE" for state in self.states().values()), "not all nodes came up")

    def _start_node(self, name: str) -> None:
        hidden, kept = views([self.site.directory], self.site.kept)
        plan = {
            "root": str(self.root(name)), "hostname": name, "hosts": self._hosts(),
            "resolver": self.layout.login, "hidden": hidden, "kept": kept, "room": None,
        }  # fmt: skip
        own = ["slurmd", "-D"]
        if self.site.local is not None:
            mine = self.root(name) / "local"
            mine.mkdir(exist_ok=True)
            own = ["sh", "-c", _WITH_LOCAL, "sh", str(mine), str(self.site.local), *own]
        init = [sys.executable, "-I", _INNER, json.dumps(plan), *own]
        argv = [*self._lab.inside(name), *self._lab.machine(), *init]
        self._daemons.start(name, argv, **{VARIABLE: str(self.root(name))})

    def _is_there(self, path: str) -> bool:
        return Path(f"/proc/{self._lab.pid}/root{path}").exists()

    def _answers(self) -> bool:
        try:
            self.states()
        except ClusterFailed:
            return False
        return True

    def _hosts(self) -> str:
        named = {"localhost": "127.0.0.1", configuration.LOGIN: self.layout.login, **self.layout.nodes}
        return "".join(f"{address} {name}\n" for name, address in named.items())


__all__ = ["CantDo", "Cluster", "ClusterFailed", "Site"]
