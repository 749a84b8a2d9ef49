from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud.errors import Problem, RunFailed
from cloud.stack.shell import follow_logs
from cloud.stack.shell.follow_logs import Line, OverSsh, Wanted, of_folder

pytestmark = [pytest.mark.process, pytest.mark.network]


def shown(site: Any, said: list[str] | None = None, **wanted: Any) -> Iterator[tuple[str, str, str]]:
    """Lines over ssh."""
    with site.shell() as shell:
        say: Callable[[str], None] = said.append if said is not None else lambda _: None
        for line in OverSsh(shell, Wanted(**wanted), say).lines():
            yield line.node, line.stage, line.text


def test_lines_of_all_machines_are_shown(site: Any) -> None:
    """While a run goes on every machine is asked; the last lines of each log come."""
    site.master.training()
    for host in site.hosts.values():
        host.log("source", "".join(f"{number}\n" for number in range(100)))
        host.log("train", f"{host.name} trains\n")
    found = list(shown(site, back=2))
    assert sorted(found) == sorted(
        line
        for name in site.hosts
        for line in ((name, "source", "98"), (name, "source", "99"), (name, "train", f"{name} trains"))
    )
    assert list(shown(site, back=1, node="worker-2")) == [
        ("worker-2", "source", "99"),
        ("worker-2", "train", "worker-2 trains"),
    ]


def test_a_machine_that_is_off_is_said_and_the_others_are_shown(site: Any) -> None:
    """One sentence for it."""
    site.master.training()
    site.master.log("train", "here\n")
    site.hosts["worker-1"].stop()
    said: list[str] = []
    assert list(shown(site, said)) == [("master", "train", "here")]
    assert [sentence for sentence in said if "worker-1" in sentence]


def test_after_the_run_the_master_has_the_logs_of_all(site: Any) -> None:
    """Workers that powered off are not needed."""
    site.master.judged({"logs/master/train.log": b"a\n", "logs/worker-1/train.log": b"b\n"})
    site.hosts["worker-1"].stop()
    assert list(shown(site, follow=True)) == [("master", "train", "a"), ("worker-1", "train", "b")]


def test_following_ends_with_the_run(site: Any) -> None:
    """New lines and new logs come as they are written; what came is not shown twice when the run is judged."""
    site.master.training()
    site.master.log("train", "one\n")
    lines = shown(site, follow=True)
    assert next(lines) == ("master", "train", "one")
    site.hosts["worker-2"].log("train", "two\n")
    assert next(lines) == ("worker-2", "train", "two")
    site.master.log("collect", "three\n")
    assert next(lines) == ("master", "collect", "three")
    site.master.judged({"logs/master/train.log": b"one\n"})
    assert list(lines) == []


def test_a_lost_connection_is_made_again(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the last line that came, neither twice nor with a gap."""
    monkeypatch.setattr(follow_logs, "_PAUSE_S", 0.1)
    site.master.training()
    site.master.log("train", "one\n")
    said: list[str] = []
    with site.shell() as shell:
        lines = (line.text for line in OverSsh(shell, Wanted(follow=True), said.append).lines())
        assert next(lines) == "one"
        for stream in shell._running:
            stream._process.kill()
        site.master.log("train", "two\n")
        assert next(lines) == "two"
        threading.Timer(0.5, site.master.judged, [{}]).start()
        assert list(lines) == []
    assert any("trying again" in sentence for sentence in said)


def test_a_master_that_went_away_with_its_stack_ends_the_following(site: Any) -> None:
    """It will not be there again: the cloud is asked, and says why."""
    site.master.training()
    site.master.log("train", "one\n")
    gone = Problem(code="stack-gone", what="the stack digits was deleted, so its logs end here")
    said: list[str] = []
    with site.shell() as shell:
        lines = OverSsh(shell, Wanted(follow=True), said.append, lambda: gone).lines()
        assert next(lines).text == "one"
        site.master.stop()
        for stream in shell._running:
            stream._process.kill()
        with pytest.raises(RunFailed, match="was deleted"):
            list(lines)
    assert [sentence for sentence in said if sentence.endswith("master broke off; trying again for 15 min")]


def test_fetched_logs_are_shown(tmp_path: Path) -> None:
    """Master first, then workers by number; what was collected counts more than what a console showed."""
    for name, text in (
        ("worker-10.log", "console of ten\n"), ("worker-2/train.log", "two\n"), ("worker-2.log", "console\n"),
        ("master/train.log", "zero\n"),
    ):  # fmt: skip
        path = tmp_path / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = list(of_folder(tmp_path, Wanted()))
    assert found == [
        Line(node="master", stage="train", text="zero"),
        Line(node="worker-2", stage="train", text="two"),
        Line(node="worker-10", stage="", text="console of ten"),
    ]
