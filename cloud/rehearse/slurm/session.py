"""One rehearsal of a job: prepares, starts the cluster, submits, follows, ends all, keeps, judges."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from cloud.errors import Problem, ProblemsFound
from cloud.rehearse import guardian, keep
from cloud.rehearse.follow import Machine
from cloud.rehearse.interrupts import Interrupts
from cloud.rehearse.lab import Unavailable
from cloud.rehearse.roots import short_name
from cloud.rehearse.screen import Screen, Ui, teller
from cloud.rehearse.slurm import configuration, faults, login, needs, prepare
from cloud.rehearse.slurm.cluster import Cluster, ClusterFailed
from cloud.rehearse.slurm.following import Following, Outcome
from cloud.rehearse.slurm.report import Ended, Next, report

if TYPE_CHECKING:
    from cloud.rehearse import Options
    from cloud.rehearse.faults import Fault
    from cloud.rehearse.keep import Kept
    from cloud.rehearse.slurm.prepare import Prepared
    from cloud.rehearse.slurm.report import SlurmReport


def rehearse(text: str, options: Options, ui: Ui, fetch: str = "") -> SlurmReport:
    """Run a job.sbatch on a Slurm of its own and keep what it made below `options.runs_dir`.

    `fetch` is a shell command for the login node, in the job's environment, after --prepare.

    Raises ProblemsFound or RequestError for what is known before a job is submitted.
    """
    say = teller(ui)
    say(needs.WHAT)
    needs.check()
    with Interrupts() as interrupts, ExitStack() as stack:
        with interrupts.at_once():
            prepared = prepare.prepare(text, options, stack, say)
            asked = faults.read(options.faults, prepared.names)
        kept = keep.make(
            options.runs_dir, options.name, short_name(prepare.repository(text) or prepared.asked.name)
        )
        stack.callback(kept.close)
        kept.write("job.sbatch", text)
        warden = guardian.start(prepared.tag, prepared.held)
        try:
            return _run(prepared, options, kept, ui, interrupts=interrupts, asked=asked, fetch=fetch)
        finally:
            guardian.sweep(prepared.tag, is_urgent=lambda: interrupts.is_urgent)
            assert warden.stdin is not None
            warden.stdin.close()
            warden.wait()


def _run(
    prepared: Prepared, options: Options, kept: Kept, ui: Ui, *, interrupts: Interrupts,
    asked: tuple[Fault, ...], fetch: str,
) -> SlurmReport:  # fmt: skip
    machines = {name: Machine(name, prepared.layout.nodes[slurm]) for name, slurm in prepared.slurms.items()}
    began, outcome = time.monotonic(), Outcome()
    title = f"rehearsing {options.template} · Slurm of {len(machines)} nodes on this computer"
    with Screen(ui, title, machines.values()) as screen:
        outcome.found += login.prepare(prepared, kept, screen, interrupts, fetch)
        if not outcome.found and not interrupts.name:
            outcome = _on_a_cluster(prepared, kept, screen, machines, interrupts=interrupts, asked=asked)
    ended = Ended(
        end="interrupted" if interrupts.name else outcome.end,
        interrupted_by=interrupts.name,
        job=outcome.job,
        machines=machines,
        found=outcome.found,
        never=outcome.never,
        seconds=time.monotonic() - began,
        work_run=prepared.work / "runs" / (outcome.job_id or "none"),
        known=prepared.problems,
    )
    push = f"push {prepared.commit[:12]} of {options.source} first: the cluster clones it"
    return report(ended, kept, Next(options.template, (push,) if prepared.commit else (), fetch))


def _on_a_cluster(
    prepared: Prepared, kept: Kept, screen: Screen, machines: dict[str, Machine], *, interrupts: Interrupts,
    asked: tuple[Fault, ...],
) -> Outcome:  # fmt: skip
    began = time.monotonic()
    cluster = _opened(prepared)
    try:
        seconds, names = time.monotonic() - began, ", ".join(cluster.names)
        screen.tell(f"Slurm is up after {seconds:.1f} s: {names}, without a way out")
        screen.tell(f"a requeued job waits {configuration.REQUEUE_S} s here, 120 s on most clusters")
        injector = faults.injector(asked, cluster, prepared.slurms)
        following = Following(
            prepared, cluster, kept, screen, machines=machines, interrupts=interrupts, injector=injector
        )
        return following.run()
    finally:
        _keep_logs(cluster, kept)
        cluster.close()


def _opened(prepared: Prepared) -> Cluster:
    """The cluster. Raises ProblemsFound where it does not start."""
    try:
        return Cluster(prepared.site, prepared.layout)
    except (Unavailable, ClusterFailed) as error:
        what = f"Slurm did not start on this computer: {error}"
        fix = f"its logs are in {prepared.layout.state}"
        raise ProblemsFound(Problem(code="slurm-not-possible", what=what, fix=fix)) from error


def _keep_logs(cluster: Cluster, kept: Kept) -> None:
    """What the daemons said, for whoever wants to know why Slurm did something."""
    for daemon in ("slurmctld", *cluster.names):
        if cluster.log(daemon).is_file():
            place = kept.directory / "logs" / "slurm" / f"{daemon}.log"
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(cluster.log(daemon).read_bytes())
