"""What the page of a stack says, and that it comes out of Heat's JSON as it went in."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from cloud.node import page, signals, standing
from cloud.node.failure import problem
from cloud.node.stages import finish

if TYPE_CHECKING:
    from cloud.node.context import Context

ODD = f'it\'s "said" c:\\n {page.MARK}~{page.MARK}|~ü🙂\t\x1b'


def out(data: str) -> list[str]:
    """State, machines, result and until, as an output of the template reads them: from the end, as lines."""
    return [field.replace("\\n", "\n") for field in data.split(page.MARK)[-5:-1]]


@pytest.mark.parametrize("before", ["", page.MARK * 5, ODD])
def test_fields_come_out_of_heats_json(before: str) -> None:
    """The last page counts, whatever stands before it."""
    first = {"problems": [{"what": before}], "page": page.page("training: 3 machines as one")}
    last = {"what": before, "page": page.page("done: x", "a  b\nc  d", "loss 0.1", "2026-01-02 03:04 UTC")}
    data = json.dumps({"gate": first, "result": last})
    assert ["done: x", "a  b\nc  d", "loss 0.1", "2026-01-02 03:04 UTC"] == out(data)


@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize("place", range(4))
def test_no_text_can_move_a_field(place: int, ensure_ascii: bool) -> None:
    """Quotes, backslashes, marks and what is no ASCII are other characters; as many fields as ever."""
    fields = [ODD if number == place else "x" for number in range(4)]
    found = out(json.dumps({"gate": {"page": page.page(*fields)}}, ensure_ascii=ensure_ascii))
    assert fields[:place] + fields[place + 1 :] == found[:place] + found[place + 1 :]
    assert found[place].startswith("it's 'said' c:?n ?~?~?~??~??")
    assert found[place].isascii()
    assert not set('"\\|\t\x1b') & set(found[place])


def test_empty_fields_stay_in_their_places() -> None:
    """A page of a state alone has all its marks, and its state is one line."""
    assert ["a b", "", "", ""] == out(page.page("a\n  b"))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"where": "requirements.txt:3", "fix": "correct line 3"}, " (requirements.txt:3). To mend: correct line 3"),
        ({"fix": "wait"}, ". To mend: wait"),
        ({"where": "a:1"}, " (a:1)"),
        ({}, ""),
    ],
)  # fmt: skip
def test_a_failure_says_who_what_where_and_how_to_mend_it(more: dict[str, str], expected: str) -> None:
    """What is not known is left out."""
    found = {**problem("x", "torchh: no such package", **more), "node": "worker-3", "stage": "environment"}
    assert f"failed: worker-3: environment: torchh: no such package{expected}" == page.failed(found)


def node(rank: int, state: str = "done", **seconds: float) -> dict[str, Any]:
    """A node of the status document."""
    return {
        "name": f"worker-{rank}" if rank else "master", "rank": rank, "state": state, "stages": seconds,
        "address": "",
    }  # fmt: skip


def test_the_table_of_machines_and_stages() -> None:
    """Stages in the order of a run, those that nobody came to are left out."""
    nodes = [node(0, train=12.5, network=0.2), node(1, "failed", network=100.25)]
    assert (
        "machine   state   network  train\n"
        "master    done    0.2      12.5\n"
        "worker-1  failed  100.25   -"
    ) == page.stages(nodes)  # fmt: skip


def test_twelve_machines_and_a_count() -> None:
    """The master first, then who needs a look, then the slowest."""
    nodes = [node(rank, train=rank) for rank in range(255)]
    nodes[7] = node(7, "lost")
    nodes[8] = node(8, "stopped", train=500)
    lines = page.stages(nodes).splitlines()
    assert ["master", "worker-7", "worker-8", "worker-254"] == [line.split()[0] for line in lines[1:5]]
    assert (14, "and 243 more") == (len(lines), lines[-1])
    assert 13 == len(page.stages(nodes[:12]).splitlines())


def test_numbers_of_a_result() -> None:
    """Accuracy and loss first, floats with four digits; what is no number is left out."""
    result = {
        "epochs": 12, "train_seconds": 9.8123, "test_loss": 0.06801, "data": "digits", "images_per_s": 123456.789,
        "test_accuracy": 0.979699, "rate": 1e-5, "big": 12345678, "no": None,
    }  # fmt: skip
    assert (
        "test_accuracy 0.9797, test_loss 0.06801, epochs 12, train_seconds 9.812, images_per_s 123500.0, "
        "rate 1e-05, big 12345678"
    ) == page.numbers(result)
    assert "" == page.numbers({})


def test_a_program_with_many_numbers_has_a_line_all_the_same() -> None:
    """A dozen of them, and what the node itself says."""
    said = page.numbers({f"n{number}": number for number in range(100)}, "world size 2 of 2")
    assert said.endswith("n10 10, n11 11, world size 2 of 2")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The bodies of the signals that were sent."""
    bodies: list[dict[str, Any]] = []
    monkeypatch.setattr(signals, "_send_once", lambda _job, body, _note: bodies.append(json.loads(body)))
    return bodies


