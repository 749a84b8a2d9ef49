"""`rehearse`: a template's own nodes on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloud.commands.options import (
    Command,
    make_ui,
    overrides,
    parameter_option,
    read_template,
    reporting,
    template_argument,
)

if TYPE_CHECKING:
    from cloud.rehearse import Options
    from cloud.rehearse.report import Report
    from cloud.rehearse.slurm.report import SlurmReport
    from cloud.ui import Ui


@click.command(
    cls=Command,
    example="rehearse template.yml --workers 2",
    short_help="Run a template, or a job.sbatch, on this machine.",
)
@template_argument
@click.option("--workers", metavar="N", help="Machines beside the master, instead of the template's number.")
@click.option(
    "--source", type=click.Path(), metavar="DIR", help="A checkout that stands in for the repository."
)
@click.option("--name", metavar="NAME", help="Name of the run: its results go to runs/NAME.")
@click.option(
    "--level",
    default="auto",
    metavar="LEVEL",
    help="What a machine is: namespace, process, or auto for the first of them that works here.  [auto]",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="KIND[:VALUE][:MACHINE][@WHEN]",
    help="What goes wrong, as in kill:worker-1@train+5 or slow:100mbit; may be given more than once.",
)
@click.option(
    "--cpu-share",
    "cpu_shares",
    multiple=True,
    metavar="[MACHINE=]PERCENT",
    help="How much of a core every machine may use, or the named one; may be given more than once.",
)
@click.option("--cpus", metavar="N", help="Cores of each machine.  [an equal share of this machine's]")
@click.option(
    "--runs-dir", type=click.Path(), default="runs", metavar="DIR", help="Where results go.  [runs]"
)
@click.option(
    "--fetch",
    default="",
    metavar="COMMAND",
    help="For a job.sbatch: what fetches its data, where there is a network; runs in its environment.",
)
@click.option("--fresh", is_flag=True, help="Make new machines instead of those of the last rehearsal.")
@parameter_option
@reporting
def rehearse(*, template: str, workers: str | None, parameters: tuple[str, ...], quiet: bool, as_json: bool,
             debug: bool, source: str | None, name: str | None, level: str, faults: tuple[str, ...],
             cpu_shares: tuple[str, ...], cpus: str | None, runs_dir: str, fetch: str,
             fresh: bool) -> int:  # fmt: skip
    """Run a template's own machines here: the whole flow and real training, with faults if you like.

    A job.sbatch runs on a real Slurm, which is started for it and ended again; that needs root.
    """
    from cloud import plan
    from cloud import rehearse as rehearsal
    from cloud.model import MAX_WORKERS
    from cloud.request import rules

    del debug  # main() reads it
    ui = make_ui(quiet=quiet, as_json=as_json)
    count = _number("workers", workers, rules.whole_number(0, MAX_WORKERS, "workers-out-of-range"))
    options: Options = rehearsal.Options(
        workers=count, source=Path(source) if source else None, name=name, level=level, fresh=fresh,
        faults=faults, cpu_shares=cpu_shares,
        runs_dir=Path(runs_dir), cpus=_number("cpus", cpus, rules.whole_number(1, 4096)), template=template,
    )  # fmt: skip
    text = read_template(template)
    report: Report | SlurmReport
    if text.startswith("#!"):
        report = _job(text, options, parameters, fetch, ui)
    else:
        _refuse_fetch(fetch, template)
        planned = plan.make(text, overrides(parameters, count), template)
        report = rehearsal.rehearse(planned, options, ui)
    if ui.is_json:
        ui.document(report.as_json())
    else:
        ui.result(str(report).rstrip("\n"))
    return report.exit_code


def _refuse_fetch(fetch: str, template: str) -> None:
    """Machines of a template reach the network themselves."""
    from cloud.errors import Problem, RequestError

    if fetch:
        what = f"--fetch is for a Slurm job, and the machines of {template} fetch their data themselves"
        raise RequestError(
            Problem(code="flag-of-other-target", what=what, where="flag --fetch", fix="leave it out")
        )


def _job(text: str, options: Options, parameters: tuple[str, ...], fetch: str, ui: Ui) -> SlurmReport:
    """Rehearse a batch script; flags that only machines of a template have are named, all at once."""
    from cloud.errors import Problem, ProblemsFound, RequestError

    given = {
        "--level": options.level != "auto", "--parameter": parameters, "--cpu-share": options.cpu_shares
    }  # fmt: skip
    named = [flag for flag, value in given.items() if value]
    what = f"is for machines of a template, and {options.template} is a Slurm job"
    problems = [
        Problem(code="flag-of-other-target", what=f"{flag} {what}", where=f"flag {flag}", fix="leave it out")
        for flag in named
    ]
    if problems:
        raise RequestError(*problems)
    if sys.platform != "linux":
        what = f"rehearse needs Linux; this is {sys.platform}"
        raise ProblemsFound(Problem(code="rehearsal-needs-linux", what=what))
    from cloud.rehearse.slurm.session import rehearse as run_job

    return run_job(text, options, ui, fetch)


def _number(key: str, value: str | None, rule: object) -> int | None:
    from cloud import config
    from cloud.errors import RequestError
    from cloud.request import rules

    if value is None:
        return None
    try:
        return int(rule(value))  # type: ignore[operator]
    except rules.Refused as refused:
        given = config.Given(key=key, value=value, origin=f"flag --{key}")
        raise RequestError(config.problem_of(given, refused)) from refused
