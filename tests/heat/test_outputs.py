"""What the stack's page shows, as the engine resolves it from real signals."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from cloud import hot
from cloud.model import Cluster, Network
from cloud.node.page import MARK
from tests.heat.clusters import ODD_STRINGS, VARIANTS, clusters

if TYPE_CHECKING:
    from tests.heat.engine import Engine

MASTER, OUTSIDE = "10.8.0.5", "203.0.113.7"
ADDRESSES: dict[str, dict[Any, Any]] = {
    "master_port": {("fixed_ips", 0, "ip_address"): MASTER},
    "floating_ip": {"floating_ip_address": OUTSIDE},
}


def page(state: str, machines: str = "", result: str = "", until: str = "") -> str:
    """A page as a machine writes it (docs/decisions/0005-horizon.md): plain ASCII between marks."""
    return MARK + "".join(field + MARK for field in (state, machines, result, until))


TRAINS = page("training: 3 machines as one", "machine  source\nmaster   0.5", until="2026-01-02 12:00 UTC")
DONE = page(
    "done: 3 machines trained as one (world size 3 of 3)",
    "machine  source  train\nmaster   0.5     27.9\nworker-1 0.7     27.9",
    "test_accuracy 0.9797, train_seconds 9.8\nworld size 3 of 3",
    "2026-01-02 12:00 UTC",
)
MAX_LINES = 20  # what a person reads without scrolling
KEYED = replace(ODD_STRINGS, key_name="laptop", network=Network())


def signal(identity: str, told: str | None, *, ok: bool = True, **data: Any) -> dict[str, Any]:
    """A signal as a machine sends it: the page is the last key of its data."""
    body = {"server": "4f", **data, **({"page": told} if told is not None else {})}
    return {"status": "SUCCESS" if ok else "FAILURE", "id": identity, "reason": "said", "data": body}


def shown(
    engine: Engine, *signals: dict[str, Any], cluster: Cluster = KEYED, **parameters: Any
) -> dict[str, Any]:
    """The outputs after these signals."""
    stack = engine.stack(hot.text(cluster), parameters)
    handle = engine.waiting(stack)
    for body in signals:
        handle.signal(body)
    return engine.outputs(stack, ADDRESSES)


def told(found: dict[str, Any]) -> tuple[str, str, str]:
    """What the machines said."""
    return found["state"], found["machines"], found["result"]


def test_before_any_word_the_page_says_what_happens_and_for_how_long(engine: Engine) -> None:
    """Machines are made and meet, within boot_timeout; a failure's reason is in the status; no output is an error."""
    stack = engine.stack(hot.text(KEYED), {"boot_timeout": 1234})
    nothing_made = engine.outputs(stack, {})
    engine.waiting(stack)
    found = engine.outputs(stack, ADDRESSES)
    for each in (nothing_made, found):
        state, machines, result = told(each)
        assert state.startswith("no word from the machines yet: they are being made")
        assert "at most 1234 seconds" in state
        assert "status" in state
        assert (machines, result) == (
            "no word from the machines yet", "none yet: it comes when the run has ended",
        )  # fmt: skip
        assert "The master: its time stands here when the machines have met" in each["power_off"]
    assert (nothing_made["status"], found["status"]) == (None, "{}")


def test_after_the_gate_the_machines_speak(engine: Engine) -> None:
    """State, table and the time of power-off come from the signal's page, lines as lines."""
    found = shown(engine, signal("gate", TRAINS))
    assert told(found) == ("training: 3 machines as one", "machine  source\nmaster   0.5", "")
    assert found["power_off"].endswith("\nThe master: 2026-01-02 12:00 UTC")
    assert "powers off 0.5 hours after" in found["power_off"]


def test_the_last_word_counts(engine: Engine) -> None:
    """The result after the gate, then a rerun's gate and its result: the page shows what was told last."""
    stack = engine.stack(hot.text(KEYED))
    handle = engine.waiting(stack)
    states = []
    for identity, said in (
        ("gate", TRAINS), ("result", DONE), ("gate-1", page("training again")),
        ("result-1", page("done again", "x", "test_accuracy 1")),
    ):  # fmt: skip
        handle.signal(signal(identity, said))
        found = engine.outputs(stack, ADDRESSES)
        states.append((found["state"], found["result"]))
    assert states == [
        ("training: 3 machines as one", ""),
        (
            "done: 3 machines trained as one (world size 3 of 3)",
            "test_accuracy 0.9797, train_seconds 9.8\nworld size 3 of 3",
        ),
        ("training again", ""),
        ("done again", "test_accuracy 1"),
    ]


