"""What a benchmark is made of, as data: contenders that run in turn, comparisons of their figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Program = Literal["lightning", "plain", "ddp_loop", "lightning_tutorial", "ray_train"]
OURS = ("lightning", "plain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One program with its arguments; it runs once per round."""

    name: str
    """Short, unique within its group: results are kept under it."""
    program: Program
    expected_s: float
    """Seconds of the whole process on two cores: for the estimate, and six times that is the deadline."""
    net: str = "mlp-512-256-128"
    epochs: int
    batch: int | None = None
    """Images per rank and step; None: the program's own choice."""
    world: int = 1
    threads: int | None = 1
    """Of each rank; None: the program's own choice."""
    precision: str | None = None
    workers: int = 0
    """Of a peer's DataLoader."""
    accumulate: int = 1
    local_sgd: int = 0
    link: str = ""
    """Name in LINKS: each rank in a network namespace of its own, the cable shaped. Empty: loopback."""
    is_quick: bool = True
    """Whether a quick run has it too."""

    @property
    def is_ours(self) -> bool:
        """Whether it is a program of payload/."""
        return self.program in OURS


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Contenders that run in turn, and how often."""

    name: str
    title: str
    rounds: int
    """Each with its own seed; every other one in reverse order."""
    contenders: tuple[Contender, ...]

    def __post_init__(self) -> None:
        """Names are keys."""
        names = [contender.name for contender in self.contenders]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.name}: two contenders have one name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One row of the report: a measure of one contender against that of another, round by round."""

    key: str
    """Heading of its note in notes.toml."""
    group: str
    title: str
    cause: str
    """What differs between the two, which is where the gain comes from."""
    measure: str
    """A key of MEASURES in verdicts.py."""
    ours: str
    theirs: str = ""
    """Empty: the measure of ours by itself."""
    or_theirs: str = ""
    """The same peer set otherwise: in each round the better of the two counts."""
    how: Literal["theirs / ours", "ours / theirs", "ours - theirs", "ours"] = "theirs / ours"
    target: float | None = None
    """None: for information."""
    is_upper_bound: bool = False
    """The target is the most that is allowed."""
    summary: Literal["median", "mean"] = "median"
    unit: str = "x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One run of one contender."""

    group: str
    round: int
    contender: Contender

    @property
    def seed(self) -> int:
        """Of weights and order: 1, 2, 3 …"""
        return self.round + 1


def turns(group: Group) -> list[Turn]:
    """The runs of a group in their order: A B, B A, A B …, so that a drift of the machine falls on both."""
    found = []
    for number in range(group.rounds):
        order = group.contenders if number % 2 == 0 else group.contenders[::-1]
        found += [Turn(group=group.name, round=number, contender=contender) for contender in order]
    return found


def estimate_s(planned: list[Turn]) -> float:
    """Seconds that the runs will take on two cores."""
    return sum(turn.contender.expected_s for turn in planned)
