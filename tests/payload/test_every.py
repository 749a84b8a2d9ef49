"""When a checkpoint is due, and what of `--checkpoint-every` is understood."""

from __future__ import annotations

import pytest
from keep.every import Every, every


@pytest.mark.parametrize(
    ("text", "epochs", "seconds"),
    [("epoch", 1, 0), ("1epoch", 1, 0), ("2epochs", 2, 0), ("3 epochs", 3, 0), ("30s", 0, 30), ("90", 0, 90),
     ("10min", 0, 600), ("0.5h", 0, 1800), ("2.5 S", 0, 2.5)],
)  # fmt: skip
def test_intervals(text: str, epochs: int, seconds: float) -> None:
    """Epochs with and without a number, seconds, minutes, hours."""
    assert every(text) == Every(epochs=epochs, seconds=seconds)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("10mn", "; did you mean 10min?"), ("2epoch s", ""), ("0", ""), ("0epochs", ""), ("", ""), ("-5s", ""), (".", ""),
     ("5minutes", "; did you mean 5min?"), ("1.5epochs", ""), ("epcoh", "; did you mean epoch?"), ("1e9s", "")],
)  # fmt: skip
def test_what_is_no_interval(text: str, hint: str) -> None:
    """What was given, what is near, what is possible."""
    with pytest.raises(ValueError, match="is no interval") as caught:
        every(text)
    assert str(caught.value) == f"{text!r} is no interval; epoch, 2epochs, 30s, 10min, 1h, 90 are{hint}"


def test_when_one_is_due() -> None:
    """At the end of every second epoch and at no step before; or when the seconds are over, wherever that is."""
    by_epochs, by_seconds = every("2epochs"), every("30s")

    assert [by_epochs.is_due(epoch_ended=True, epoch=epoch, seconds=0) for epoch in (1, 2, 3, 4)] == [
        False,
        True,
    ] * 2
    assert not by_epochs.is_due(epoch_ended=False, epoch=2, seconds=1e9)
    assert [by_seconds.is_due(epoch_ended=False, epoch=0, seconds=s) for s in (0, 29.9, 30)] == [
        False,
        False,
        True,
    ]
