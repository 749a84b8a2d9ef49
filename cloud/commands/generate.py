"""Request -> cluster with its commit -> template -> file: the command that writes, and the four questions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloud.commands.options import Command, make_ui, reporting, setting_options
from cloud.errors import Interrupted, Problem, ProblemsFound, RequestError
from cloud.request.settings import BY_KEY
from cloud.template.provenance import PUBLISH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from cloud.config import Request
    from cloud.model import Cluster
    from cloud.repository import Findings
    from cloud.slurm.summary import Made as MadeJob
    from cloud.summary import Made
    from cloud.ui import Ui

DEFAULT_OUT, DEFAULT_JOB = "template.yml", "job.sbatch"

out_option = click.option(
    "--out",
    type=click.Path(),
    metavar="FILE|-",
    help=f"Where to write.  [{DEFAULT_OUT}; {DEFAULT_JOB} for Slurm]",
)
force_option = click.option("--force", is_flag=True, help="Replace a file that hotrun did not make.")


@click.command(
    cls=Command,
    example="generate --repo https://github.com/you/digits.git --workers 4 --entrypoint train.py",
    short_help="Write a template, or a job for Slurm, from flags or a file.",
)
@click.option(
    "--from", "from_file", type=click.Path(), metavar="FILE", help="YAML with the same keys as the flags."
)
@setting_options
@out_option
@click.option("--dry-run", is_flag=True, help="Print the template and write nothing.")
@force_option
@click.option(
    PUBLISH,
    "is_published",
    is_flag=True,
    help="Make it for everybody: without your key pair, reservations and variables, on the branch and not "
    "its commit, with comments.",
)
@reporting
def generate(
    *,
    from_file: str | None,
    out: str | None,
    dry_run: bool,
    force: bool,
    is_published: bool,
    quiet: bool,
    as_json: bool,
    debug: bool,
    **flags: Any,
) -> int:
    """Write one Heat template from flags, from a file of keys, or from both (flags win).

    With --target slurm: one job.sbatch for a Slurm cluster. At a terminal what is missing is asked for.
    """
    from cloud import config

    del debug  # main() reads it
    ui = make_ui(quiet=quiet, as_json=as_json)
    asked = config.request(flags, Path(from_file) if from_file else None)
    return make(asked, "-" if dry_run else out, force, ui, is_published=is_published)


def make(
    asked: Request,
    out: str | None,
    is_forced: bool,
    ui: Ui,
    is_guided: bool = False,
    *,
    is_published: bool = False,
) -> int:
    """Do all of `generate`; `is_guided` asks the four questions whatever was given."""
    from cloud import output, summary
    from cloud.slurm import misplaced

    if misplaced.target(asked) == misplaced.SLURM:
        return _make_job(asked, out or DEFAULT_JOB, is_forced, ui, is_guided, is_published=is_published)
    out = out or DEFAULT_OUT
    try:
        if out != "-":
            output.check(Path(out), is_forced)
        made = _made(_completed(asked, ui, is_guided), out, ui, is_published=is_published)
    except KeyboardInterrupt as error:  # later ones can't say that
        ui.say()  # the terminal's cursor stands behind a question
        raise Interrupted(Problem(code="interrupted", what="interrupted; nothing was written")) from error
    if out != "-":
        output.write(Path(out), made.plan.text, is_forced)
    _show(ui, made, summary, made.plan.text, made.left_out)
    return 0


def _made(asked: Request, out: str, ui: Ui, *, is_published: bool) -> Made:
    """Everything but writing: judge, ask the repository, render, and read the result again."""
    from cloud import hot, plan, summary
    from cloud.template import published

    cluster, findings = _resolved(_cluster(asked), asked, ui)
    problems = [*_of_other_target(asked), *findings.problems]
    left_out = tuple(_placed(problem, asked) for problem in published.left_out(cluster) if is_published)
    _stop_at_errors([*problems, *left_out])
    text = hot.text(cluster, is_published=is_published)
    planned = plan.make(text, name=DEFAULT_OUT if out == "-" else out)
    problems += planned.problems
    _stop_at_errors(problems)
    return summary.Made(
        cluster=published.public(cluster) if is_published else cluster,
        findings=findings, problems=tuple(problems), plan=planned, out=out,
        is_published=is_published, left_out=left_out,
    )  # fmt: skip


def _make_job(
    asked: Request, out: str, is_forced: bool, ui: Ui, is_guided: bool, *, is_published: bool
) -> int:
    """The same for a Slurm cluster."""
    from cloud import output
    from cloud.slurm import render, summary

    path = Path(out)
    if is_published:
        what = f"{PUBLISH} is for a template of Heat, and a job for Slurm is one person's"
        raise RequestError(Problem(code="usage", what=what, fix=f"leave out {PUBLISH}"))
    try:
        if out != "-":
            is_forced = is_forced or (path.is_file() and render.is_ours(_beginning(path)))
            output.check(path, is_forced)
        asked = _completed(asked, ui, is_guided)
        cluster, findings = _resolved(_cluster(asked), asked, ui)
    except KeyboardInterrupt as error:
        ui.say()
        raise Interrupted(Problem(code="interrupted", what="interrupted; nothing was written")) from error
    problems = (*_of_other_target(asked), *findings.problems)
    _stop_at_errors(list(problems))
    made = summary.Made(
        cluster=cluster, findings=findings, problems=problems, text=render.text(cluster), out=out
    )
    if out != "-":
        output.write(path, made.text, is_forced)
    _show(ui, made, summary, made.text)
    return 0


def _beginning(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(1000)


def _cluster(asked: Request) -> Cluster:
    """Judge all that was asked for; what stands at a flag of the other target is told with the rest."""
    from cloud import config

    misplaced = tuple(problem for problem in _of_other_target(asked) if problem.level == "error")
    return config.cluster(asked.with_entries(misplaced))


def _of_other_target(asked: Request) -> list[Problem]:
    from cloud.slurm import misplaced

    return list(misplaced.problems(asked))


def _completed(asked: Request, ui: Ui, is_guided: bool) -> Request:
    """Ask for what is missing, where somebody can be asked."""
    from cloud.ask import QUESTIONS, ask

    if is_guided:
        return asked.with_entries(ask(ui))
    missing = {setting.key for setting in asked.missing} & {question.key for question in QUESTIONS}
    if not missing or not ui.is_interactive:
        return asked
    if "entrypoint" in missing and not asked.origin("requirements"):
        missing.add("requirements")  # the entrypoint is relative to it
    return asked.with_entries(ask(ui, missing))


def _resolved(cluster: Cluster, asked: Request, ui: Ui) -> tuple[Cluster, Findings]:
    """Pin the commit and read the entrypoint; problems get the place where their key was given."""
    from cloud import repository

    if not cluster.job.is_local:
        ui.say(f"asking {cluster.job.repo.split('/')[2]} for the commit and the entrypoint")
    job, findings = repository.inspect(cluster.job, cluster.nnodes)
    placed = tuple(_placed(problem, asked) for problem in findings.problems)
    return replace(cluster, job=job), replace(findings, problems=placed)


def _placed(problem: Problem, asked: Request) -> Problem:
    """Give a problem that begins with a key the place where the key was given."""
    return replace(problem, where=problem.where or _origin(asked, problem.what.split(" ", 1)[0].rstrip(",")))


def _origin(asked: Request, key: str) -> str:
    """Where the value of a key came from, its default included; empty for what is no key."""
    setting = BY_KEY.get(key)
    return asked.origin(key) or (f"default of {setting.flag}" if setting else "")


def _stop_at_errors(problems: list[Problem]) -> None:
    if any(problem.level == "error" for problem in problems):
        raise ProblemsFound(*sorted(problems, key=lambda problem: problem.level != "error"))


def _show(
    ui: Ui, made: Made | MadeJob, said: ModuleType, text: str, left_out: Sequence[Problem] = ()
) -> None:
    """Tell what was made, in the words of `said`, a summary; `text` where nothing was written."""
    if ui.is_json:
        ui.document(said.document(made))
    elif ui.is_quiet or made.out == "-":
        ui.problems([*left_out, *(problem for problem in made.problems if problem.level == "warning")])
        if made.out == "-":
            ui.raw(text)
    else:
        ui.problems(left_out)
        ui.result()
        ui.rows(said.rows(made))
        ui.result()
        ui.rows(said.next_steps(made, ui.program), whole=True)
        ui.result()
        ui.result(f"Generated at {made.out}!")
