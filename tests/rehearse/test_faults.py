from __future__ import annotations

import re
from pathlib import Path

import pytest

from cloud.errors import RequestError
from cloud.rehearse import shares
from cloud.rehearse.faults import KINDS, LOW_MEMORY_BYTES, When, read, refused

NAMES = ["master", "worker-1", "worker-2"]


@pytest.mark.parametrize(
    ("text", "machine", "amount", "when", "sentence"),
    [
        ("kill:worker-1@train", "worker-1", 0, When(stage="train"), "kill worker-1 in train"),
        ("kill:master", "master", 0, When(stage="train", seconds=2), "kill master in train after 2 s"),
        ("stop:worker-2@20s", "worker-2", 0, When(seconds=20), "freeze worker-2 at 20 s"),
        ("lose:worker-2@train+1.5s", "worker-2", 0, When(stage="train", seconds=1.5),
         "take worker-2 away in train after 1.5 s"),
        ("unplug:worker-1@train", "worker-1", 0, When(stage="train"), "unplug worker-1 in train"),
        ("kill:worker-1@epoch4", "worker-1", 0, When(epoch=4), "kill worker-1 in epoch 4"),
        ("unplug:60:worker-1@source", "worker-1", 60, When(stage="source"), "unplug worker-1 for 60 s in source"),
        ("missing:worker-1", "worker-1", 0, None, "never start worker-1"),
        ("block-port", "", 0, None, "block the ports of all machines"),
        ("block-port:master@train", "master", 0, When(stage="train"), "block the ports of master in train"),
        ("slow:100mbit", "", 100, None, "links of 100mbit"),
        ("loss:5%", "", 5, None, "lose 5 % of all packets"),
        ("low-memory:worker-1", "worker-1", LOW_MEMORY_BYTES, None, "give worker-1 160 MB of memory"),
        ("low-memory:4GB:worker-1", "worker-1", 4e9, None, "give worker-1 4,000 MB of memory"),
    ],
)  # fmt: skip
def test_a_fault_is_a_kind_a_value_a_machine_and_a_moment(
    text: str, machine: str, amount: float, when: When | None, sentence: str
) -> None:
    """What is left out has a default of the kind; the sentence says all of it."""
    (fault,) = read([text], NAMES)
    assert (fault.machine, fault.amount, fault.when, str(fault)) == (machine, amount, when, sentence)
    assert fault.text == text


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("kil:worker-1", "there is no such fault", "did you mean kill?"),
        ("explode", "there is no such fault", f"there are {', '.join(KINDS)}"),
        ("kill", "kill takes a machine", "one of master, worker-1, worker-2: kill:worker-2"),
        ("kill:worker1", "there is no machine worker1", "did you mean worker-1?"),
        ("kill:worker-7", "there is no machine worker-7", "did you mean worker-2?"),
        ("kill:worker-1:5", "kill does not take 5", ""),
        ("kill:worker-1@trian", "@trian is no moment; it takes a stage, an epoch or seconds, as in kill:…@train+5, @epoch4 or @20s",
         "did you mean train?"),
        ("kill:worker-1@", "@ is no moment; it takes a stage, an epoch or seconds, as in kill:…@train+5, @epoch4 or @20s",
         "there are network, source, environment, rendezvous, train, collect, finish"),
        ("kill:worker-1@20", "@20 is no moment; it takes a stage, an epoch or seconds, as in kill:…@train+5, @epoch4 or @20s",
         "there are network, source, environment, rendezvous, train, collect, finish"),
        ("kill:worker-1@train+x", "+x is no number of seconds", "@train+5"),
        ("missing:worker-1@train", "missing is there from the start and takes no @train", "leave out @train"),
        ("slow", "slow takes a rate, as in slow:100mbit, which is missing", ""),
        ("slow:fast", "slow takes a rate, as in slow:100mbit, not fast", ""),
        ("slow:100mbit:worker-1", "slow is for all machines", "leave out :worker-1"),
        ("loss:100", "loss takes percent, as in loss:5, not 100", ""),
        ("unplug:x:worker-1", "unplug takes seconds, as in unplug:60:worker-1, not x", ""),
    ],
)  # fmt: skip
def test_a_mistake_in_a_fault_is_named_with_what_was_meant(text: str, what: str, fix: str) -> None:
    """The fault as typed, what is wrong with it, and the near miss."""
    with pytest.raises(RequestError) as error:
        read([text], NAMES)
    (problem,) = error.value.problems
    assert (problem.code, problem.what, problem.fix) == ("fault-not-understood", f"{text}: {what}", fix)
    assert problem.where == "flag --fault"


def test_all_mistakes_are_one_error() -> None:
    """Nobody corrects them one after the other."""
    with pytest.raises(RequestError) as error:
        read(["kil:worker-1", "kill:worker-1", "slow"], NAMES)
    assert [problem.what.partition(":")[0] for problem in error.value.problems] == ["kil", "slow"]


def test_what_a_level_cannot_do_is_refused_with_the_level_that_can() -> None:
    """And with the reason why that one is not possible here, if it is not."""
    asked = read(["kill:worker-1", "no-dns", "full-disk:master"], NAMES)
    assert refused(asked, "namespace") == []
    found = refused(asked, "process")
    assert [(problem.what, problem.fix) for problem in found] == [
        ("no-dns: level process can't do it, machines there share this computer's network", "--level namespace"),
        ("full-disk:master: level process can't do it, machines there share this computer's disk",
         "--level namespace"),
    ]  # fmt: skip
    (told, _) = refused(asked, "process", "nft is not installed")
    assert (told.what.rpartition("; ")[2], told.fix) == (
        "namespace is not possible here: nft is not installed",
        "",
    )


def test_every_kind_can_be_typed_as_its_name_and_what_it_needs() -> None:
    """The table has no kind that the grammar can't say."""
    values = {"rate": ":1mbit", "percent": ":5", "seconds": "", "size": "", "": ""}
    machines = {"one": ":worker-1", "one or all": "", "all": ""}
    typed = [name + values[kind.value] + machines[kind.machine] for name, kind in KINDS.items()]
    assert [fault.kind for fault in read(typed, NAMES)] == list(KINDS)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], {}),
        (["20%"], {"master": 20, "worker-1": 20, "worker-2": 20}),
        (["worker-1=20%"], {"worker-1": 20}),
        (["150", "worker-1=20"], {"master": 150, "worker-1": 20, "worker-2": 150}),
    ],
)
def test_a_share_is_percent_of_a_core_for_all_or_for_one(
    texts: list[str], expected: dict[str, float]
) -> None:
    """A machine's own share wins over everyone's."""
    assert shares.read(texts, NAMES) == expected


def test_all_mistakes_in_shares_are_one_error() -> None:
    """An unknown machine, no number, and nothing at all."""
    with pytest.raises(RequestError) as error:
        shares.read(["worker-9=20%", "x", "0%"], NAMES)
    assert [problem.code for problem in error.value.problems] == ["cpu-share-not-understood"] * 3


def test_the_page_has_a_row_for_every_kind_and_its_levels() -> None:
    """The table of docs/rehearsal.md is the table of kinds."""
    page = (Path(__file__).parents[2] / "docs/rehearsal.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)[:`].*\| (both|`namespace`) \|$", page, re.MULTILINE)
    assert dict(rows) == {
        name: "both" if len(kind.levels) == 2 else "`namespace`" for name, kind in KINDS.items()
    }
