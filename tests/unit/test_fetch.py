from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cloud.stack import record
from cloud.stack.fetch.listing import BadAnswer, is_harmless, listing
from cloud.stack.fetch.progress import size_text

HEAD = {"run": "r1", "attempt": 1, "phase": "collected"}


def lines(*documents: Any) -> list[bytes]:
    """An answer."""
    return [json.dumps(each).encode() for each in documents]


@pytest.mark.parametrize(
    "name",
    [
        "../x", "results/../../x", "/etc/passwd", "results//x", "results/./x", "results/", "results", "", ".", "x",
        "results/a\0b", "cloud.json", "known_hosts", ".part/x", "earlier/x", "results/..", "logs/../known_hosts",
        "./results/x",
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    """It is counted, not followed."""
    assert not is_harmless(name)
    found = listing(lines(HEAD, {"path": name, "size": 1, "sha256": ""}, {"end": 1}))
    assert (found.files, found.refused) == ((), (name,))


@pytest.mark.parametrize(
    "name",
    ["results/a b", "results/-rf", "results/ü\udcff", "results/a\nb", "logs/worker-1/train.log", "results/x.part",
     "results/..hidden", "results/a\\b", "manifest.sha256", "status.json"],
)  # fmt: skip
def test_odd_names_are_fine(name: str) -> None:
    """Blanks, dashes, line ends and bytes that are no text are only names."""
    found = listing(lines(HEAD, {"path": name, "size": 1, "sha256": "x"}, {"end": 1}))
    assert [(each.path, each.sha256) for each in found.files] == [(name, "")]


def test_the_masters_status_gets_a_name_of_its_own() -> None:
    """In a run's directory status.json is what this program made of it."""
    found = listing(lines(HEAD, {"path": "status.json", "size": 1, "sha256": "0" * 64}, {"end": 1}))
    assert [(each.place, each.sha256) for each in found.files] == [("master-status.json", "0" * 64)]


@pytest.mark.parametrize(
    "answer",
    [
        [], [b"x"], [b"[]"], lines(HEAD), lines({**HEAD, "run": "../.."}, {"end": 0}), lines({**HEAD, "attempt": "1"}),
        lines(HEAD, {"path": "results/x", "size": -1}), lines(HEAD, {"path": 7, "size": 1}, {"end": 1}),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_an_error(answer: list[bytes]) -> None:
    """Also one that ends before its end."""
    with pytest.raises(BadAnswer):
        listing(answer)


def test_only_a_judged_run_with_its_manifest_is_whole() -> None:
    """A snapshot never counts as fetched."""
    manifest = {"path": "manifest.sha256", "size": 1, "sha256": ""}
    assert listing(lines(HEAD, manifest, {"end": 1})).is_whole
    assert not listing(lines(HEAD, {"end": 0})).is_whole
    assert not listing(lines({**HEAD, "phase": "running"}, manifest, {"end": 1})).is_whole


def test_every_run_that_came_home_is_remembered(tmp_path: Path) -> None:
    """Not only the last; an older file has the last one, and what is no list is none."""
    kept = record.Record(cloud="here", name="digits", template_sha256="")
    record.write(tmp_path, kept.brought("r2").brought("r1"))
    found = record.read(tmp_path, "digits")
    assert found is not None
    assert (found.fetched_run, found.fetched_runs) == ("r1", ("r1", "r2"))
    file = tmp_path / "digits" / record.FILE
    for odd in ({}, {"fetched_runs": None}, {"fetched_runs": "r1 r2"}):
        file.write_text(json.dumps({"cloud": "here", "name": "digits", "fetched_run": "r1", **odd}))
        found = record.read(tmp_path, "digits")
        assert found is not None
        assert found.fetched == {"r1"}


def test_sizes_are_told_in_units() -> None:
    """With one digit behind the point."""
    assert [size_text(each) for each in (312, 4_100, 4_100_000, 2 * 10**9)] == [
        "312 bytes",
        "4.1 kB",
        "4.1 MB",
        "2.0 GB",
    ]
