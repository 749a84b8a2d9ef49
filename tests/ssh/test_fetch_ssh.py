"""What a master has comes home over a real ssh: whole, once, of the right run, and nothing else."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from cloud.stack.shell.stream import Stream
from tests.ssh.brought import FILES, brought, content

pytestmark = [pytest.mark.process, pytest.mark.network]


def test_everything_of_a_judged_run_comes_home(site: Any, tmp_path: Path) -> None:
    """Every file, odd names too, with a manifest that `sha256sum -c` agrees to in that folder."""
    site.master.judged(FILES)
    folder = tmp_path / "runs/digits"
    fetched = brought(site, folder)
    assert content(folder) == FILES
    assert (fetched.is_whole, fetched.is_snapshot, fetched.problems) == (True, False, ())
    for line in (folder / "manifest.sha256").read_text().splitlines():
        sha256, _, name = line.partition("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256
    assert json.loads((folder / "status.json").read_text())["result"] == {"accuracy": 0.9}
    assert not (folder / ".part").exists()


def test_what_is_here_is_not_loaded_again(site: Any, tmp_path: Path) -> None:
    """A second fetch only asks for the manifest; a file that was changed or deleted here comes again."""
    site.master.judged(FILES)
    brought(site, tmp_path)
    (tmp_path / "results/result.json").write_text('{"accuracy": 1.0}')
    (tmp_path / "results/empty").unlink()
    said = io.StringIO()
    assert brought(site, tmp_path, said).is_whole
    assert "fetching 3 files, " in said.getvalue()
    assert content(tmp_path) == FILES


def test_while_it_trains_a_snapshot_comes(site: Any, tmp_path: Path) -> None:
    """The master's results, checkpoints and logs so far; later the whole, in the same places."""
    here = site.master.training()
    (here / "results/metrics.csv").write_bytes(b"epoch,loss\n1,2\n")
    checkpoint = here.parent / "checkpoints/epoch-1.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"weights")
    (here / "results/secret").symlink_to("/etc/passwd")
    site.master.log("train", "epoch 1\n")
    fetched = brought(site, tmp_path)
    assert (fetched.is_whole, fetched.is_snapshot) == (False, True)
    assert "snapshot" in fetched.missing[0]
    assert content(tmp_path) == {
        "results/metrics.csv": b"epoch,loss\n1,2\n", "results/checkpoints/epoch-1.ckpt": b"weights",
        "logs/master/train.log": b"epoch 1\n",
    }  # fmt: skip
    (here / "results/metrics.csv").write_bytes(b"epoch,loss\n1,2\n2,1\n")
    brought(site, tmp_path)
    assert content(tmp_path)["results/metrics.csv"] == b"epoch,loss\n1,2\n2,1\n"
    site.master.judged(FILES)
    assert brought(site, tmp_path).is_whole
    assert content(tmp_path).items() >= FILES.items()


def test_another_run_does_not_mix_with_the_one_before(site: Any, tmp_path: Path) -> None:
    """What an earlier run left is moved to a folder of its own."""
    site.master.judged({"results/old.ckpt": b"old"})
    brought(site, tmp_path)
    site.master.judged({"results/new.ckpt": b"new"}, run="20260102-000000-ef01")
    brought(site, tmp_path)
    assert content(tmp_path) == {"results/new.ckpt": b"new"}
    assert (tmp_path / "earlier/20260101-120000-abcd-1/results/old.ckpt").read_bytes() == b"old"


def test_links_of_the_machine_are_not_followed(site: Any, tmp_path: Path) -> None:
    """Neither a link to a file nor a linked directory leads out of the run's own files."""
    directory = site.master.judged(FILES)
    (directory / "results/out").symlink_to("/etc")
    (directory / "results/passwd").symlink_to("/etc/passwd")
    brought(site, tmp_path)
    assert content(tmp_path) == FILES
    with site.shell() as shell:
        asked = {"path": "results/out/passwd", "offset": 0, "size": 9999, "sha256": ""}
        stream = shell.python(
            "send", "20260101-120000-abcd", "1", "collected", stdin=json.dumps(asked).encode()
        )
        stream.line(10)
        assert json.loads(stream.line(10)) == {"failed": "behind a symbolic link"}


def test_ten_thousand_small_files_take_one_connection(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two programs are started on the machine, whatever the number of files."""
    site.master.judged({f"results/{n // 100}/{n}.txt": b"%d" % n for n in range(10_000)})
    started: list[list[str]] = []
    begin = Stream.__init__
    monkeypatch.setattr(
        Stream,
        "__init__",
        lambda self, command, stdin: started.append(command) or begin(self, command, stdin),
    )
    fetched = brought(site, tmp_path)
    assert (fetched.is_whole, fetched.files, len(started)) == (True, 10_002, 2)