def gate(context: Context, verdict: dict[str, Any] | None, names: int, rerun: int = 0) -> None:
    """Tell Heat of a gate."""
    machines = [[f"m{number}", f"10.0.0.{number}", "ssh-ed25519 AAAA"] for number in range(names)]
    signals.gate(
        context.job, verdict, server="s", run="r", note=print, rerun=rerun, machines=machines,
        off_at=4000000000.0 + context.job.max_hours * 3600,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("names", "rerun", "state"),
    [
        (2, 0, "training: 2 machines as one"),
        (1, 0, "training: 1 machine"),
        (2, 1, "run 2: training: 2 machines as one"),
    ],
)
def test_the_gates_page(
    context: Context, told: list[dict[str, Any]], names: int, rerun: int, state: str
) -> None:
    """Who is there and at which address, for how long, and which run it is."""
    gate(context, None, names, rerun)
    found = out(json.dumps({"gate": told[0]["data"]}))
    rows = ["machine  address", "m0       10.0.0.0", "m1       10.0.0.1"]
    assert [state, "\n".join(rows[: names + 1]), ""] == found[:3]
    assert found[3].startswith("2096-10-0")
    assert ["state", "server", "run", "rerun", "problems", "machines", "page"] == list(told[0]["data"])


def test_the_page_of_a_failed_gate(context: Context, told: list[dict[str, Any]]) -> None:
    """What was said in quotes, with umlauts or marks comes out readable."""
    what = f'"tørchh" is {page.MARK} no\\package'
    verdict = {
        **problem("x", what, where="a:3", fix="correct it"),
        "node": "worker-3",
        "stage": "environment",
    }
    gate(context, verdict, 0)
    expected = "failed: worker-3: environment: 't?rchh' is ?~? no?package (a:3). To mend: correct it"
    assert [expected, "", ""] == out(json.dumps(told[0]["data"]))[:3]


@pytest.mark.parametrize("failed", [False, True])
def test_the_results_page(context: Context, told: list[dict[str, Any]], failed: bool) -> None:
    """State, table and numbers; the status document has no page."""
    why = {**problem("x", "boom", fix="look"), "node": "worker-1", "stage": "train"}
    document = {
        "state": "failed" if failed else "done", "world_size": {"proven": 2, "expected": 2},
        "problems": [why] if failed else [], "nodes": [node(0, train=2.5), node(1, train=3)], "run": "r1",
        "result": {"test_accuracy": 0.97777},
    }  # fmt: skip
    context.found["document"] = document
    finish._report(context)
    expected = [
        "failed: worker-1: train: boom. To mend: look" if failed else "done: 2 machines trained as one (world size 2 of 2)",
        "machine   state  train\nmaster    done   2.5\nworker-1  done   3",
        "test_accuracy 0.9778, world size 2 of 2, run r1",
        "",
    ]  # fmt: skip
    assert expected == out(json.dumps({"result": told[0]["data"]}))
    assert "page" not in document


def test_until_is_when_the_machine_powers_off(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hours of a machine count from its first start, whatever its runs keep free at their end."""
    monkeypatch.setenv("HOTRUN_STAYS", "1")
    monkeypatch.setattr(standing, "_end", lambda *_: None)
    context.layout.born.write_text("4000000000.0 ")
    for hours, expected in ((0.5, "2096-10-02 07:36 UTC"), (24.0, "2096-10-03 07:06 UTC")):
        object.__setattr__(context.job, "max_hours", hours)
        standing.begin(context)
        assert expected == page.until(context.off_at)
    assert "" == page.until(math.inf)
