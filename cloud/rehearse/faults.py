"""`KIND[:VALUE][:MACHINE][@WHEN]` -> what goes wrong in a rehearsal, where and when. Pure.

    kill:worker-1@train+5        five seconds after worker-1's console says that `train` began
    kill:worker-1@epoch4         as soon as the training has told of its epoch 4
    unplug:60:worker-2           its cable is out for a minute, from the kind's own moment on
    slow:100mbit                 from before the first machine starts

All faults are read at once; what is wrong with them is one error. What a fault does is `inject.py`'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from cloud.errors import Problem, RequestError
from cloud.node.console import STAGES
from cloud.request.rules import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

_RATE = re.compile(r"\d+(\.\d+)?[kmg]bit")
_SIZE = re.compile(r"(\d+)([MG])B")
_SECONDS = re.compile(r"\d+(\.\d+)?s?")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%?")
LOW_MEMORY_BYTES = 160 * 10**6  # less than a rank's `import torch` takes, more than the node program's 30 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """A moment: `seconds` after `stage` began, or after the first machine's start where `stage` is empty.

    With `epoch` it is when any rank has told of that epoch.
    """

    stage: str = ""
    seconds: float = 0.0
    epoch: int | None = None

    def __str__(self) -> str:
        if self.epoch is not None:
            return f"in epoch {self.epoch}"
        if not self.stage:
            return f"at {self.seconds:g} s"
        return f"in {self.stage}" + (f" after {self.seconds:g} s" if self.seconds else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What may be said about a fault of one kind."""

    does: str
    """What it does; {machine} and {value} stand for what was typed."""
    machine: Literal["one", "one or all", "all"] = "one"
    """Whose fault it is: that of a named machine, of all where none is named, or always of all."""
    value: Literal["", "seconds", "rate", "percent", "size"] = ""
    needs_value: bool = False
    default: When | None = None
    """When it happens if nothing is said; None: before the first machine starts."""
    may_wait: bool = True
    """Whether it can happen later than before the start."""
    levels: tuple[str, ...] = ("process", "namespace")
    needs: str = ""
    """What the other levels lack for it."""


