"""The commands that ask a cloud, as they are typed: what they say, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud import cli, hot
from cloud.stack import record
from cloud.stack.login import access
from tests.unit.clusters import cluster
from tests.unit.fake_cloud import FakeCloud
from tests.unit.stacks import NAME, made, settled, trained

if TYPE_CHECKING:
    from collections.abc import Callable

Typed = tuple[int, str, str]
FITTING = ("image=tiny", "master_flavor=m1.tiny", "worker_flavor=m1.tiny", "key_name=")


@pytest.fixture
def cloud() -> FakeCloud:
    """A project with room for everything."""
    return FakeCloud()


@pytest.fixture
def hotrun(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Typed]:
    """Type a command in a folder that has template.yml."""
    monkeypatch.setattr(access, "require_sdk", lambda: None)
    monkeypatch.setattr(access, "connect", lambda *_, **__: cloud)
    monkeypatch.chdir(tmp_path)
    Path("template.yml").write_text(hot.text(cluster(workers=1)))

    def typed(*words: str) -> Typed:
        code = cli.run(list(words))
        told = capsys.readouterr()
        return code, told.out, told.err

    return typed


def flags(*pairs: str) -> list[str]:
    """Parameters as flags, later ones instead of earlier ones."""
    values = dict(pair.partition("=")[::2] for pair in (*FITTING, *pairs))
    return [word for key, value in values.items() for word in ("--parameter", f"{key}={value}")]


def test_a_plan_names_the_stack_that_up_would_make(hotrun: Callable[..., Typed], cloud: FakeCloud) -> None:
    """The repository's name with the first number that is free, in the project and in runs/."""
    made(cloud, name="digits-1")
    record.write(
        Path("runs"), record.Record(cloud=cloud.label, name="digits-2", template_sha256="", stack_id="s")
    )
    code, out, err = hotrun("plan", "template.yml", *flags())
    assert (code, "template.yml --name digits-3" in out) == (0, True), out + err
    _, _, err = hotrun("up", "template.yml", "--detach", *flags())
    assert "digits-3 is being made" in err


def test_a_refused_up_ends_with_how_many_problems_there_are(
    hotrun: Callable[..., Typed], cloud: FakeCloud
) -> None:
    """Errors first, no notes between them, and last what became of the stack."""
    code, _, err = hotrun("up", "template.yml", *flags("image=tinny", "master_flavor=m1.tinny"))
    lines = err.rstrip("\n").split("\n")
    assert code == 3
    assert lines[-1].startswith("2 errors")
    assert lines[-1].endswith("; nothing was created")
    assert "note: " not in err
    levels = [line for line in lines if "m1.tinny" in line or "tinny" in line or line.startswith("warning:")]
    assert not levels[0].startswith("warning:")
    code, out, _ = hotrun("up", "template.yml", "--json", *flags("image=tinny"))
    assert (code, json.loads(out)["exit_code"]) == (3, 3)
    assert "create" not in cloud.calls


def test_up_on_a_stack_that_is_there_looks_at_the_whole_request(
    hotrun: Callable[..., Typed], cloud: FakeCloud
) -> None:
    """What no template could be launched with is no more right because the stack is there."""
    hotrun("up", "template.yml", "--name", NAME, "--detach", *flags())
    code, _, err = hotrun("up", "template.yml", "--name", NAME, "--detach", "--parameter", "max_hours=soon")
    assert code == 3
    assert "max_hours" in err
    code, _, err = hotrun("up", "template.yml", "--name", NAME, "--detach", *flags())
    assert code == 0, err
    assert cloud.calls.count("create") == 1


def test_a_machine_that_is_not_there_is_answered_with_those_that_are(
    hotrun: Callable[..., Typed], cloud: FakeCloud
) -> None:
    """It is the request that is wrong, not the access: exit 2."""
    made(cloud)
    cloud.gate(NAME)
    for words in (("ssh", NAME, "worker-7"), ("logs", NAME, "--node", "worker-7")):
        code, _, err = hotrun(*words)
        assert code == 2
        assert "is worker-7, but the machines of digits are master and worker-1" in err
        assert "#machine-unknown" in err


