"""Programs trained for real under `hotrun prove`: what it sees, and what it must not change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prove.commands import RANKS, last_lines, pair, proved, run, two_ranks

pytestmark = pytest.mark.payload


def test_one_run_is_proven_with_its_figures(tmp_path: Path) -> None:
    """World size, backend, hosts and gradients are told; the command's own output goes to stderr."""
    found = two_ranks(tmp_path, "python ddp.py")

    (seen,) = found.document["runs"]
    assert (0, 0, []) == (found.code, found.document["command_exit_code"], found.codes)
    assert "one run of world size 2 on one host, gloo, 4.22 kB of gradients" == found.document["verdict"]
    assert (2, [0, 1], 1, 2 * 8 * 66 * 4) == (
        seen["world_size"], seen["ranks"], seen["hosts"], seen["gradient_bytes"],
    )  # fmt: skip
    assert found.output.count("trained") == 2
    assert found.records[0]["checksum"] == found.records[1]["checksum"] is not None
    assert ["exit", "exit"] == [record["state"] for record in found.records]


def test_processes_that_train_alone_are_counted(tmp_path: Path) -> None:
    """Without a process group an optimizer's step shows that a process trains."""
    found = proved(tmp_path, *pair(tmp_path, "python plain.py"))

    assert (5, 2, ["not-distributed"]) == (found.code, found.document["alone"], found.codes)
    assert "2 separate runs of world size 1: each process trained alone" == found.document["verdict"]


@pytest.mark.parametrize("kind", ["functional", "fsdp", "ends-at-once"])
def test_collectives_of_any_kind_are_a_proof(tmp_path: Path, kind: str) -> None:
    """No DDP is needed; a rank that ends by os._exit has left its record."""
    found = two_ranks(tmp_path, f"python collectives.py {kind}")

    assert (0, []) == (found.code, found.codes), found.document
    assert all(record["collectives"] for record in found.records)


def test_a_group_of_some_ranks_is_no_proof(tmp_path: Path) -> None:
    """Ranks that met and then worked in groups of one have done nothing together."""
    found = two_ranks(tmp_path, "python collectives.py half")

    assert (5, ["not-distributed"]) == (found.code, found.codes)
    assert "none completed a collective" in found.document["verdict"]


@pytest.mark.parametrize(("what", "codes"), [("nothing", []), ("parameter", ["parameters-differ"])])
def test_parameters_that_drifted_apart_are_reported(tmp_path: Path, what: str, codes: list[str]) -> None:
    """A warning that names the rank and decides nothing; statistics of BatchNorm may differ."""
    found = two_ranks(tmp_path, f"python drifting.py {what}")

    assert (0, codes) == (found.code, found.codes)
    if codes:
        assert "rank 1 ended with other parameters than rank 0" == found.document["problems"][0]["what"]


def test_a_rank_without_the_probe_holds_up_nobody(tmp_path: Path) -> None:
    """`python -I` takes no probe in: the others train on, and the missing record is named."""
    line = f"if [ $I = 1 ]; then {RANKS} python -I ddp.py; fi; {RANKS} python ddp.py"
    found = proved(tmp_path, *pair(tmp_path, line))

    assert (5, 0, ["proof-incomplete"]) == (found.code, found.document["command_exit_code"], found.codes)
    assert "1 of the 2 ranks of a run left a record" == found.document["verdict"]


def test_forked_ranks_are_seen_and_their_data_workers_are_not(tmp_path: Path) -> None:
    """A rank may be a fork; the forks and spawns that load its data leave no record of a rank."""
    found = proved(tmp_path, "python", "forks.py")

    assert (0, [0, 1]) == (found.code, [record["rank"] for record in found.records]), found.document
    assert len({record["pid"] for record in found.records}) == 2


def test_a_sitecustomize_of_the_users_own_still_runs(tmp_path: Path) -> None:
    """The one that stands first hides the others, so it runs the next one in its place."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import builtins\nbuiltins.mine = __name__\n")
    code = "import sys, builtins; print('mine:', builtins.mine, sys.modules['sitecustomize'].__file__)"
    found = proved(tmp_path, "python", "-c", code, PYTHONPATH=str(own))

    assert f"mine: sitecustomize {own / 'sitecustomize.py'}" in found.output


def test_what_is_compiled_stays_the_same(tmp_path: Path) -> None:
    """The same sums, graphs and graph breaks with the probe as without it."""
    words = pair(tmp_path, f"{RANKS} python compiled.py")
    run(tuple(words))
    without = last_lines(tmp_path)[0]
    found = proved(tmp_path, *words)

    assert "unique_graphs" in without
    assert without == last_lines(tmp_path)[0]
    assert (0, 12) == (found.code, found.records[0]["steps"])
