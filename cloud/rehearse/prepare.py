"""Plan -> all that machines need before they start: level, roots, services, user data, environments.

Whatever is wrong here is raised before a process is started or a run's directory made.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from cloud import resolve
from cloud.errors import Problem, ProblemsFound
from cloud.node.console import node_name
from cloud.rehearse import Options, environment, handed, launch, roots, source, space
from cloud.rehearse.lab import choice
from cloud.rehearse.standins import METADATA, Server, StandIns
from cloud.template import parameters as parameters_

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

    from cloud.plan import Plan
    from cloud.rehearse.lab import Level
    from cloud.rehearse.roots import Roots

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
    share: tuple[Path, Path] | None = None
    """The master's directory and where it is mounted here; None where there is nothing to mount."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a session starts with."""

    nodes: tuple[Node, ...]
    parameters: dict[str, Any]
    level: Level
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
    if not plan.is_ready:
        raise ProblemsFound(*plan.problems)
    asked = _with_workers(plan, options)
    names = [node_name(rank) for rank in range(int(asked["workers"]) + 1)]
    cache = roots.cache_directory(os.environ)
    key = roots.key(str(asked["repo"]), str(asked.get("requirements", ".")))
    taken = roots.take(cache, key, names, is_fresh=options.fresh)
    stack.callback(taken.close)
    uv_cache = roots.uv_cache(os.environ, cache, say)
    problems = space.problems(taken, uv_cache, len(names), say)
    standing_in = source.prepare(options.source, taken.directory, say) if options.source else None
    parameters = _with_source(plan, asked, standing_in, say)
    gitconfig = source.gitconfig(taken.directory / "gitconfig", str(plan.parameters["repo"]), standing_in)
    place = _Place(taken, uv_cache, standing_in, gitconfig, secrets.token_hex(16))
    stack_name = options.name or roots.short_name(str(asked["repo"]))
    level = choice.opened(_wanted(plan, parameters, place, level=options.level, stack=stack_name), say)
    stack.callback(level.close)
    sockets = (level.services, level.metadata)
    stand_ins = StandIns(level.network.services, stack_name, on_signal, *sockets)
    stack.callback(stand_ins.close)
    resolved = _resolved(plan, parameters, level, stand_ins, len(names))
    cpus = options.cpus or max(1, len(os.sched_getaffinity(0)) // len(names))
    path = environment.search_path(os.environ, say)
    nodes = _nodes(resolved, level, stand_ins, place, cpus=cpus, path=path)
    job = handed.job_of(resolved[0].user_data)
    if job.get("share"):
        say(f"the share is a {handed.STAND_INS[level.name]} here: no NFS")
    return Prepared(
        nodes=nodes, parameters=parameters, level=level, job=job,
        stack_name=stack_name, stand_ins=stand_ins, tag=place.tag, transport=_transport(parameters),
        held=(*level.held, taken.lock), problems=tuple(problems),
        launch=_launch(plan, asked, standing_in, options.source),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Place:
    """Where machines are kept, and what marks them."""

    taken: Roots
    uv_cache: Path
    standing_in: source.Source | None
    gitconfig: Path
    tag: str

    def kept(self, repo: str) -> list[Path]:
        """What machines must find wherever it lies."""
        found = [Path(sys.prefix), Path(sys.base_prefix)]
        if self.standing_in:
            found.append(self.standing_in.directory)
        return [*found, Path(repo)] if repo.startswith("/") else found


def _wanted(
    plan: Plan, parameters: dict[str, Any], place: _Place, *, level: str, stack: str
) -> choice.Wanted:
    """What the template and this environment ask of the level."""
    repo, names = str(parameters["repo"]), [node_name(rank) for rank in range(int(parameters["workers"]) + 1)]
    local = environment.loopback_settings(environment.inherited(os.environ, []) | {"repo": repo})
    return choice.Wanted(
        level=level, names=names, stack=stack, tag=place.tag, local=local, kept=place.kept(repo),
        cidr=str(parameters.get("network_cidr") or choice.DEFAULT_CIDR),
        group=resolve.security_rules(plan.template, parameters),
        where=plan.template.where("resources", "security_group", "properties", "rules"),
        roots={name: place.taken.node(name) for name in names}, directory=place.taken.directory / "lab",
        together=(place.taken.directory, place.uv_cache),
    )  # fmt: skip


def _nodes(
    resolved: list[resolve.ResolvedNode], level: Level, stand_ins: StandIns, place: _Place, *,
    cpus: int, path: str,
) -> tuple[Node, ...]:  # fmt: skip
    """Write each machine's user data and say what it is started with."""
    at = [level.network.node(one.rank) for one in resolved]
    near = [level.network.services, *at, *([METADATA] if level.metadata else [])]
    shared = environment.inherited(os.environ, near) | {"PATH": path}
    nodes = []
    for one, address in zip(resolved, at, strict=True):
        root = place.taken.node(one.name)
        own = {"name": one.name, "address": address, "uuid": str(uuid4())}
        stand_ins.serve(Server(metadata=one.metadata, user_data=one.user_data, **own))
        environ = shared | environment.of_node(
            root=root, metadata_url=stand_ins.metadata_url(one.name), tag=place.tag, cpus=cpus,
            gitconfig=place.gitconfig, uv_cache=place.uv_cache,
        )  # fmt: skip
        user_data = handed.user_data(root, one.user_data)
        handed.program(root, one.user_data)
        is_shared = handed.job_of(one.user_data).get("share")
        share = handed.share(root, place.taken.node(node_name(0)), level.name) if is_shared else None
        nodes.append(Node(
            name=one.name, address=address, root=root, user_data=user_data, environment=environ, share=share
        ))  # fmt: skip
    return tuple(nodes)


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


def _resolved(
    plan: Plan, parameters: dict[str, Any], level: Level, stand_ins: StandIns, nnodes: int
) -> list[resolve.ResolvedNode]:
    """What Heat would hand to each machine, with what only a cloud knows made up here."""
    facts = resolve.Facts(
        stack_name=stand_ins.stack,
        addresses=tuple(level.network.node(rank) for rank in range(nnodes)),
        secret=secrets.token_hex(16),
        signal=stand_ins.signal_attributes(_transport(parameters)),
    )
    return [resolve.node(plan.template, parameters, rank, facts) for rank in range(nnodes)]


def _transport(parameters: dict[str, Any]) -> str:
    return str(parameters.get("signal_transport", "HEAT_SIGNAL"))
