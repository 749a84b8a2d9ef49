"""What a rehearsal does before its first machine: what is refused, what is told, how it can be ended."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cloud.errors import Interrupted, Problem, ProblemsFound
from cloud.rehearse import Options, environment, rehearse, roots
from cloud.rehearse.interrupts import Interrupts
from tests.rehearse import fakes

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.rehearse.prepare import Say

pytestmark = pytest.mark.process


def test_errors_of_the_template_start_nothing(cache: Path, runs: Path) -> None:
    """A plan with an error is refused before anything is made."""
    plan = replace(fakes.plan(fakes.TRAINS), problems=(Problem(code="x", what="x"),))
    with pytest.raises(ProblemsFound):
        rehearse(plan, Options(runs_dir=runs), fakes.Ui())
    assert not runs.exists()


def test_an_interrupt_before_the_start_is_raised(
    cache: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was started, so there is nothing to report."""
    monkeypatch.setattr(Interrupts, "__enter__", lambda self: (setattr(self, "name", "SIGINT"), self)[1])
    with pytest.raises(Interrupted):
        rehearse(fakes.plan(fakes.TRAINS), Options(runs_dir=runs), fakes.Ui())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_preparation_at_once(
    cache: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """No further step is taken, no run's directory made, and the exit code is 130."""
    went_on = []

    def pressed(*_: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(1)
        went_on.append(number)

    monkeypatch.setattr(environment, "search_path", pressed)
    with pytest.raises(Interrupted) as caught:
        rehearse(fakes.plan(fakes.TRAINS), Options(runs_dir=runs), fakes.Ui())
    assert (caught.value.exit_code, went_on, runs.exists()) == (130, [], False)


def test_what_is_prepared_is_told_at_once(cache: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Size, place and uv's cache are on the screen while the preparation goes on; with --quiet they are not."""
    seen = {}
    monkeypatch.setattr(
        roots, "uv_cache", lambda _environ, cache, say: say("packages are kept here") or cache
    )
    search_path = environment.search_path
    for ui in (fakes.Ui(), fakes.Ui(is_quiet=True)):

        def looked(environ: dict[str, str], say: Say, ui: fakes.Ui = ui) -> str:
            seen[ui.is_quiet] = ui.text
            return search_path(environ, say)

        monkeypatch.setattr(environment, "search_path", looked)
        rehearse(fakes.plan(fakes.TRAINS), Options(runs_dir=runs), ui)
    assert "machines in" in seen[False]
    assert "packages are kept here" in seen[False]
    assert seen[True] == ""
