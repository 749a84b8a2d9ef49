"""Template text + overrides -> `Plan`: what would be made, as a person reviews it. Pure.

A rehearsal and a cloud both start from a plan; neither renders the template again.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloud import check
from cloud.checks import limits
from cloud.resolve import workers
from cloud.template import parameters as parameters_
from cloud.template.document import Template, load
from cloud.template.parameters import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cloud.errors import Problem

_NOTHING: Mapping[str, Any] = {}
_KEY_COLUMNS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A template with its values and everything that was found about it."""

    text: str
    """The file as it is."""
    template: Template
    """What it says."""
    parameters: Mapping[str, Any]
    """Values of its parameters, overrides included; those that are invalid are in the problems too."""
    problems: tuple[Problem, ...]
    """Findings in the order of the file."""

    @property
    def workers(self) -> int:
        """Machines beside the master."""
        return workers(self.parameters)

    @property
    def nnodes(self) -> int:
        """Machines in all."""
        return self.workers + 1

    @property
    def is_ready(self) -> bool:
        """Whether nothing keeps it from being used."""
        return not check.is_error(self.problems)

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes that each part of the user data takes."""
        return limits.sizes(self.template, self.parameters)

    def __str__(self) -> str:
        lines = [f"{key:<{_KEY_COLUMNS}}{text}" for key, text in _review(self)]
        return "\n".join([self.template.name, *(f"  {line}".rstrip() for line in lines)]) + "\n"


def make(text: str, overrides: Mapping[str, Any] = _NOTHING, name: str = "template.yml") -> Plan:
    """Read a template and judge it; ProblemsFound only for what can't be read as one of ours."""
    template = load(text, name)
    values, _ = parameters_.values(template, overrides)
    return Plan(
        text=text,
        template=template,
        parameters=values,
        problems=tuple(check.of_template(template, overrides)),
    )


def cluster_line(plan: Plan) -> str:
    """Return the machines in one line."""
    get = plan.parameters.get
    machines = f"1 master ({get('master_flavor')})"
    if plan.workers:
        machines += f" + {plan.workers} worker{'s' if plan.workers > 1 else ''} ({get('worker_flavor')})"
    return f"{machines}, image {get('image')}"


def network_line(plan: Plan) -> str:
    """Return the network in one line: addresses, way out, who may come in."""
    get = plan.parameters.get
    outside = f"out through {get('external_network')}" if get("external_network") else "no way out"
    door = (
        f"port 22 of the master from {get('ssh_cidr')}"
        if get("security_groups") == "yes"
        else "no security group"
    )
    return f"{get('network_cidr')}, {outside}, {door}"


def source_line(plan: Plan) -> str:
    """Return the repository and its ref in one line."""
    return f"{redacted(plan.parameters.get('repo'))} at {plan.parameters.get('ref') or 'its default branch'}"


def job_line(plan: Plan) -> str:
    """Return what is run in one line, as one would type it."""
    get = plan.parameters.get
    command = f"python {shlex.quote(str(get('entrypoint')))} {get('args', '')}".strip()
    return f"{command}   in {get('requirements')}"


def _review(plan: Plan) -> Iterator[tuple[str, str]]:
    get = plan.parameters.get
    sizes = plan.sizes
    kib = len(plan.text.encode(errors="surrogatepass")) / 1024
    yield "cluster", cluster_line(plan)
    yield "network", network_line(plan)
    yield "source", source_line(plan)
    yield "job", job_line(plan)
    if get("setup"):
        yield "setup", str(get("setup"))
    resources = len(plan.template.section("resources"))
    yield (
        "size",
        f"{kib:.0f} KiB, {resources} resources; user data {sizes['total']:,} of {sizes['limit']:,} bytes",
    )
    for problem in plan.problems:
        yield problem.level, f"{problem.where}: {problem.what}" if problem.where else problem.what
        if problem.fix:
            yield "", f"fix: {problem.fix}"
