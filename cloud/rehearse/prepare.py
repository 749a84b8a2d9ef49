"""Plan -> all that machines need before they start: addresses, roots, services, user data, environments.

Whatever is wrong here is raised before a process is started or a run's directory made.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from cloud import resolve
from cloud.errors import Problem, ProblemsFound
from cloud.node.console import node_name
from cloud.rehearse import Options, addresses, environment, launch, roots, source
from cloud.rehearse.standins import Server, StandIns
from cloud.template import parameters as parameters_

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

    from cloud.plan import Plan
    from cloud.rehearse.addresses import Loopback
    from cloud.rehearse.roots import Roots

MEMORY_PER_MACHINE_BYTES = 800 * 2**20  # a rank with torch, its node program and the system's share
ENDING_S = 900.0  # collecting what a run made, beyond its own limit

Say = Callable[[str], None]
OnSignal = Callable[[bool, Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine, ready to start."""

    name: str
    address: str
    root: Path
    user_data: Path
    environment: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a session starts with."""

    nodes: tuple[Node, ...]
    parameters: dict[str, Any]
    job: dict[str, Any]
    """The job's line as the master got it, without its secrets."""
    stack_name: str
    transport: str
    stand_ins: StandIns
    tag: str
    held: tuple[int, ...]
    """Descriptors whose claims must outlive this process until all its machines are gone."""
    problems: tuple[Problem, ...]
    launch: launch.Launch

    @property
    def max_seconds(self) -> float:
        """How long the run may take, from the job's own limits."""
        return (
            float(self.job.get("max_hours", 24)) * 3600
            + float(self.job.get("boot_timeout_s", 3600))
            + ENDING_S
        )


