"""What a machine remembers between its runs, and what it finds out about itself."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cloud.node import machine, signals, standing
from cloud.node.failure import Anew
from cloud.node.machine import Identity

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.node.context import Context


@pytest.fixture
def staying(context: Context, monkeypatch: pytest.MonkeyPatch) -> Context:
    """worker-1, which stays after its run."""
    monkeypatch.setenv("HOTRUN_STAYS", "1")
    monkeypatch.setattr(standing, "_end", lambda *_: None)
    monkeypatch.setattr(standing, "_LOOK_IN_REHEARSAL_S", 0.0)
    monkeypatch.setattr(machine, "glance", lambda: None)
    context.identity = replace(context.identity, server="own")
    return context


def test_a_rehearsed_machine_ends_with_its_run(context: Context) -> None:
    """Nothing of an earlier rehearsal in the same place counts."""
    assert [5, 0] == [standing.by(context, code) for code in (5, 0)]
    assert not standing.begin(context)


def test_a_worker_of_a_good_run_powers_off_and_remembers(staying: Context) -> None:
    """Started again it begins no run that it has seen to its end, but a later one."""
    assert not standing.begin(staying)
    assert 0 == standing.by(staying, 0)
    assert standing.begin(staying)
    staying.identity = replace(staying.identity, rerun=1)
    assert not standing.begin(staying)


def test_a_disk_of_another_machine_brings_nothing(staying: Context) -> None:
    """An image made of a machine whose hours were over starts with its own."""
    staying.layout.born.write_text("1.0 another")
    staying.layout.judged.write_text("7")
    assert not standing.begin(staying)
    assert staying.ends_at > time.time()


def test_hours_count_from_the_first_start(staying: Context) -> None:
    """Results come home before the machine powers off, ten minutes or a tenth of short hours."""
    staying.layout.born.write_text("1000.0 own")
    for hours, expected in ((24.0, 1000 + 24 * 3600 - 600), (0.5, 1000 + 1800 - 180)):
        staying.job = replace(staying.job, max_hours=hours)
        standing.begin(staying)
        assert expected == pytest.approx(staying.ends_at, abs=0.1)


def test_another_run_starts_the_program_anew(staying: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence of the metadata service and the same number mean waiting."""
    own = staying.identity
    told = iter([None, own, replace(own, nnodes=5), replace(own, rerun=1)])
    monkeypatch.setattr(machine, "glance", lambda: next(told))
    with pytest.raises(Anew):
        standing.by(staying, 5)
    assert list(told) == []


def test_a_worker_looks_once_more_before_it_powers_off(
    staying: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may have been asked for while this one ended."""
    monkeypatch.setattr(machine, "glance", lambda: replace(staying.identity, rerun=1))
    with pytest.raises(Anew):
        standing.by(staying, 0)


@pytest.mark.parametrize("left", ["", "brok"])
def test_a_broken_mark_says_that_the_run_was_judged(staying: Context, left: str) -> None:
    """Its disk was full: the run is not begun again, a later one is waited for."""
    staying.layout.born.write_text(f"{time.time()} own")
    staying.layout.judged.write_text(left)
    assert standing.begin(staying)


def test_a_full_disk_keeps_no_machine_from_standing_by(
    staying: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marks are written whole or not at all."""

    def full(path: Path, _: str) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    assert not standing.begin(staying)
    assert staying.ends_at > time.time()
    assert 0 == standing.by(staying, 0)
    assert not staying.layout.born.exists()
    assert not staying.layout.judged.exists()


def test_metadata_name_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts, as Nova keeps them; without them it is the first run."""
    meta = '{"uuid": "u", "meta": {"hotrun_rank": "1", "hotrun_workers": "2"%s}}'
    later = ', "hotrun_rerun": "3", "hotrun_ref": "main", "hotrun_args": " "'
    for more, expected in (("", (0, "", "")), (later, (3, "main", " "))):
        text = (meta % more).encode()
        monkeypatch.setattr(
            machine, "_get", lambda url, *_, text=text: text if "json" in url else b"10.0.0.2\n"
        )
        found = machine.identity("", 0.0, lambda _: None)
        assert found == Identity(1, 3, "u", "10.0.0.2", *expected)


def test_a_metadata_service_that_is_silent_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look between runs fails without a word."""
    monkeypatch.setenv("HOTRUN_METADATA_URL", "http://127.0.0.1:9")
    assert machine.glance() is None


def test_the_host_key_is_the_best_without_its_comment(tmp_path: Path) -> None:
    """ed25519, else ecdsa, else rsa, else nothing."""
    assert "" == machine.host_key(tmp_path)
    (tmp_path / "etc/ssh").mkdir(parents=True)
    for kind in ("rsa", "ecdsa", "ed25519"):
        (tmp_path / f"etc/ssh/ssh_host_{kind}_key.pub").write_text(f"ssh-{kind} AAAA root@host\n")
        assert f"ssh-{kind} AAAA" == machine.host_key(tmp_path)


def test_a_later_run_has_signals_of_its_own() -> None:
    """Heat keeps those of the earlier ones."""
    assert ["gate", "gate-2"] == [signals.numbered("gate", rerun) for rerun in (0, 2)]


def test_a_driver_that_still_loads_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is a card; without one, or after the deadline, nvidia-smi's word is believed."""
    said: list[str] = []
    answers = iter([[], [], ["GPU 0: one"]])
    monkeypatch.setattr(machine.shutil, "which", lambda _: "nvidia-smi")
    monkeypatch.setattr(machine, "_listed", lambda _: next(answers))
    monkeypatch.setattr(machine, "_DRIVER_PAUSE_S", 0.0)
    monkeypatch.setattr(machine, "_PCI", tmp_path)
    assert [] == machine.gpus(time.monotonic() + 60, said.append)
    (tmp_path / "0000:00:05.0").mkdir()
    (tmp_path / "0000:00:05.0/vendor").write_text("0x10de\n")
    assert ["GPU 0: one"] == machine.gpus(time.monotonic() + 60, said.append)
    assert 1 == len(said)
    monkeypatch.setattr(machine, "_listed", lambda _: [])
    assert [] == machine.gpus()
