"""A job from sbatch to its end: what Slurm says, what the job's log says, what goes wrong on purpose."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.rehearse import follow
from cloud.rehearse.slurm.cluster import ClusterFailed
from cloud.rehearse.slurm.lines import JOB, Growing, whose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloud.rehearse.follow import Machine
    from cloud.rehearse.inject import Injector
    from cloud.rehearse.interrupts import Interrupts
    from cloud.rehearse.keep import Kept
    from cloud.rehearse.screen import Screen
    from cloud.rehearse.slurm.cluster import Cluster
    from cloud.rehearse.slurm.control import JobState
    from cloud.rehearse.slurm.prepare import Prepared
    from cloud.rehearse.verdict import End

WAITS_S = 300.0  # for Slurm to start a job on a cluster that has nothing else to do
_ASK_S = 0.5
_LOOK_S = 0.1
_PATIENCE = 5  # answers of Slurm that may fail in a row
_ON_PURPOSE = "BeginTime"  # why a requeued job waits


@dataclass
class Outcome:
    """How it went."""

    end: End = "ended"
    job_id: str = ""
    job: JobState | None = None
    found: list[Problem] = field(default_factory=list)
    never: list[Problem] = field(default_factory=list)


class Following:
    """One job on one cluster."""

    def __init__(
        self, prepared: Prepared, cluster: Cluster, kept: Kept, screen: Screen, *,
        machines: Mapping[str, Machine], interrupts: Interrupts, injector: Injector,
    ) -> None:  # fmt: skip
        self._prepared, self._cluster, self._kept, self._screen = prepared, cluster, kept, screen
        self._machines, self._interrupts, self._injector = machines, interrupts, injector
        self._path = prepared.site.directory / "job.log"
        self._log = Growing(self._path)
        self._outcome = Outcome()
        self._began_at = self._since = time.monotonic()
        self._asked_at, self._failures, self._said = 0.0, 0, ""

    def run(self) -> Outcome:
        """Submit the job and follow it to its end."""
        outcome = self._outcome
        try:
            outcome.job_id = self._submit()
        except ClusterFailed as error:
            said = str(error).removeprefix("sbatch: error: ").splitlines()
            what = f"sbatch refuses the job: {said[0] if said else error}"
            outcome.found.append(Problem(code="sbatch-refused", what=what, log=tuple(said[1:])))
            return outcome
        self._began_at = self._since = time.monotonic()
        while not self._is_over():
            time.sleep(_LOOK_S)
        self._drain(is_over=True)
        if outcome.end == "ended" and not outcome.found:
            outcome.never += self._injector.problems()
        return outcome

    def _submit(self) -> str:
        """The job's number. Raises ClusterFailed with what sbatch says."""
        prepared = self._prepared
        given = [f"--output={self._path}", f"--nodes={len(prepared.slurms)}"]
        if prepared.asked.nodelist:  # what sbatch is given counts more than the job's own lines
            given.append(f"--nodelist={','.join(prepared.slurms.values())}")
        if prepared.asked.gpus:  # without the type, which no node here has
            given.append(f"--gpus-per-node={prepared.asked.gpus}")
        argv = ["sbatch", "--parsable", *given, str(prepared.script), *prepared.words]
        said = self._cluster.run(argv, prepared.environment, prepared.site.directory)
        job_id = said.strip().splitlines()[-1].partition(";")[0]
        self._tell(f"sbatch {prepared.script.name}: job {job_id}")
        return job_id

    def _is_over(self) -> bool:
        now = time.monotonic()
        self._drain()
        for sentence in self._injector.tick(self._machines, self._began_at, now):
            self._tell(sentence, "fault")
        if self._interrupts.name:
            self._outcome.end = "interrupted"
            return True
        if now - self._asked_at < _ASK_S:
            return False
        self._asked_at = now
        try:
            job = self._cluster.job(self._outcome.job_id)
            self._bring_back()
            self._failures = 0
        except ClusterFailed as error:
            return self._is_lost(error)
        self._note(job, now)
        return job.has_ended or self._waits_in_vain(job, now)

    def _note(self, job: JobState, now: float) -> None:
        """Say what has changed."""
        before, self._outcome.job = self._outcome.job, job
        if before is None or (job.state, job.restarts) != (before.state, before.restarts):
            self._since = now
        if before is not None and job.restarts > before.restarts:
            for machine in self._machines.values():
                machine.come_back()
        for machine in self._machines.values():
            machine.has_begun = machine.has_begun or job.state == "RUNNING"
        why = f" ({job.reason})" if job.reason and job.state != "RUNNING" else ""
        again = f", start {job.restarts + 1}" if job.restarts else ""
        if (said := f"Slurm: job {self._outcome.job_id} is {job.state}{why}{again}") != self._said:
            self._said = said
            self._tell(said, "slurm")

    def _bring_back(self) -> None:
        """Nodes that lost their power boot again when Slurm has noticed that they are down."""
        out = self._injector.gone
        dark = {name: slurm for name, slurm in self._prepared.slurms.items()
                if name not in out and not self._cluster.is_up(slurm)}  # fmt: skip
        states = self._cluster.states() if dark else {}
        for name, slurm in dark.items():
            if states.get(slurm, "").startswith("DOWN"):
                self._injector.bring_back(name)
                self._cluster.bring_back(slurm)
                self._since = time.monotonic()
                self._tell(f"{name} ({slurm}) came back after Slurm had seen that it was down", "came-back")

    def _waits_in_vain(self, job: JobState, now: float) -> bool:
        if job.state != "PENDING" or job.reason == _ON_PURPOSE:
            return False
        states = self._cluster.states()
        down = [name for name, state in states.items() if state.startswith("DOWN")]
        words = f"{', '.join(down)} {'is' if len(down) == 1 else 'are'} down" if down else ""
        slurms = self._prepared.slurms
        if any(slurms[name] in down for name in self._injector.out):
            what = f"{words} for good, and Slurm waits for it: the job asks for {len(states)} nodes"
            fix = "a cluster with a node to spare takes that one; kill:MACHINE shows how the job goes on"
        elif now - self._since >= WAITS_S:
            what = f"Slurm did not start the job for {WAITS_S:.0f} s: {job.reason or 'it gives no reason'}"
            what, fix = "; ".join(filter(None, [what, words])), ""
        else:
            return False
        self._outcome.found.append(Problem(code="slurm-job-waits", what=what, fix=fix))
        return True

    def _is_lost(self, error: ClusterFailed) -> bool:
        """Whether Slurm has not answered for too long."""
        self._failures += 1
        if self._failures < _PATIENCE:
            return False
        what = f"Slurm's controller answers no more: {error}"
        self._outcome.found.append(Problem(code="slurm-job-failed", what=what))
        return True

    def _drain(self, *, is_over: bool = False) -> None:
        names, lines = list(self._machines), self._log.lines(is_over=is_over)
        if lines:
            with self._kept.log(JOB).open("a", encoding="utf-8") as log:
                log.write("\n".join(lines) + "\n")
        for line in lines:
            name, bare = whose(line, names)
            machine = self._machines.get(name)
            fields = follow.take(machine, bare, time.monotonic()) if machine else None
            if machine is None or fields is None:
                self._screen.line(name, bare)
                continue
            self._kept.event("stage", **{**fields, "node": name})
            self._screen.stage(machine, fields)

    def _tell(self, sentence: str, kind: str = "slurm") -> None:
        self._screen.tell(sentence)
        self._kept.event(kind, what=sentence)
