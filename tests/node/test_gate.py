"""What machines tell of themselves becomes a culprit, or a table."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.node.gate import ALL_PAIRS, difference, partners, table, unreachable

GIB = 2**30
FACTS = {
    "name": "", "address": "10.8.0.11", "interface": "ens3", "mtu": 1450, "clock": 1000.0, "commit": "c" * 40,
    "lock": "l", "kind": "cpu-x86_64-py3.11", "python": "3.11.2", "torch": "2.15.0", "ranks": 1, "gpus": 0,
    "gpu_problem": "", "disk": 20 * GIB, "memory": 4 * GIB, "port": 43211,
}  # fmt: skip


def three(rank: int = 1, **facts: Any) -> list[dict[str, Any]]:
    """Three machines that are alike, but for `facts` of machine `rank`."""
    return [{**FACTS, **(facts if each == rank else {})} for each in range(3)]


def judged(rank: int = 1, **facts: Any) -> tuple[int, str, str]:
    """The culprit of three machines: rank, code and sentence."""
    found = difference(three(rank, **facts), [0.0, 0.0, 0.0])
    assert found is not None
    return found[0], found[1]["code"], found[1]["what"]


def test_machines_that_are_alike_may_go() -> None:
    """No culprit where nothing differs; a machine that tells little is not judged by the rest."""
    assert difference(three(), [5.0, 5.2, 5.9]) is None
    assert difference([{"commit": "c"}, {"commit": "c"}], [0.0, 99.0]) is None


@pytest.mark.parametrize(
    ("facts", "code", "what"),
    [
        ({"commit": "d"}, "commit-differs", f"worker-1 trains another commit: d instead of {'c' * 40}"),
        ({"python": "3.11.3"}, "python-differs", "worker-1 has another Python: 3.11.3 instead of 3.11.2"),
        ({"torch": "2.14.0"}, "torch-differs", "worker-1 has another torch: 2.14.0 instead of 2.15.0"),
        ({"torch": ""}, "torch-differs", "worker-1 has another torch: none instead of 2.15.0"),
        ({"lock": "m"}, "lock-differs", "worker-1 has other packages: m instead of l"),
        ({"ranks": 2}, "ranks-differ", "worker-1 would run another number of ranks: 2 instead of 1"),
        ({"clock": 1600.0}, "clock-differs", "worker-1's clock is 600 s ahead of the master's"),
        ({"clock": 900.0}, "clock-differs", "worker-1's clock is 100 s behind the master's"),
        ({"disk": GIB // 4}, "disk-short", "worker-1 has 0.2 GiB of free disk"),
        (
            {"memory": 200 * 2**20},
            "memory-short",
            "worker-1 has 200 MiB of free memory, and its ranks of torch take 350",
        ),
        ({"gpu_problem": "has a GPU …"}, "gpu-unusable", "worker-1 has a GPU …"),
    ],
)
def test_the_machine_that_differs_is_named(facts: dict[str, Any], code: str, what: str) -> None:
    """Whoever differs from the master, or lacks what training takes, is the culprit, with both values."""
    assert (1, code, what) == judged(**facts)


@pytest.mark.parametrize(
    "facts",
    [
        {"torch": "2.15.0+cpu"},
        {"kind": "gpu-x86_64-py3.11", "lock": "another"},
        {"clock": 1029.0},
        {"disk": GIB},
        {"mtu": 9000},
    ],
)
def test_some_differences_are_none(facts: dict[str, Any]) -> None:
    """torch's build, another kind's packages, a clock within 30 s and another MTU stop nobody."""
    assert difference(three(**facts), [0.0, 0.0, 0.0]) is None


def test_what_is_judged_first_is_told_first() -> None:
    """Of several differences the earliest in the order is told, whichever machine has it."""
    facts = three(1, torch="2.14.0", disk=0)
    facts[2]["python"] = "3.12.1"

    found = difference(facts, [0.0, 0.0, 0.0])

    assert found is not None
    assert (2, "python-differs") == (found[0], found[1]["code"])


def test_clocks_are_compared_with_the_masters_not_with_the_hour() -> None:
    """Machines come to the gate minutes apart; only what their clocks say beyond that counts."""
    facts = three(1, clock=1300.0)

    assert difference(facts, [50.0, 350.0, 50.0]) is None
    found = difference(facts, [50.0, 50.0, 50.0])
    assert found is not None
    assert 1 == found[0]


def test_a_master_whose_clock_is_wrong_is_named_itself() -> None:
    """When most of several clocks differ from the master's, it is the master's that is wrong."""
    assert (0, "clock-differs", "master's clock is 600 s behind the others'") == judged(0, clock=400.0)
    two = [{**FACTS}, {**FACTS, "clock": 1600.0}]
    found = difference(two, [0.0, 0.0])
    assert found is not None
    assert "worker-1's clock is 600 s ahead of the master's" == found[1]["what"]


def test_memory_is_counted_for_torch_alone() -> None:
    """Each rank of torch takes 350 MiB; nothing is known of a program without it."""
    assert difference(three(1, memory=699 * 2**20), [0.0] * 3) is None
    both = [{**FACTS, "ranks": 2, "memory": 699 * 2**20} for _ in range(2)]
    found = difference(both, [0.0, 0.0])
    assert found is not None
    assert (0, "memory-short") == (found[0], found[1]["code"])
    assert difference([{**each, "torch": ""} for each in both], [0.0, 0.0]) is None


def test_every_problem_of_the_gate_can_be_mended() -> None:
    """Each names its stage and says what to do."""
    for facts in ({"commit": "d"}, {"lock": "m"}, {"clock": 0.0}, {"disk": 0}, {"gpu_problem": "x"}):
        found = difference(three(1, **facts), [0.0, 0.0, 0.0])
        assert found is not None
        assert "rendezvous" == found[1]["stage"]
        assert found[1]["fix"]


@pytest.mark.parametrize("nnodes", [1, 2, 3, ALL_PAIRS, ALL_PAIRS + 1, 48, 64, 100, 128, 254, 255])
def test_every_machine_is_tried_from_both_sides(nnodes: int) -> None:
    """All others in a small cluster, at most 16 in a large one; whom a machine tries tries it; none is alone."""
    tried = {rank: partners(rank, nnodes) for rank in range(nnodes)}

    for rank, others in tried.items():
        assert rank not in others
        assert len(others) == len(set(others))
        assert all(rank in tried[other] for other in others)
        assert (len(others) == nnodes - 1) if nnodes <= ALL_PAIRS else (4 <= len(others) <= 16)
    reached, new = {0}, {0}
    while new:
        new = {other for rank in new for other in tried[rank]} - reached
        reached |= new
    assert nnodes == len(reached)


PLACES = ["master at 10.8.0.11", "worker-1 at 10.8.0.12", "worker-2 at 10.8.0.13", "worker-3 at 10.8.0.14"]
SHUT = "port 43211: timed out"


def blamed(reports: dict[int, dict[str, str]], nnodes: int = 4) -> tuple[int, str]:
    """Who is named for what machines could not reach, and the sentence."""
    found = unreachable(reports, PLACES[:nnodes])
    assert found is not None
    assert ("port-closed", "rendezvous") == (found[1]["code"], found[1]["stage"])
    return found[0], found[1]["what"]


def test_machines_that_reach_each_other_may_go() -> None:
    """No culprit when every report is empty, nor for one machine alone."""
    assert unreachable({0: {}, 1: {}, 2: {}, 3: {}}, PLACES) is None
    assert unreachable({0: {}}, PLACES[:1]) is None


def test_the_machine_that_nobody_reaches_is_named() -> None:
    """It reaches the others, they don't reach it: it is the one."""
    reports = {0: {"1": SHUT}, 1: {}, 2: {"1": SHUT}, 3: {"1": SHUT}}

    assert (1, f"worker-1 at 10.8.0.12 can't be reached by 3 machines: {SHUT}") == blamed(reports)


