"""runs/NAME/cloud.json: what this computer remembers of a stack."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING

import pytest

from cloud.errors import RequestError
from cloud.stack import record
from cloud.stack.record import Record
from tests.unit.signalled import machine

if TYPE_CHECKING:
    from pathlib import Path

RECORD = Record(cloud="lab / project demo", name="digits-1", template_sha256="ab" * 32, stack_id="s1")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """A record comes back as it was; the file says which form it has."""
    kept = dataclasses.replace(RECORD, resources=(("OS::Nova::Server", "a"),), run="r1", fetched_run="r0")
    record.write(tmp_path, kept)
    assert record.read(tmp_path, "digits-1") == kept
    assert json.loads((tmp_path / "digits-1/cloud.json").read_text())["schema"] == 1


def test_ids_only_grow() -> None:
    """A resource that was seen once stays; one without a physical id is none; none is there twice."""
    grown = RECORD.grow([machine("master"), machine("worker-1")]).grow(
        [("OS::Neutron::Port", "p"), machine("master")]
    )
    assert grown.resources == (
        ("OS::Nova::Server", "id-master"), ("OS::Nova::Server", "id-worker-1"), ("OS::Neutron::Port", "p"),
    )  # fmt: skip
    assert grown.grow([("OS::Neutron::Port", "")]) is grown


@pytest.mark.parametrize("text", ["", "{", "[]", '{"resources": [1]}', '{"resources": [["a"]]}'])
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    """Heat holds the truth: what can't be understood here is forgotten, not an error."""
    (tmp_path / "digits-1").mkdir()
    (tmp_path / "digits-1/cloud.json").write_text(text)
    assert record.read(tmp_path, "digits-1") is None


def test_a_failed_write_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk has the old text or the new one, and no remains."""
    record.write(tmp_path, RECORD)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RequestError, match="No space left"):
        record.write(tmp_path, dataclasses.replace(RECORD, stack_id="s2"))
    assert record.read(tmp_path, "digits-1") == RECORD
    assert [path.name for path in (tmp_path / "digits-1").iterdir()] == ["cloud.json"]


def test_a_stack_gets_its_directory_and_its_record(tmp_path: Path) -> None:
    """A computer that knows nothing of a stack can follow it; ids of an earlier one of this name stay."""
    made = record.claim(tmp_path / "runs", "lab", "digits-1", "s1")
    assert record.read(tmp_path / "runs", "digits-1") == made
    record.write(
        tmp_path / "runs", dataclasses.replace(made, resources=(("OS::Neutron::Port", "p"),), run="r1")
    )
    assert record.claim(tmp_path / "runs", "lab", "digits-1", "s1", "ab").run == "r1"
    newer = record.claim(tmp_path / "runs", "lab", "digits-1", "s2")
    assert (newer.resources, newer.run, newer.stack_id) == ((("OS::Neutron::Port", "p"),), "", "s2")


def test_nothing_of_somebody_else_is_written_over(tmp_path: Path) -> None:
    """A rehearsal's directory and that of another cloud's stack are refused; what `fetch` left is a stack's."""
    for name in ("rehearsed", "fetched"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "status.json").write_text("{}")
    (tmp_path / "fetched/.fetched.json").write_text("{}")
    record.write(tmp_path, RECORD)
    for cloud, name in (("lab", "rehearsed"), ("another", "digits-1")):
        with pytest.raises(RequestError) as caught:
            record.claim(tmp_path, cloud, name, "s9")
        assert (caught.value.problems[0].code, "--runs-dir" in caught.value.problems[0].fix) == (
            "run-exists",
            True,
        )
    assert record.claim(tmp_path, "lab", "fetched", "s9").stack_id == "s9"
    assert record.read(tmp_path, "digits-1") == RECORD


def test_an_earlier_run_at_home_is_not_the_newest() -> None:
    """It is fetched, and the last that was told or fetched stays the last."""
    kept = RECORD.brought("r2").brought("r1", is_newest=False)
    assert (kept.run, kept.fetched_run, kept.fetched) == ("r2", "r2", {"r1", "r2"})


def test_when_it_was_written_last_is_known(tmp_path: Path) -> None:
    """In UTC; empty where there is none."""
    record.write(tmp_path, RECORD)
    os.utime(tmp_path / "digits-1/cloud.json", (0, 0))
    assert record.written_at(tmp_path, "digits-1") == "1970-01-01 00:00 UTC"
    assert record.written_at(tmp_path, "nobody") == ""


def test_names_are_those_of_stacks(tmp_path: Path) -> None:
    """A rehearsal's directory is none; a folder that is not there has none."""
    record.write(tmp_path, RECORD)
    (tmp_path / "rehearsed").mkdir()
    assert record.names(tmp_path) == ["digits-1"]
    assert record.names(tmp_path / "nowhere") == []
