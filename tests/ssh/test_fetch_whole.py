from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cloud.errors import ProblemsFound
from cloud.stack import fetch as fetching
from cloud.stack import record
from cloud.stack.api import Resource, Stack
from cloud.ui import Ui

pytestmark = [pytest.mark.process, pytest.mark.network]
RESULT = {"server": "m1", "run": "r1", "attempt": 1, "state": "done", "result": {"accuracy": 0.9}}


def stack(**signals: Any) -> Stack:
    """A stack whose master told these."""
    return Stack(
        id="1", name="digits", status="CREATE_COMPLETE", reason="", created=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        outputs={"ssh": "ssh cc@127.0.61.9", "status": json.dumps(signals)},
    )  # fmt: skip


def cloud() -> Any:
    """Answers what a fetch asks."""
    master = Resource(name="master", type="OS::Nova::Server", status="CREATE_COMPLETE", reason="", id="m1")
    return SimpleNamespace(label="here", resources=lambda _: [master])


def test_what_was_fetched_whole_is_remembered(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`fetched_run` names the run, which is what `down` asks for."""
    site.master.judged({"results/a": b"a"})
    monkeypatch.setattr(fetching, "shell_of", lambda *_: site.shell())
    fetched = fetching.fetch(cloud(), stack(), Ui(stderr=io.StringIO()), tmp_path)
    known = record.read(tmp_path, "digits")
    assert known is not None
    assert (fetched.is_whole, fetched.exit_code, known.fetched_run) == (True, 0, fetched.run)


def test_without_ssh_what_heat_has_comes_and_never_less_than_is_here(tmp_path: Path) -> None:
    """Exit 4 and a sentence say what is missing; before a machine spoke it is exit 3."""
    with pytest.raises(ProblemsFound, match="nothing to fetch yet"):
        fetching.fetch(cloud(), stack(), Ui(stderr=io.StringIO()), tmp_path)
    fetched = fetching.fetch(cloud(), stack(result=RESULT), Ui(stderr=io.StringIO()), tmp_path)
    assert (fetched.how, fetched.is_whole, fetched.exit_code) == ("heat", False, 4)
    result = tmp_path / "digits/results/result.json"
    assert json.loads(result.read_text()) == {"accuracy": 0.9}
    (tmp_path / "digits/manifest.sha256").write_text("")
    result.write_text("whole")
    fetching.fetch(cloud(), stack(result=RESULT), Ui(stderr=io.StringIO()), tmp_path)
    assert result.read_text() == "whole"
