from __future__ import annotations

import ast
import http.server
import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from cloud.node import job, link
from cloud.stack import inside
from cloud.stack.inside import files as inside_files
from cloud.stack.inside import logs as inside_logs
from cloud.stack.inside.run import chosen, current

RUN = "20260101-120000-abcd"
FOLDER = Path(inside.__file__).parent


def said(capsysbinary: pytest.CaptureFixture[bytes], *arguments: str) -> list[dict[str, Any]]:
    """What the program answers."""
    assert inside.main(list(arguments)) == 0
    out = capsysbinary.readouterr().out
    assert out.startswith(inside.MAGIC)
    return [json.loads(line) for line in out[len(inside.MAGIC) :].splitlines()]


def training(root: Path, *, attempt: int = 1) -> Path:
    """A master whose run goes on."""
    runs = root / "var/lib/hotrun/runs"
    runs.mkdir(parents=True, exist_ok=True)
    (runs / "current.json").write_text(json.dumps({"run": RUN, "memory": {"attempt": attempt}}))
    return runs


def test_it_says_what_the_coordinator_knows_and_nothing_secret(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks with the stack's secret and rank 0, and no word of the job leaves the machine."""
    asked: list[tuple[str, ...]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers[link.SECRET_HEADER], self.headers[link.RANK_HEADER]))
            members = [
                {
                    "rank": 0,
                    "heard": 1.0,
                    "stage": "train",
                    "stages": {"network": 0.2},
                    "address": "10.8.0.5",
                },
                {"rank": 1, "heard": 0.0, "stage": "boot"},
                {"rank": 2, "heard": 1.0, "lost": 2.0, "lost_how": "its connection ended"},
            ]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"members": members}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setattr(inside, "PORT", server.server_address[1])
        training(tmp_path)
        (tmp_path / "etc/hotrun").mkdir(parents=True)
        (tmp_path / "etc/hotrun/job.json").write_text('{"master": "127.0.0.1", "secret": "hush-hush"}')
        (found,) = said(capsysbinary, "--root", str(tmp_path), "status")
        server.shutdown()
    assert asked == [("/status", "hush-hush", "0")]
    assert [(node["name"], node["state"]) for node in found["nodes"]] == [
        ("master", "here"), ("worker-1", "waiting"), ("worker-2", "lost"),
    ]  # fmt: skip
    assert (found["phase"], found["missing"], "hush" in json.dumps(found)) == ("running", [], False)


def test_a_coordinator_that_does_not_answer_is_said(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The rest of the answer comes all the same."""
    training(tmp_path)
    (tmp_path / "var/log/hotrun").mkdir(parents=True)
    (tmp_path / "var/log/hotrun/train.log").write_text("one\ntwo\n\n")
    (found,) = said(capsysbinary, "--root", str(tmp_path), "status")
    assert found["missing"] == ["the coordinator: No such file or directory"]
    assert [line["text"] for line in found["lines"]] == ["two"]


def test_which_run_it_is(tmp_path: Path) -> None:
    """None, one that goes on, one that was judged, and a new one after a judged one."""
    assert current(str(tmp_path)) == ("", 0, "idle")
    runs = training(tmp_path)
    assert current(str(tmp_path)) == (RUN, 1, "running")
    (runs / "latest").write_text(f"{RUN}/1\n")
    assert current(str(tmp_path)) == (RUN, 1, "collected")
    training(tmp_path, attempt=2)
    assert current(str(tmp_path)) == (RUN, 2, "running")
    (runs / "latest").write_text("../../../etc/1\n")
    (runs / "current.json").write_text('{"run": "../.."}')
    assert current(str(tmp_path)) == ("", 0, "idle")


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "results/../../x", "shared/x", "results/link", "results"]
)
def test_no_other_file_is_opened(tmp_path: Path, name: str) -> None:
    """Whatever was asked for."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results/link").symlink_to("/etc/passwd")
    with pytest.raises((OSError, ValueError)):
        inside_files._open([("", str(tmp_path))], name)


@pytest.mark.parametrize(("count", "expected"), [(1, b"c\n"), (2, b"b\nc\n"), (9, b"a\nb\nc\n")])
def test_the_last_lines_are_found(count: int, expected: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Block by block from the end."""
    monkeypatch.setattr(inside_logs, "_BLOCK", 3)
    text = b"a\nb\nc\n"
    assert text[inside_logs._last_lines(io.BytesIO(text), len(text), count) :] == expected


def test_it_agrees_with_the_node_program() -> None:
    """Port, headers and stages are the node program's."""
    from cloud.node.console import STAGES

    assert job.COORDINATOR_PORT == inside.PORT
    assert (link.SECRET_HEADER, link.RANK_HEADER) == inside.HEADERS
    assert inside.STAGES == STAGES


@pytest.mark.parametrize("name", inside.PARTS.values())
def test_it_is_read_by_python_3_9_and_needs_nothing(name: str) -> None:
    """Standard library alone, beside its own parts."""
    import sys

    tree = ast.parse((FOLDER / name).read_text(), feature_version=(3, 9))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= sys.stdlib_module_names
        if isinstance(node, ast.ImportFrom):
            own = (node.module or "").removeprefix("cloud.stack.inside") in inside.PARTS
            assert own or str(node.module).partition(".")[0] in sys.stdlib_module_names


def test_a_run_that_is_named_is_its_newest_attempt(tmp_path: Path) -> None:
    """Judged or not; the newest run is what it always is, and a name that leads elsewhere is none."""
    runs = training(tmp_path)
    for name in ("old/1", "old/3-here", "old/checkpoints", "older/2"):
        (runs / name).mkdir(parents=True)
    (runs / "older/2/manifest.sha256").write_text("")
    root = str(tmp_path)
    assert chosen(root, "old") == ("old", 3, "ended")
    assert chosen(root, "older") == ("older", 2, "collected")
    assert chosen(root, "") == chosen(root, RUN) == current(root) == (RUN, 1, "running")
    for name in ("nobody", "..", "old/1", "-x"):
        assert chosen(root, name) == ("", 0, "idle")
