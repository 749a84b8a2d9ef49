"""Request -> cluster with its commit -> template -> file: the command that writes, and the four questions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloud.commands.options import Command, make_ui, reporting, setting_options
from cloud.errors import Interrupted, Problem, ProblemsFound
from cloud.request.settings import BY_KEY

if TYPE_CHECKING:
    from cloud.config import Request
    from cloud.model import Cluster
    from cloud.repository import Findings
    from cloud.summary import Made
    from cloud.ui import Ui

DEFAULT_OUT = "template.yml"

out_option = click.option(
    "--out",
    type=click.Path(),
    default=DEFAULT_OUT,
    metavar="FILE|-",
    help=f"Where to write.  [{DEFAULT_OUT}]",
)
force_option = click.option("--force", is_flag=True, help="Replace a file that hotrun did not make.")


@click.command(
    cls=Command,
    example="generate --repo https://github.com/you/digits.git --workers 4 --entrypoint train.py",
    short_help="Write a template from flags or a file.",
)
@click.option(
    "--from", "from_file", type=click.Path(), metavar="FILE", help="YAML with the same keys as the flags."
)
@setting_options
@out_option
@click.option("--dry-run", is_flag=True, help="Print the template and write nothing.")
@force_option
@reporting
def generate(
    *,
    from_file: str | None,
    out: str,
    dry_run: bool,
    force: bool,
    quiet: bool,
    as_json: bool,
    debug: bool,
    **flags: Any,
) -> int:
    """Write one Heat template from flags, from a file of keys, or from both (flags win).

    At a terminal what is missing is asked for.
    """
    from cloud import config

    del debug  # main() reads it
    ui = make_ui(quiet=quiet, as_json=as_json)
    asked = config.request(flags, Path(from_file) if from_file else None)
    return make(asked, "-" if dry_run else out, force, ui)


def make(asked: Request, out: str, is_forced: bool, ui: Ui, is_guided: bool = False) -> int:
    """Do all of `generate`; `is_guided` asks the four questions whatever was given."""
    from cloud import output

    try:
        if out != "-":
            output.check(Path(out), is_forced)
        made = _made(_completed(asked, ui, is_guided), out, ui)
    except KeyboardInterrupt as error:  # later ones can't say that
        ui.say()  # the terminal's cursor stands behind a question
        raise Interrupted(Problem(code="interrupted", what="interrupted; nothing was written")) from error
    if out != "-":
        output.write(Path(out), made.plan.text, is_forced)
    _show(ui, made)
    return 0


def _made(asked: Request, out: str, ui: Ui) -> Made:
    """Everything but writing: judge, ask the repository, render, and read the result again."""
    from cloud import config, hot, plan, summary

    cluster, findings = _resolved(config.cluster(asked), asked, ui)
    problems = list(findings.problems)
    _stop_at_errors(problems)
    planned = plan.make(hot.text(cluster), name=DEFAULT_OUT if out == "-" else out)
    problems += planned.problems
    _stop_at_errors(problems)
    return summary.Made(cluster=cluster, findings=findings, problems=tuple(problems), plan=planned, out=out)


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
    placed = tuple(
        replace(problem, where=problem.where or _origin(asked, problem.what.split(" ", 1)[0]))
        for problem in findings.problems
    )
    return replace(cluster, job=job), replace(findings, problems=placed)


def _origin(asked: Request, key: str) -> str:
    """Where the value of a key came from, its default included; empty for what is no key."""
    setting = BY_KEY.get(key)
    return asked.origin(key) or (f"default of {setting.flag}" if setting else "")


def _stop_at_errors(problems: list[Problem]) -> None:
    if any(problem.level == "error" for problem in problems):
        raise ProblemsFound(*sorted(problems, key=lambda problem: problem.level != "error"))


def _show(ui: Ui, made: Made) -> None:
    from cloud import summary

    if ui.is_json:
        ui.document(summary.document(made))
    elif ui.is_quiet or made.out == "-":
        ui.problems([problem for problem in made.problems if problem.level == "warning"])
        if made.out == "-":
            ui.raw(made.plan.text)
    else:
        ui.result()
        ui.rows(summary.rows(made))
        ui.result()
        ui.rows(summary.next_steps(made, ui.program), whole=True)
        ui.result()
        ui.result(f"Generated at {made.out}!")
