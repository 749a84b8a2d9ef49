"""What a machine tells Heat: under which id, again when nobody took it, and what it could not bring."""

from __future__ import annotations

import http.client
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from cloud.node import machine, program, signals, standing
from cloud.node.failure import Anew, problem
from cloud.node.proof import Judgement
from cloud.node.stages import collect, finish
from tests.node.test_gang import gathered

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.node.context import Context


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every body that was posted."""
    bodies: list[dict[str, Any]] = []
    monkeypatch.setattr(signals, "_send_once", lambda _job, body, _note: bodies.append(json.loads(body)))
    monkeypatch.setattr(program.random, "uniform", lambda *_: 0.0)
    return bodies


@pytest.mark.parametrize(
    ("who", "stage", "expected"),
    [
        ((0, 0), "network", "gate"),
        ((0, 2), "network", "gate-2"),
        ((1, 0), "network", "worker-1-gate"),
        ((1, 2), "rendezvous", "worker-1-gate-2"),
        ((1, 0), "train", "worker-1-lost-master"),
        ((1, 2), "train", "worker-1-lost-master-2"),
    ],
)
def test_only_the_master_sends_the_gate(
    context: Context, sent: list[dict[str, Any]], who: tuple[int, int], stage: str, expected: str
) -> None:
    """A worker fails the wait condition under an id of its own, and every signal says which run it is of."""
    rank, rerun = who
    context.identity = replace(context.identity, rank=rank, rerun=rerun, server="own")
    context.stage = stage
    assert 5 == program._alone(context, problem("x", "boom"))
    (body,) = sent
    assert (expected, "FAILURE") == (body["id"], body["status"])
    assert (rerun, "own", "failed") == tuple(body["data"][key] for key in ("rerun", "server", "state"))
    assert ["boom"] == [each["what"] for each in body["data"]["problems"]]


@pytest.mark.parametrize("error", [http.client.IncompleteRead(b""), KeyError("meta"), TypeError("odd")])
def test_a_machine_without_a_name_says_so_under_an_id_of_its_own(
    context: Context, sent: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whatever its metadata are."""

    def cut(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(machine.urllib.request, "urlopen", cut)
    if not isinstance(error, http.client.HTTPException):
        monkeypatch.setattr(machine, "_get", cut)
    monkeypatch.setattr(program.time, "sleep", lambda _: None)
    assert program._context(replace(context.job, boot_timeout_s=0), "") is None
    assert ["unknown-gate"] == [body["id"] for body in sent]
    assert machine.glance() is None


@pytest.mark.parametrize("document", ["[]", '{"meta": null}', '{"meta": {"hotrun_rank": []}}', "null"])
def test_odd_metadata_say_nothing(monkeypatch: pytest.MonkeyPatch, document: str) -> None:
    """A look between runs fails without a word."""
    monkeypatch.setattr(machine, "_get", lambda *_: document.encode())
    assert machine.glance() is None


def test_an_answer_that_breaks_off_is_asked_for_again(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that never came."""
    answers: list[Exception | None] = [http.client.BadStatusLine(""), http.client.IncompleteRead(b""), None]

    def send_once(*_: Any) -> None:
        answer = answers.pop(0)
        if answer:
            raise answer

    monkeypatch.setattr(signals, "_send_once", send_once)
    monkeypatch.setattr(signals.time, "sleep", lambda _: None)
    assert signals.send(context.job, "gate", ok=True, reason="", data={}, note=lambda _: None)
    assert answers == []


def test_what_nobody_expected_ends_in_standing_by(
    context: Context, sent: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody restarts the program, and only it powers the machine off."""
    (tmp_path / "job").write_text('{"repo": "", "entrypoint": "m", "master": "", "secret": ""}')
    monkeypatch.setattr(program, "_context", lambda *_: context)
    monkeypatch.setattr(standing, "begin", lambda _: False)

    def full(_: Context) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(program, "_run", full)
    monkeypatch.setattr(standing, "by", lambda _, code: 40 + code)
    assert 45 == program._start(str(tmp_path / "job"))
    assert ["disk-full"] == [each["code"] for body in sent for each in body["data"]["problems"]]


@pytest.fixture
def reporting(context: Context) -> Context:
    """A master with a document to report."""
    world = {"proven": 2, "expected": 2, "backend": "gloo"}
    nodes = [
        {"name": name, "rank": rank, "state": "done", "stages": {"train": 2.5}, "address": "10.0.0.1"}
        for rank, name in enumerate(("master", "worker-1"))
    ]
    context.found["document"] = {
        "state": "done", "world_size": world, "problems": [], "nodes": nodes, "run": "r", "result": {"loss": 0.5},
    }  # fmt: skip
    context.identity = replace(context.identity, rank=0, rerun=3)
    return context


def test_a_result_that_heat_did_not_take_is_sent_again(
    reporting: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the machine stands by, until it was taken."""
    answers = [False, False, True]
    bodies: list[dict[str, Any]] = []

    def send(_: Any, signal_id: str, **fields: Any) -> bool:
        bodies.append({"id": signal_id, **{key: fields[key] for key in ("ok", "reason", "data")}})
        return answers.pop(0)

    looks = iter([None] * 5 + [replace(reporting.identity, rerun=4)])
    monkeypatch.setenv("HOTRUN_STAYS", "1")
    monkeypatch.setattr(signals, "send", send)
    monkeypatch.setattr(machine, "glance", lambda: next(looks))
    monkeypatch.setattr(standing, "_TELL_S", -1.0)
    monkeypatch.setattr(standing, "_LOOK_IN_REHEARSAL_S", 0.0)
    finish._report(reporting)
    with pytest.raises(Anew):
        standing.by(reporting, 0)
    assert 3 == len(bodies)
    assert bodies[0] == bodies[1] == bodies[2]
    assert ("result-3", True) == (bodies[0]["id"], bodies[0]["ok"])
    assert "page" in bodies[0]["data"]
    assert not reporting.layout.untold.exists()


def test_without_a_transport_nothing_is_sent_again(reporting: Context) -> None:
    """There is nobody to tell."""
    finish._report(reporting)
    assert not reporting.layout.untold.exists()


def test_what_a_node_could_not_bring_is_a_warning() -> None:
    """Whoever fetches the results hears that they are not all."""
    gang = gathered(4)
    gang.report(1, {"t": "collected", "left": "results/a stays on worker-1: too large (2 files in all)"}, 5.0)
    gang.report(0, {"t": "collected"}, 5.0)
    gang.members[3].lost = 5.0
    found = list(collect._left(gang))
    assert [("worker-1", "warning"), ("worker-2", "warning")] == [
        (each["node"], each["level"]) for each in found
    ]
    assert {"results-left-behind"} == {each["code"] for each in found}
    assert "a stays on worker-1" in found[0]["what"]
    assert "in time" in found[1]["what"]


def test_warnings_follow_the_reason(context: Context) -> None:
    """A failed run's first problem is why it failed."""
    gang = gathered(2)
    context.coordinator = cast(
        "Any", type("Kept", (), {"store": type("S", (), {"directory": context.layout.root})})
    )
    why = {**problem("x", "boom"), "node": "worker-1", "stage": "train"}
    document = collect.status(context, gang, Judgement(2, 2, "gloo", 0, None), why)
    assert ["x", "results-left-behind", "results-left-behind"] == [
        each["code"] for each in document["problems"]
    ]


def test_what_is_too_large_or_refused_is_said(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """All files are tried, and the master hears of those that stay."""
    said: list[dict[str, Any]] = []

    class Here:
        def send(self, kind: str, **fields: Any) -> None:
            said.append({"t": kind, **fields})

        def wait(self, *_: Any) -> dict[str, Any]:
            return {"state": "done", "problem": None}

    def hand_in(_: Context, path: Path, __: str) -> None:
        if path.name == "b":
            raise OSError("the master could not keep it")

    context.link = cast("Any", Here())
    files = []
    for name, size in (("a", 100), ("b", 1), ("c", 1)):
        files.append((context.layout.state / name, f"results/{name}"))
        files[-1][0].write_bytes(b"x" * size)
    monkeypatch.setattr(collect, "_files", lambda _: files)
    monkeypatch.setattr(collect, "MAX_NODE_BYTES", 10)
    monkeypatch.setattr(collect, "hand_in", hand_in)
    assert collect.run(context, 0.0).startswith("1 files")
    assert "results/a stays on worker-1: more than 0 GiB (2 files in all)" == said[0]["left"]