def prepare(plan: Plan, options: Options, stack: ExitStack, say: Say, on_signal: OnSignal) -> Prepared:
    """Make all that is needed; what must be given back is left with `stack`.

    Raises ProblemsFound or RequestError, with everything that is known by then.
    """
    if any(problem.level == "error" for problem in plan.problems):
        raise ProblemsFound(*plan.problems)
    asked = _with_workers(plan, options)
    names = [node_name(rank) for rank in range(int(asked["workers"]) + 1)]
    repo = str(asked["repo"])
    loopback = addresses.claim(len(names))
    stack.callback(loopback.close)
    cache = roots.cache_directory(os.environ)
    key = roots.key(repo, str(asked.get("requirements", ".")))
    taken = roots.take(cache, key, names, is_fresh=options.fresh)
    stack.callback(taken.close)
    uv_cache = roots.uv_cache(os.environ, cache, say)
    problems = _space_problems(taken, uv_cache, len(names), say)
    standing_in = source.prepare(options.source, taken.directory, say) if options.source else None
    parameters = _with_source(plan, asked, standing_in, say)
    gitconfig = source.gitconfig(taken.directory / "gitconfig", str(plan.parameters["repo"]), standing_in)
    stand_ins = StandIns(loopback.services, options.name or roots.short_name(repo), on_signal)
    stack.callback(stand_ins.close)
    resolved = _resolved(plan, parameters, loopback, stand_ins, len(names))
    tag = secrets.token_hex(16)
    shared = environment.inherited(os.environ, [loopback.services, *map(loopback.node, range(len(names)))])
    shared["PATH"] = environment.search_path(os.environ, say)
    cpus = options.cpus or max(1, len(os.sched_getaffinity(0)) // len(names))

    def made(one: resolve.ResolvedNode) -> Node:
        root, address = taken.node(one.name), loopback.node(one.rank)
        _serve(stand_ins, one, address)
        own = environment.of_node(
            root=root, metadata_url=stand_ins.metadata_url(one.name), tag=tag, cpus=cpus,
            gitconfig=gitconfig, uv_cache=uv_cache,
        )  # fmt: skip
        user_data = _write_privately(root / "user_data", one.user_data)
        return Node(name=one.name, address=address, root=root, user_data=user_data, environment=shared | own)

    return Prepared(
        nodes=tuple(map(made, resolved)), parameters=parameters, job=job_of(resolved[0].user_data),
        stack_name=stand_ins.stack, stand_ins=stand_ins, tag=tag, transport=_transport(parameters),
        held=(loopback.claim.fileno(), taken.lock), problems=tuple(problems),
        launch=_launch(plan, asked, standing_in, options.source),
    )  # fmt: skip


def _with_workers(plan: Plan, options: Options) -> dict[str, Any]:
    if options.workers is None:
        return dict(plan.parameters)
    return dict(resolve.parameters(plan.template, {**_own(plan.parameters), "workers": options.workers}))


def _with_source(
    plan: Plan, parameters: dict[str, Any], used: source.Source | None, say: Say
) -> dict[str, Any]:
    """The commit takes the place of `ref`; a repository that is a local path is replaced itself."""
    if used is None:
        source.say_if_moved(str(parameters["repo"]), str(parameters.get("ref", "")), say)
        return parameters
    changed = {"ref": used.commit}
    if "://" not in str(parameters["repo"]):
        changed["repo"] = str(used.directory)
    asked = str(parameters.get("ref", ""))
    if asked != used.commit:
        say(f"ref is {used.commit[:7]} instead of {asked[:40] or 'the default branch'}")
    return dict(resolve.parameters(plan.template, {**_own(parameters), **changed}))


def _launch(
    plan: Plan, asked: dict[str, Any], used: source.Source | None, directory: Path | None
) -> launch.Launch:
    """What a cloud would be given, with the values that were asked for here and without the stand-in's."""
    own, _ = parameters_.values(plan.template, {})
    return launch.Launch(
        repo=str(asked["repo"]), ref=str(asked.get("ref", "")), overrides=launch.overrides(own, asked),
        commit=used.commit if used else "", directory=str(directory or ""),
    )  # fmt: skip


def _own(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Without Heat's pseudo parameters."""
    return {name: value for name, value in parameters.items() if not name.startswith("OS::")}


def _space_problems(taken: Roots, uv_cache: Path, nnodes: int, say: Say) -> list[Problem]:
    """Warnings about disk and memory, said at once; what can't be enough is raised."""
    problems = roots.check_disk(taken, uv_cache, nnodes, say) + _memory_problems(nnodes)
    if any(problem.level == "error" for problem in problems):
        raise ProblemsFound(*problems)
    for problem in problems:
        say(f"{problem.level}: {problem.what}")
    return problems


def _memory_problems(nnodes: int) -> list[Problem]:
    try:
        meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return []
    available = next(
        int(line.split()[1]) * 1024 for line in meminfo.splitlines() if line.startswith("MemAvailable")
    )
    needed = nnodes * MEMORY_PER_MACHINE_BYTES
    if available >= needed:
        return []
    figures = f"{needed / 2**30:.1f} GiB of memory, {available / 2**30:.1f} GiB are free"
    what = f"{nnodes} machines need about {figures}"
    return [Problem(code="memory-short", level="warning", what=what, fix="rehearse with fewer: --workers 1")]


def _resolved(
    plan: Plan, parameters: dict[str, Any], loopback: Loopback, stand_ins: StandIns, nnodes: int
) -> list[resolve.ResolvedNode]:
    """What Heat would hand to each machine, with what only a cloud knows made up here."""
    facts = resolve.Facts(
        stack_name=stand_ins.stack,
        addresses=tuple(loopback.node(rank) for rank in range(nnodes)),
        secret=secrets.token_hex(16),
        signal=stand_ins.signal_attributes(_transport(parameters)),
    )
    return [resolve.node(plan.template, parameters, rank, facts) for rank in range(nnodes)]


def _transport(parameters: dict[str, Any]) -> str:
    return str(parameters.get("signal_transport", "HEAT_SIGNAL"))


def _serve(stand_ins: StandIns, one: resolve.ResolvedNode, address: str) -> None:
    stand_ins.serve(
        Server(
            name=one.name, address=address, metadata=one.metadata, user_data=one.user_data, uuid=str(uuid4())
        )
    )  # fmt: skip


def _write_privately(path: Path, content: bytes) -> Path:
    """The user data holds the stack's secret."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(content)
    return path


def job_of(user_data: bytes) -> dict[str, Any]:
    """The job's line of a user data, without what is secret in it; empty when there is none."""
    for line in user_data.splitlines():
        if not line.startswith(b"{"):
            continue
        try:
            job = json.loads(line)
        except ValueError:
            continue
        if isinstance(job, dict) and "entrypoint" in job:
            return {
                key: value for key, value in job.items() if key not in ("secret", "signal", "signal_token")
            }
    return {}
