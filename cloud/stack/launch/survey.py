"""Plan + cloud -> everything that would keep a stack from being made, found at once. Makes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloud import check
from cloud.by_hand import text
from cloud.stack.judge import judge
from cloud.stack.judge.case import Answers, Case
from cloud.stack.judge.needs import Needs, needs
from cloud.stack.judge.prices import cost
from cloud.stack.judge.refusals import refusals
from cloud.stack.launch.asking import asked
from cloud.template import parameters as parameters_

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping

    from cloud.errors import Problem
    from cloud.plan import Plan
    from cloud.stack.api import Cloud
    from cloud.stack.judge.prices import Prices
    from cloud.ui import Ui

_LABELS = {"error": "ERROR", "warning": "warn", "note": "note"}
_ORDER = ("error", "warning", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table."""

    level: str
    """`ok`, `error`, `warning`, `note` or `cost`."""
    text: str
    fix: str = ""
    """What to type, or empty."""
    docs: str = ""
    """Page and heading, or empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a cloud says to a plan."""

    name: str
    """The stack's name."""
    label: str
    """The cloud, region and project."""
    needs: Needs | None
    """What the stack takes; None when the parameters don't say."""
    ok: tuple[str, ...]
    """What is well, a sentence each."""
    problems: tuple[Problem, ...]
    """Those of the plan, then those of the cloud."""
    cost: tuple[str, ...]
    """What it costs and what ends that."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Values to send: those that differ from the template's defaults."""

    @property
    def is_ready(self) -> bool:
        """Whether nothing keeps the stack from being made."""
        return not check.is_error(self.problems)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The table: what is well, errors, warnings, notes, the cost."""
        return tuple(self._lines())

    def _lines(self) -> Iterator[Line]:
        for sentence in self.ok:
            yield Line(level="ok", text=sentence)
        for level in _ORDER:
            for problem in self.problems:
                if problem.level == level:
                    docs = "" if level == "note" else problem.docs
                    yield Line(level=level, text=problem.what, fix=problem.fix, docs=docs)
        for sentence in self.cost:
            yield Line(level="cost", text=sentence)

    def as_json(self) -> dict[str, Any]:
        """The part of a JSON document that tells of the cloud."""
        return {
            "cloud": self.label, "name": self.name, "is_ready": self.is_ready, "ok": list(self.ok),
            "needs": {} if self.needs is None else {
                "machines": self.needs.machines,
                **{key: self.needs.of(key) for key in {**self.needs.fixed, **self.needs.each_worker}},
            },
            "cost": list(self.cost), "parameters": dict(self.parameters),
            "problems": [problem.as_json() for problem in self.problems],
        }  # fmt: skip


def survey(
    cloud: Cloud,
    plan: Plan,
    name: str,
    *,
    now: dt.datetime | None = None,
    prices: Prices | None = None,
    say: Callable[[str], None] | None = None,
) -> Survey:
    """Ask a cloud everything that decides whether a plan's stack can be made there; makes nothing.

    A question that fails is a problem of its own, and the others are asked all the same. Raises CloudError
    only when the login itself is over, and NoAccess where there is none.
    """
    say = say or _silent
    sent = to_send(plan)
    found, failed = asked(_questions(cloud, plan, name, sent), say)
    needed = needs(plan)
    answers = _answers(cloud, found)
    now = now or cloud.time()
    case = Case(plan=plan, name=name, needs=needed, answers=answers, now=now)
    well, problems = judge(case)
    problems = [*plan.problems, *problems]
    problems += refusals(failed, problems, case)
    accepted = _accepted(answers, found)
    return Survey(
        name=name, label=cloud.label, needs=needed, ok=(*accepted, *well), problems=tuple(_once(problems)),
        cost=tuple(cost(case, prices)), parameters=sent,
    )  # fmt: skip


def to_send(plan: Plan) -> dict[str, str]:
    """Return the parameters whose values differ from the template's own, as text."""
    own, _ = parameters_.values(plan.template, {})
    return {key: text(value) for key, value in plan.parameters.items() if key not in own or own[key] != value}


def show(found: Survey, ui: Ui) -> None:
    """Show the table."""
    rows: list[tuple[str, str]] = []
    for line in found.lines:
        rows.append((_LABELS.get(line.level, line.level), line.text))
        below = "   ".join(part for part in (line.fix, line.docs) if part)
        if below:
            rows.append(("", below))
    ui.rows(rows)


def count(problems: tuple[Problem, ...]) -> str:
    """Return `2 errors, 1 warning`, or `no problems`."""
    levels = [problem.level for problem in problems]
    told = [
        f"{levels.count(level)} {level}{'s' if levels.count(level) > 1 else ''}"
        for level in _ORDER
        if level in levels
    ]
    return ", ".join(told) or "no problems"


def _questions(cloud: Cloud, plan: Plan, name: str, sent: Mapping[str, str]) -> dict[str, Callable[[], Any]]:
    network = str(plan.parameters.get("external_network", ""))

    def unbound() -> int | None:
        known = [one.id for one in cloud.networks() if network in (one.name, one.id) and one.is_external]
        return cloud.free_floating_ips(known[0]) if len(known) == 1 else None

    return {
        "preview": lambda: cloud.preview(name, plan.text, sent),
        "validate": lambda: cloud.validate(plan.text),
        "quotas": cloud.quotas,
        "flavors": cloud.flavors,
        "images": cloud.images,
        "networks": cloud.networks,
        "key_names": cloud.key_names,
        "reservations": cloud.reservations,
        "stack": lambda: cloud.stack(name),
        "heat_version": cloud.heat_version,
        **({"free_floating_ips": unbound} if network else {}),
    }


def _answers(cloud: Cloud, found: Mapping[str, Any]) -> Answers:
    def listed(name: str) -> tuple[Any, ...] | None:
        return None if found.get(name) is None else tuple(found[name])

    return Answers(
        heat_version=found.get("heat_version"), resources=found.get("preview"), flavors=listed("flavors"),
        images=listed("images"), key_names=listed("key_names"), networks=listed("networks"),
        quotas=found.get("quotas"), free_floating_ips=found.get("free_floating_ips"),
        reservations=listed("reservations"), stack=found.get("stack"),
        has_blazar="reservations" not in found or found["reservations"] is not None,
        is_application_credential=cloud.is_application_credential,
    )  # fmt: skip


def _accepted(answers: Answers, found: Mapping[str, Any]) -> Iterator[str]:
    by = f"Heat {answers.heat_version}" if answers.heat_version else "Heat"
    if answers.resources is not None:
        yield f"template accepted by {by} (validate, preview: {answers.resources} resources)"
    elif "validate" in found:
        yield f"template read by {by}"


def _once(problems: list[Problem]) -> Iterator[Problem]:
    seen: set[tuple[str, str]] = set()
    for problem in problems:
        if (problem.code, problem.what) not in seen:
            seen.add((problem.code, problem.what))
            yield problem


def _silent(_: str) -> None:
    """Say nothing."""