def test_before_a_machine_spoke_there_is_nothing_to_fetch(
    hotrun: Callable[..., Typed], cloud: FakeCloud
) -> None:
    """That is no problem of ssh: exit 3, and how the stack is."""
    made(cloud)
    code, _, err = hotrun("fetch", NAME)
    assert (code, "nothing to fetch yet: digits is being made (CREATE_IN_PROGRESS)" in err) == (3, True), err
    assert f"status {NAME}" in err
    cloud.fails(NAME, "master: no", identifier="worker-1-gate", server="x")
    settled(cloud)
    code, _, err = hotrun("fetch", NAME)
    assert (code, "nothing to fetch: digits has failed (CREATE_FAILED)" in err) == (3, True), err


def test_a_stack_without_a_way_in_leads_to_a_down_that_works(
    hotrun: Callable[..., Typed], cloud: FakeCloud
) -> None:
    """Its files can't be fetched from here: what can be had is said, and the next command is not refused."""
    made(cloud, external_network="", key_name="")
    trained(cloud)
    code, _, err = hotrun("down", NAME)
    assert code == 3
    assert "it has no external network, so hotrun fetch digits brings only what Heat was told" in err
    code, out, err = hotrun("up", "template.yml", "--name", NAME, *flags("external_network="))
    assert f"down {NAME} --discard" in out, out + err
    assert f"fetch {NAME} --identity" not in out
    result = json.loads(Path("runs/digits/results/result.json").read_text())
    assert result == {}
    assert hotrun("down", NAME, "--discard")[0] == 0


def test_a_stack_with_a_way_in_leads_to_its_key(hotrun: Callable[..., Typed], cloud: FakeCloud) -> None:
    """The rest may still come home."""
    cloud.keys_there = ["laptop"]
    made(cloud, external_network="public", key_name="laptop")
    trained(cloud)
    given = ("external_network=public", "key_name=laptop")
    _, out, err = hotrun("up", "template.yml", "--name", NAME, *flags(*given))
    assert f"fetch {NAME} --identity FILE" in out, out + err
    assert f"down {NAME} --discard" in out
    _, out, err = hotrun("status", NAME)
    assert f"fetch {NAME} --identity FILE" in out, out + err
    kept: Any = record.read(Path("runs"), NAME)
    record.write(Path("runs"), kept.brought("r1"))
    _, out, _ = hotrun("status", NAME)
    assert f"down {NAME}  " in out
    assert "--discard" not in out


def test_after_down_it_is_said_that_it_is_gone_since_when_and_by_whom(
    hotrun: Callable[..., Typed], cloud: FakeCloud, tmp_path: Path
) -> None:
    """runs/NAME/cloud.json knows; exit 3, as for any name that no stack has."""
    made(cloud)
    assert hotrun("down", NAME)[0] == 0
    code, _, err = hotrun("status", NAME)
    assert code == 3
    assert "digits is gone: `down` on this computer deleted it, 2026-01-01 12:00 UTC" in err
    assert "its results were not fetched" in err
    kept: Any = record.read(tmp_path / "runs", NAME)
    record.write(tmp_path / "runs", record.Record(**{**_fields(kept), "deleted": ""}).brought("r1"))
    code, _, err = hotrun("status", NAME)
    assert code == 3
    assert "and not by a `down` of this computer, which saw it last 20" in err
    assert "the results of run r1 are in runs/digits" in err


def test_a_new_stack_of_that_name_is_not_gone(hotrun: Callable[..., Typed], cloud: FakeCloud) -> None:
    """The record is that of the newest."""
    made(cloud)
    hotrun("down", NAME)
    assert hotrun("up", "template.yml", "--name", NAME, "--detach", *flags())[0] == 0
    kept = record.read(Path("runs"), NAME)
    assert kept is not None
    assert kept.deleted == ""


def _fields(kept: record.Record) -> dict[str, Any]:
    import dataclasses

    return dataclasses.asdict(kept)
