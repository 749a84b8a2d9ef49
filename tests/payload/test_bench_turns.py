"""The benchmark's order, its command lines, and what an interrupted one has left to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.commands import command, environment, fingerprint
from bench.plan import Contender, Group, Turn, turns
from bench.results import Results, code_hash
from bench.table import GROUPS

A, B, C = (Contender(name=name, program="plain", epochs=1, expected_s=1.0) for name in "ABC")


def test_contenders_alternate_and_every_other_round_is_reversed() -> None:
    """A B C, C B A, A B C: a machine that slows down does so for all of them."""
    order = turns(Group(name="g", title="", rounds=3, contenders=(A, B, C)))

    assert "".join(turn.contender.name for turn in order) == "ABCCBAABC"
    assert [turn.seed for turn in order] == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_a_contender_is_named_once() -> None:
    """Results are kept by group and name."""
    with pytest.raises(ValueError, match="one name"):
        Group(name="g", title="", rounds=1, contenders=(A, A))


def test_an_interrupted_benchmark_goes_on(tmp_path: Path) -> None:
    """What has a result is not run again; half a line, a failure and another program's line don't count."""
    path, turn = tmp_path / "results.jsonl", Turn(group="g", round=0, contender=A)
    line = {"group": "g", "contender": "A", "round": 0, "fingerprint": fingerprint(turn)}
    Results(path, "code").add({**line, "reason": "exit code 1"})
    assert not Results(path, "code").has(turn)

    Results(path, "code").add(line)
    with path.open("a") as file:
        file.write('{"group": "g", "cont')

    assert Results(path, "code").has(turn)
    assert not Results(path, "other code").has(turn)
    assert not Results(path, "code").has(replace(turn, contender=replace(A, epochs=2)))


def test_changed_programs_have_another_hash(tmp_path: Path) -> None:
    """Figures of an older payload/ are not mixed with those of a newer one."""
    (tmp_path / "payload").mkdir()
    (tmp_path / "payload" / "main.py").write_text("1")
    before = code_hash(tmp_path)
    (tmp_path / "payload" / "main.py").write_text("2")

    assert code_hash(tmp_path) != before


def test_a_contender_runs_with_its_own_threads_alone() -> None:
    """Variables of the caller that would change a run don't reach it."""
    inherited = {"OMP_NUM_THREADS": "7", "HOTRUN_ATTEMPT": "2", "WORLD_SIZE": "3", "PATH": "/bin"}
    free = replace(A, threads=None)

    assert environment(Turn(group="g", round=0, contender=A), inherited, Path("/r")) == {
        "PATH": "/bin",
        "HOTRUN_RUN_DIR": "/r",
        "OMP_NUM_THREADS": "1",
    }
    assert "OMP_NUM_THREADS" not in environment(
        Turn(group="g", round=0, contender=free), inherited, Path("/r")
    )


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_ours_train_on_all_images(group: Group) -> None:
    """As the peers do; and only what runs as it comes leaves batch and precision out."""
    for turn in turns(group):
        line = command(turn, "python", Path("/data"), is_quick=False)
        if turn.contender.is_ours:
            held_out = "--data.validation" if turn.contender.program == "lightning" else "--validation"
            assert line[line.index(held_out) + 1] == "0"
