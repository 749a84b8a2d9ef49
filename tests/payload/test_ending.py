"""How the programs end when something is wrong: a code, and one sentence on stderr."""

from __future__ import annotations

import sys

import pytest
from keep.checkpoints import CheckpointError
from machine.memory import MemoryShortError
from ranks.exact import DisagreementError
from ranks.order import OrderError
from recipe import ChoiceError
from show.ending import exit_codes
from show.report import ReportError
from sources.files import DataError


@pytest.mark.parametrize("kind", [ChoiceError, OrderError])
def test_a_value_that_no_run_can_have_is_2(kind: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence is on stderr, the code is 2."""
    with pytest.raises(SystemExit) as caught, exit_codes():
        raise kind("a batch of 0")

    assert caught.value.code == 2
    assert capsys.readouterr() == ("", "a batch of 0\n")


@pytest.mark.parametrize(
    "kind", [DataError, DisagreementError, ReportError, CheckpointError, MemoryShortError]
)
def test_what_can_not_be_had_is_1(kind: type[Exception]) -> None:
    """The sentence is the exit's, which Python prints with code 1."""
    with pytest.raises(SystemExit) as caught, exit_codes():
        raise kind("no disk")

    assert caught.value.code == "no disk"


def test_an_interrupt_is_130() -> None:
    """Also where Lightning has made an exit with 1 of it."""
    with pytest.raises(SystemExit) as plain, exit_codes():
        raise KeyboardInterrupt
    with pytest.raises(SystemExit) as lightnings, exit_codes():
        _exit_of_an_interrupt()

    assert [plain.value.code, lightnings.value.code] == [130, 130]


def test_other_ends_stay_what_they_are() -> None:
    """An exit keeps its code, a bug its name."""
    with pytest.raises(SystemExit) as caught, exit_codes():
        raise SystemExit(3)
    with pytest.raises(ZeroDivisionError), exit_codes():
        raise ZeroDivisionError

    assert caught.value.code == 3


def _exit_of_an_interrupt() -> None:
    try:
        raise KeyboardInterrupt  # noqa: TRY301  # a user's
    except KeyboardInterrupt:
        sys.exit(1)  # as Lightning does