def test_a_failure_at_the_gate_says_why(engine: Engine) -> None:
    """The stack fails with it, and its outputs still resolve."""
    why = (
        "failed: worker-1: environment: torchh: no such package (requirements.txt:3). To mend: correct line 3"
    )
    stack = engine.stack(hot.text(KEYED))
    engine.waiting(stack).signal(signal("gate", page(why), ok=False, state="failed"))
    stack["gate"].state_set("CREATE", "FAILED", "WaitConditionFailure")
    assert engine.outputs(stack, ADDRESSES)["state"] == why


def test_a_signal_without_a_page_changes_nothing(engine: Engine) -> None:
    """One sent by hand, or by a machine of an older template, leaves what was told."""
    before = shown(engine)
    assert told(before) == told(shown(engine, signal("gate", None, state="running")))
    after = shown(engine, signal("gate", TRAINS), signal("by hand", None, note="x"))
    assert after["state"] == "training: 3 machines as one"


def test_odd_characters_stay_where_they_are(engine: Engine) -> None:
    """Quotes, umlauts, backslashes and line ends in the other data shift no field and break no JSON."""
    odd = '"it\'s" \\n \\ ü € 🙂 {get_param: x} @@JOB@@ SECONDS HOURS STACK |~|'
    plain = "it's {get_param: x} @@JOB@@ %index% $HOME SECONDS HOURS STACK # : -"
    said = page(f"failed: {plain}", f"a\n{plain}", plain)
    found = shown(
        engine,
        signal("gate", TRAINS, problems=[{"what": odd, "log": [odd]}]),
        signal("result", said, note=odd),
    )
    assert told(found) == (f"failed: {plain}", f"a\n{plain}", plain)
    problems = json.loads(found["status"])["gate"]["problems"]
    assert problems[0]["what"] == odd


def test_status_is_what_programs_read(engine: Engine) -> None:
    """The JSON of all signals, id by id, in the order in which they came."""
    found = json.loads(shown(engine, signal("gate", TRAINS, run="r1"), signal("result", DONE))["status"])
    assert list(found) == ["gate", "result"]
    assert (found["gate"]["run"], found["gate"]["page"]) == ("r1", TRAINS)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("cluster", clusters().values(), ids=clusters())
def test_every_output_is_short_text(engine: Engine, cluster: Cluster, variant: str) -> None:
    """In every variant, with 254 workers too, a person reads at most 20 lines each, and no placeholder."""
    rows = ["machine  state", *(f"worker-{number}  done" for number in range(1, 13)), "and 243 more"]
    said = page("done", "\n".join(rows), "test_accuracy 1", "2026-01-02 12:00 UTC")
    found = shown(engine, signal("result", said), cluster=VARIANTS[variant](cluster))
    for name, text in found.items():
        if name not in ("status", "workers"):
            assert isinstance(text, str)
            assert len(text.splitlines()) <= MAX_LINES
            assert not {"STACK", "ADDRESS", "HOURS", "UNTIL", "SECONDS", "|~|"} & set(text.split())
    assert found["machines"].splitlines() == rows


def test_files_and_ssh_name_the_address_that_can_be_reached(engine: Engine) -> None:
    """With a way in: one line of hotrun, two of ssh; the stack's own name in them."""
    found = shown(engine)
    assert found["ssh"] == f"ssh cc@{OUTSIDE}"
    assert found["files"].splitlines() == [
        "With hotrun:  hotrun fetch digits",
        "With ssh alone, these two lines:",
        f"ssh cc@{OUTSIDE} sudo tar -C /var/lib/hotrun/runs -czf results.tar.gz .",
        f"scp cc@{OUTSIDE}:results.tar.gz .",
    ]


@pytest.mark.parametrize(
    "cluster", [replace(KEYED, key_name=""), replace(KEYED, network=Network(external=""))]
)
def test_without_a_way_in_files_says_so(engine: Engine, cluster: Cluster) -> None:
    """No address that nobody reaches: without a key pair or an external network only the result can be had."""
    found = shown(engine, cluster=cluster)
    assert "hotrun fetch digits brings what the master told" in found["files"]
    assert "nobody gets in from outside" in found["files"]
    assert ("no key pair was chosen" in found["ssh"]) == (not cluster.key_name)
    assert OUTSIDE not in found["files"]
    assert MASTER not in found["files"]


def test_outputs_use_only_what_the_oldest_engine_has(engine: Engine) -> None:
    """The same text without its outputs' functions of later versions: rocky has all of them."""
    from heat.engine.hot import template as versions

    text = hot.text(KEYED)
    known = set(versions.HOTemplate20180831.functions)
    stack = engine.stack(text)
    used = {key for part in _maps(stack.t.t["outputs"]) if len(part) == 1 for key in part}
    functions = {name for version in (versions.HOTemplate20210416,) for name in version.functions}
    assert used & functions <= known
    assert {"str_split", "list_join", "str_replace", "get_attr", "if"} <= used


def _maps(item: Any) -> list[dict[str, Any]]:
    inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return [*([item] if isinstance(item, dict) else []), *(found for part in inner for found in _maps(part))]
