"""A fetch over ssh that is cut, damaged or has no room goes on, or says why it can't."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Any

import pytest

from cloud.stack.fetch import frames as fetch_frames
from cloud.stack.fetch import ssh as fetch_ssh
from cloud.stack.shell import NoShell
from cloud.stack.shell.stream import Stream
from cloud.ui import Ui
from tests.ssh.brought import FILES, brought, content

pytestmark = [pytest.mark.process, pytest.mark.network]


def test_a_broken_connection_is_gone_on_with(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ssh killed in the middle of a file: the next one begins at the byte after the last."""
    site.master.judged(FILES)
    broken = breaking(monkeypatch, times=2, after=1_000_000)
    offsets: list[int] = []
    request = fetch_frames.Receiver.request
    monkeypatch.setattr(
        fetch_frames.Receiver, "request",
        lambda self, remote, known="": offsets.append((made := request(self, remote, known))["offset"]) or made,
    )  # fmt: skip
    said = io.StringIO()
    assert brought(site, tmp_path, said).is_whole
    assert (content(tmp_path), broken[0]) == (FILES, 0)
    assert max(offsets) >= 1_000_000
    assert said.getvalue().count("broke off") == 2


def test_a_connection_that_never_lasts_is_an_error_that_keeps_what_came(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some tries without anything new it ends with a name, and the next fetch goes on."""
    site.master.judged(FILES)
    with monkeypatch.context() as patch:
        breaking(patch, times=100, after=0)
        with pytest.raises(NoShell) as caught:
            brought(site, tmp_path)
    assert caught.value.problems[0].code == "ssh-lost"
    assert brought(site, tmp_path).is_whole


def test_ctrl_c_keeps_what_came(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next fetch goes on where it was."""
    site.master.judged(FILES)

    def interrupted(stream: Stream, most: int, timeout_s: float) -> bytes:
        if sum(path.stat().st_size for path in (tmp_path / ".part").glob("*")) > 500_000:
            raise KeyboardInterrupt
        return some(stream, most, timeout_s)

    some = Stream.some
    with monkeypatch.context() as patch:
        patch.setattr(Stream, "some", interrupted)
        with pytest.raises(KeyboardInterrupt):
            brought(site, tmp_path)
    said = io.StringIO()
    assert brought(site, tmp_path, said).is_whole
    assert "MB" in said.getvalue()
    assert content(tmp_path) == FILES


def test_a_program_that_fails_there_is_told_apart_from_a_broken_connection(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not tried again, and its own lines are shown."""
    site.master.judged(FILES)
    (site.master.root / "var/lib/hotrun/runs/current.json").write_text('{"run": "r", "memory": 7}')
    with pytest.raises(NoShell) as caught:
        brought(site, tmp_path)
    assert caught.value.problems[0].code == "machine-answer"
    assert "AttributeError" in caught.value.problems[0].log[-1]


def test_a_place_that_cannot_be_written_is_named(site: Any, tmp_path: Path) -> None:
    """A file where the directory should be."""
    from cloud.errors import RequestError

    site.master.judged(FILES)
    (tmp_path / "runs").write_text("")
    with pytest.raises(RequestError, match="can't be written"):
        brought(site, tmp_path / "runs/digits")


def test_a_damaged_part_is_loaded_once_more(site: Any, tmp_path: Path) -> None:
    """A part whose bytes changed here is found by the SHA-256 of the whole, dropped and loaded again."""
    directory = site.master.judged(FILES)
    with site.shell() as shell:
        found = fetch_ssh.Transfer(shell, tmp_path, Ui(stderr=io.StringIO()), time.sleep).look()
    receiver = fetch_frames.Receiver(tmp_path, found.key, fetch_ssh.Arrived())
    model = next(each for each in found.files if each.path == "results/model.ckpt")
    part = receiver.part(model)
    part.parent.mkdir()
    real = (directory / model.path).read_bytes()[:2_000_000]
    part.write_bytes(bytes([real[0] ^ 1]) + real[1:])
    said = io.StringIO()
    assert brought(site, tmp_path, said).is_whole
    assert "damaged" in said.getvalue()
    assert content(tmp_path) == FILES


def test_a_file_that_stays_damaged_is_named(site: Any, tmp_path: Path) -> None:
    """What is not what the manifest says does not come into results, and the fetch is not whole."""
    directory = site.master.judged(FILES)
    (directory / "results/result.json").write_bytes(b'{"accuracy": 9.9}')
    fetched = brought(site, tmp_path)
    assert [problem.code for problem in fetched.problems] == ["results-damaged"]
    assert not fetched.is_whole
    assert not (tmp_path / "results/result.json").exists()


def test_a_full_disk_is_told_before(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is loaded where it does not fit."""
    from cloud.errors import HotrunError

    site.master.judged(FILES)
    monkeypatch.setattr(fetch_ssh, "SPARE_BYTES", 1 << 60)
    with pytest.raises(HotrunError, match="are to come"):
        brought(site, tmp_path)
    assert content(tmp_path) == {}


def breaking(monkeypatch: pytest.MonkeyPatch, *, times: int, after: int) -> list[int]:
    """Kill the ssh process once `after` bytes of files have come, so many times; return what is left to break."""
    state = [times, 0]
    some, line = Stream.some, Stream.line

    def kill(stream: Stream) -> None:
        state[0] -= 1
        state[1] = 0
        stream._process.kill()
        stream._process.wait()
        stream._buffer.clear()
        while os.read(stream._out.fileno(), 1 << 20):
            pass

    def breaking_some(stream: Stream, most: int, timeout_s: float) -> bytes:
        found = some(stream, most, timeout_s)
        state[1] += len(found)
        if state[0] and after and state[1] > after:
            kill(stream)
        return found

    def breaking_line(stream: Stream, timeout_s: float) -> bytes:
        if state[0] and not after and timeout_s == fetch_frames.SILENCE_S:
            kill(stream)
        return line(stream, timeout_s)

    monkeypatch.setattr(Stream, "some", breaking_some)
    monkeypatch.setattr(Stream, "line", breaking_line)
    return state