_IN_TRAINING = When(stage="train", seconds=2.0)  # ranks have met by then, and a short training is not over
_LAB = ("namespace",)
_NETWORK, _DISK = (f"machines there share this computer's {what}" for what in ("network", "disk"))
KINDS: dict[str, Kind] = {
    "kill-rank": Kind(does="kill a rank of {machine}", default=_IN_TRAINING),
    "kill-program": Kind(does="kill the node program of {machine}", default=_IN_TRAINING),
    "kill": Kind(does="kill {machine}", default=_IN_TRAINING),
    "stop": Kind(does="freeze {machine}", default=_IN_TRAINING),
    "lose": Kind(does="take {machine} away", default=_IN_TRAINING),
    "missing": Kind(does="never start {machine}", may_wait=False),
    "bad-commit": Kind(does="give {machine} another commit", may_wait=False),
    "bad-clock": Kind(does="put the clock of {machine} ten minutes off", may_wait=False),
    "unplug": Kind(
        does="unplug {machine}{value}", value="seconds", default=_IN_TRAINING, levels=_LAB, needs=_NETWORK
    ),
    "block-port": Kind(
        does="block the ports of {machine}", machine="one or all", levels=_LAB, needs=_NETWORK
    ),
    "no-dns": Kind(
        does="no name server answers {machine}", machine="one or all", levels=_LAB, needs=_NETWORK
    ),
    "full-disk": Kind(does="fill the disk of {machine}", levels=_LAB, needs=_DISK),
    "low-memory": Kind(does="give {machine} {value} of memory", value="size"),
    "slow": Kind(
        does="links of {value}", machine="all", value="rate", needs_value=True, levels=_LAB, needs=_NETWORK
    ),
    "loss": Kind(
        does="lose {value} of all packets", machine="all", value="percent", needs_value=True, levels=_LAB,
        needs=_NETWORK,
    ),
}  # fmt: skip
_VALUES = {  # kind of value -> how it is written, an example
    "seconds": (_SECONDS, "seconds, as in unplug:60:worker-1"),
    "rate": (_RATE, "a rate, as in slow:100mbit"),
    "percent": (_PERCENT, "percent, as in loss:5"),
    "size": (_SIZE, "a size, as in low-memory:4GB:worker-1"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong."""

    kind: str
    machine: str = ""
    """`worker-1`; empty for all machines."""
    value: str = ""
    """As typed; empty where the kind takes none or has one of its own."""
    when: When | None = None
    """None: before the first machine starts."""
    text: str = ""
    """All of it as typed."""

    @property
    def amount(self) -> float:
        """The value as seconds, percent or bytes; 0 without one. A rate stays text."""
        if KINDS[self.kind].value == "size":
            matched = _SIZE.fullmatch(self.value)
            return int(matched[1]) * {"M": 10**6, "G": 10**9}[matched[2]] if matched else LOW_MEMORY_BYTES
        number = re.match(r"\d+(\.\d+)?", self.value)
        return float(number[0]) if number else 0.0

    def __str__(self) -> str:
        shown_value = {
            "seconds": f" for {self.amount:g} s" if self.value else "", "rate": self.value,
            "percent": f"{self.amount:g} %", "size": f"{self.amount / 1e6:,.0f} MB", "": "",
        }[KINDS[self.kind].value]  # fmt: skip
        sentence = KINDS[self.kind].does.format(machine=self.machine or "all machines", value=shown_value)
        return f"{sentence} {self.when}" if self.when else sentence


def read(texts: Sequence[str], names: Sequence[str]) -> tuple[Fault, ...]:
    """The faults that `texts` ask for, on machines called `names`. Raises RequestError with all mistakes."""
    found, problems = [], []
    for text in texts:
        try:
            found.append(_fault(text, names))
        except _Mistake as mistake:
            what = f"{'@'.join(map(shown, text.split('@')))}: {mistake.what}"
            problems.append(
                Problem(code="fault-not-understood", what=what, where="flag --fault", fix=mistake.fix)
            )
    if problems:
        raise RequestError(*problems)
    return tuple(found)


def refused(faults: Sequence[Fault], level: str, why_not_better: str = "") -> list[Problem]:
    """What a level can't do of these; `why_not_better` says what keeps from the level that can."""
    problems = []
    for fault in faults:
        kind = KINDS[fault.kind]
        if level not in kind.levels:
            why = f"; {kind.levels[0]} is not possible here: {why_not_better}" if why_not_better else ""
            what = f"{fault.text}: level {level} can't do it, {kind.needs}{why}"
            fix = "" if why_not_better else f"--level {kind.levels[0]}"
            problems.append(Problem(code="fault-not-possible", what=what, where="flag --fault", fix=fix))
    return problems


class _Mistake(Exception):
    def __init__(self, what: str, fix: str = "") -> None:
        self.what, self.fix = what, fix


def _fault(text: str, names: Sequence[str]) -> Fault:
    head, at, moment = text.strip().partition("@")
    name, *rest = head.split(":")
    kind = KINDS.get(name)
    if kind is None:
        raise _Mistake("there is no such fault", _nearest(name, list(KINDS)))
    when = _when(moment, name) if at else kind.default
    if at and not kind.may_wait:
        raise _Mistake(
            f"{name} is there from the start and takes no @{shown(moment)}", f"leave out @{moment}"
        )
    value, rest = _value(name, kind, rest)
    machine = _machine(name, kind, rest, names)
    return Fault(kind=name, machine=machine, value=value, when=when, text=text.strip())


def _value(name: str, kind: Kind, rest: list[str]) -> tuple[str, list[str]]:
    """The value, and what is left of the parts."""
    if not kind.value:
        return "", rest
    form, example = _VALUES[kind.value]
    is_given = kind.needs_value or len(rest) > 1 or bool(rest and rest[0][:1].isdigit())
    if not is_given:
        return "", rest
    if not rest or not form.fullmatch(rest[0]):
        given = f"not {shown(rest[0])}" if rest and rest[0] else "which is missing"
        raise _Mistake(f"{name} takes {example}, {given}")
    number = float(re.match(r"[\d.]+", rest[0])[0])  # type: ignore[index]
    if not number or (kind.value == "percent" and number >= 100):
        raise _Mistake(f"{name} takes {example}, not {shown(rest[0])}")
    return rest[0], rest[1:]


def _machine(name: str, kind: Kind, rest: list[str], names: Sequence[str]) -> str:
    if kind.machine == "all" and rest:
        raise _Mistake(f"{name} is for all machines", f"leave out :{':'.join(map(shown, rest))}")
    if not rest or not rest[0]:
        if kind.machine == "one":
            raise _Mistake(f"{name} takes a machine", f"one of {_listed(names)}: {name}:{names[-1]}")
        return ""
    if len(rest) > 1:
        raise _Mistake(f"{name} does not take {shown(':'.join(rest[1:]))}")
    if rest[0] not in names:
        raise _Mistake(f"there is no machine {shown(rest[0])}", _nearest(rest[0], names))
    return rest[0]


def _when(moment: str, name: str) -> When:
    """`train`, `train+5`, `epoch4`, `20s`."""
    stage, plus, after = moment.partition("+")
    if not plus and re.fullmatch(r"\d+(\.\d+)?s", moment):
        return When(seconds=float(moment[:-1]))
    if not plus and re.fullmatch(r"epoch\d{1,6}", moment):
        return When(epoch=int(moment.removeprefix("epoch")))
    if stage not in STAGES:
        example = f"a stage, an epoch or seconds, as in {name}:…@train+5, @epoch4 or @20s"
        raise _Mistake(f"@{shown(moment)} is no moment; it takes {example}", _nearest(stage, list(STAGES)))
    if plus and not _SECONDS.fullmatch(after):
        raise _Mistake(f"+{shown(after)} is no number of seconds", f"@{stage}+5")
    return When(stage=stage, seconds=float(after.removesuffix("s")) if plus else 0.0)


def _nearest(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else f"there are {_listed(known)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 16 else f"{names[0]}, {names[1]} … {names[-1]}"
