from __future__ import annotations

import signal

from cloud.rehearse.returns import MAX_RETURNS, RETURN_AFTER_S, Returns, ended_by


def test_only_a_signal_brings_a_machine_back() -> None:
    """0, 5 and 130 are how a node program ends by itself; a shell tells a signal as 128 and more."""
    codes = (0, 5, 130, 1, 3, -9, 137, -11, 255)
    assert [ended_by(code) for code in codes] == [
        None, None, None, None, None, signal.SIGKILL, signal.SIGKILL, signal.SIGSEGV, None,
    ]  # fmt: skip


def test_a_machine_is_due_after_a_pause_and_then_no_longer_waited_for() -> None:
    """Until then it counts as on its way."""
    returns = Returns()
    assert returns.plan("worker-1", -9, 100.0)
    assert not returns.plan("worker-2", 5, 100.0)
    assert (returns.waiting, returns.take_due(100.0)) == ({"worker-1"}, [])
    assert returns.take_due(100.0 + RETURN_AFTER_S) == ["worker-1"]
    assert returns.waiting == set()


def test_a_machine_comes_back_four_times() -> None:
    """Then it stays away, as a unit that was restarted too often; others have their own count."""
    returns = Returns()
    assert [returns.plan("worker-1", -9, 0.0) for _ in range(MAX_RETURNS + 1)] == [True] * 4 + [False]
    assert returns.plan("worker-2", -9, 0.0)


def test_a_run_that_is_over_needs_nobody() -> None:
    """Who was on the way is no longer waited for."""
    returns = Returns()
    returns.plan("worker-1", -9, 0.0)
    returns.cancel()
    assert returns.waiting == set()
