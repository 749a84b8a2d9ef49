"""A request file: its keys and values, flags beside it, and what is wrong with it, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cloud import config
from tests.unit.asked import problems, written

if TYPE_CHECKING:
    from pathlib import Path


def test_a_relative_path_in_a_file_starts_there(tmp_path: Path) -> None:
    """A request file can stand in the repository it is about, wherever the command is typed."""
    path = written(tmp_path, "repo: .\nworkers: 1\nentrypoint: main.py\n")

    assert str(tmp_path) == config.cluster_from_file(path).job.repo


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """File and line first, as one reads them, then flags, then what is missing."""
    path = written(tmp_path, "workers: 300\nentry_point: x\nrequirements: ../x\n")

    found = problems(config.request({"engine": "jax"}, path))

    assert [problem.where for problem in found] == [
        f"{path}:1",
        f"{path}:2",
        f"{path}:3",
        "flag --engine",
        "",
    ]
    assert found[1].fix == "did you mean entrypoint?"
    assert found[4].what == "--repo and --entrypoint are missing"


def test_a_flag_wins_over_the_file(tmp_path: Path) -> None:
    """Also over a value of the file that would be wrong."""
    path = written(tmp_path, "workers: 300\nentrypoint: main.py\nrepo: https://example.org/a/b\n")

    assert config.cluster(config.request({"workers": "3"}, path)).workers == 3


def test_keys_take_dashes_and_values_keep_their_digits(tmp_path: Path) -> None:
    """`ref: 1e5` is a name, not a number; `max-hours` is `max_hours`."""
    path = written(
        tmp_path,
        "repo: https://example.org/a/b\nworkers: 0\nentrypoint: m.py\nref: 1e5\nmax-hours: 2\n"
        "env: {A: 1, B: yes}\nargs: [--name, two words]\nallow_single: true\ndns_nameservers: [1.1.1.1]\n",
    )

    found = config.cluster_from_file(path)

    assert (found.job.ref, found.job.max_hours, found.job.allow_single) == ("1e5", 2.0, True)
    assert (found.job.env, found.job.args) == (("A=1", "B=yes"), "--name 'two words'")
    assert found.network.dns == ("1.1.1.1",)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "file-not-yaml"), ("- a\n", "file-not-yaml"), ("just text\n", "file-not-yaml"),
        ("a: [\n", "file-not-yaml"), ("a: \x07\n", "file-not-yaml"), ("[" * 5000, "file-not-yaml"),
        ("workers: 1\nworkers: 2\n", "key-twice"), ("workers: [1]\n", "wrong-type"),
        ("workers: {a: 1}\n", "wrong-type"), ("dns: {a: 1}\n", "wrong-type"), ("env: [[a]]\n", "wrong-type"),
        ("args: {a: b}\n", "wrong-type"), ("? [a]\n: b\n", "key-unknown"), ("<<: {a: 1}\n", "key-unknown"),
        ("workers:\n", "value-empty"),
    ],
)  # fmt: skip
def test_a_broken_file_is_a_problem_not_a_crash(tmp_path: Path, text: str, code: str) -> None:
    """Each kind of damage has its code, and the line where there is one."""
    found = problems(config.request({}, written(tmp_path, text)))

    assert code in {problem.code for problem in found}


@pytest.mark.parametrize("name", ["missing.yml", ".", "latin.yml", "large.yml"])
def test_an_unreadable_file_is_the_only_problem(tmp_path: Path, name: str) -> None:
    """What is missing in a file that was not read is not listed."""
    (tmp_path / "latin.yml").write_bytes(b"repo: \xff\n")
    (tmp_path / "large.yml").write_bytes(b"#" * 2_000_000)

    (problem,) = problems(config.request({}, tmp_path / name))

    assert problem.code == "file-unreadable"