def test_the_machine_that_reaches_nobody_is_named() -> None:
    """Each of the others can't be reached by one alone: that one is it."""
    reports = {0: {}, 1: {}, 2: {"0": SHUT, "1": SHUT, "3": SHUT}, 3: {}}

    assert (2, f"worker-2 at 10.8.0.13 can't reach 3 machines: {SHUT}") == blamed(reports)


def test_a_machine_that_is_cut_off_is_named() -> None:
    """Both directions between it and everybody are closed."""
    reports = {0: {"3": SHUT}, 1: {"3": SHUT}, 2: {"3": SHUT}, 3: {"0": SHUT, "1": SHUT, "2": SHUT}}

    assert (3, f"worker-3 at 10.8.0.14 can't be reached by 3 machines: {SHUT}") == blamed(reports)


def test_one_closed_direction_names_its_end() -> None:
    """Of two machines the one that can't be reached is named, and by whom."""
    what = f"master at 10.8.0.11 can't be reached by worker-2 at 10.8.0.13: {SHUT}"
    assert (0, what) == blamed({0: {}, 1: {}, 2: {"0": SHUT}, 3: {}})


@pytest.mark.parametrize("nnodes", [2, 3, 4])
def test_no_machine_is_blamed_when_none_reaches_another(nnodes: int) -> None:
    """Everything closed is a rule of the network, not of a machine."""
    reports = {rank: {str(other): SHUT for other in partners(rank, nnodes)} for rank in range(nnodes)}

    rank, what = blamed(reports, nnodes)

    assert 0 == rank
    assert what.startswith("no machine reaches another: worker-1 at 10.8.0.12, port")


def test_the_table_has_one_aligned_line_for_each_machine() -> None:
    """Columns begin where the heading's do; the absent ones follow with where they were last heard."""
    facts = [*three(1, clock=1000.3, gpus=2, torch="2.15.0+cu130"), {}]
    names = ["master", "worker-1", "worker-2", "worker-3 (last heard in source, 40 s ago)"]

    lines = table(facts, names, [7.0, 7.0, 7.0, 0.0])

    assert [
        "name      address    interface  mtu   clock   python  torch         ranks  gpus  disk      memory   commit",
        "master    10.8.0.11  ens3       1450  +0.0 s  3.11.2  2.15.0        1      0     20.0 GiB  4.0 GiB  ccccccc",
        "worker-1  10.8.0.11  ens3       1450  +0.3 s  3.11.2  2.15.0+cu130  1      2     20.0 GiB  4.0 GiB  ccccccc",
        "worker-2  10.8.0.11  ens3       1450  +0.0 s  3.11.2  2.15.0        1      0     20.0 GiB  4.0 GiB  ccccccc",
        "worker-3 (last heard in source, 40 s ago)",
    ] == lines


def test_the_table_shows_what_is_not_known_as_a_dash() -> None:
    """Without torch, an interface or the times of arrival there is nothing to tell."""
    [_, line] = table([{**FACTS, "torch": "", "interface": ""}], ["master"])

    assert ["master", "10.8.0.11", "-", "1450", "-", "3.11.2", "-"] == line.split()[:7]
