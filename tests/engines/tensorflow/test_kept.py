"""A checkpoint's file, by numpy alone: the same bytes for the same state, nothing executed, damage told."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

STATE = {
    "epoch": 2, "rows": [{"loss": 0.5}], "hidden.kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "optimizer.0": np.asarray(430, np.int64),
}  # fmt: skip
RUN = {"trainer": "tensorflow", "seed": 1}


def _saved(directory: Path, step: int = 430) -> Path:
    from keep.checkpoints import save
    from mwms.kept import write

    return save(directory, STATE, step=step, epoch=2, run=RUN, keep=2, write=write).path


def _hotruns_choice(directory: Path) -> str:
    """What hotrun's node takes for the newest checkpoint there."""
    from cloud.node.checkpoints import newest

    found = newest(directory.iterdir(), 0, time.time())
    assert found is not None
    path, _, manifest = found
    assert json.loads(manifest)["file"] == path.name
    return path.name


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    """Arrays and plain values are read as they were written."""
    from mwms.kept import read

    content = read(_saved(tmp_path))

    assert {name: content[name] for name in ("epoch", "rows")} == {"epoch": 2, "rows": [{"loss": 0.5}]}
    for name in ("hidden.kernel", "optimizer.0"):
        assert (content[name] == STATE[name]).all()
        assert content[name].dtype == STATE[name].dtype  # type: ignore[attr-defined]


def test_workers_write_the_same_bytes(tmp_path: Path) -> None:
    """A file has no time and no place in it, so that workers can compare theirs."""
    one = _saved(tmp_path / "0")
    os.utime(one, (1, 1))

    assert one.read_bytes() == _saved(tmp_path / "1").read_bytes()


def test_hotrun_takes_it_for_whole(tmp_path: Path) -> None:
    """A node finds the newest by its manifest, and hands on this one file."""
    _saved(tmp_path)
    newer = _saved(tmp_path, 860)

    assert _hotruns_choice(tmp_path) == newer.name


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    """Bytes that are missing, or code in a pickle, are a sentence and are not executed."""
    from keep.checkpoints import CheckpointError
    from mwms.kept import read

    whole = _saved(tmp_path).read_bytes()
    for name, content in {"short": whole[: len(whole) // 2], "text": b"no zip", "none": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"{name} can't be loaded"):
            read(tmp_path / name)
    np.savez(tmp_path / "pickled.npz", about=np.array([object()], dtype=object))
    with pytest.raises(CheckpointError, match="allow_pickle"):
        read(tmp_path / "pickled.npz")


@pytest.mark.parametrize(
    ("environment", "index", "place"),
    [
        ({}, 0, "run/checkpoints"),
        ({}, 1, "run/checkpoints/worker-1"),
        ({"HOTRUN_CHECKPOINT_DIR": "own", "HOTRUN_NODE_RANK": "1"}, 1, "own"),
        ({"HOTRUN_CHECKPOINT_DIR": "shared"}, 0, "shared"),
        ({"HOTRUN_CHECKPOINT_DIR": "shared"}, 1, "shared/worker-1"),
    ],
)
def test_workers_never_share_a_directory(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], index: int, place: str
) -> None:
    """A node of hotrun has one of its own; otherwise a worker's folder has its number."""
    from mwms.cluster import Cluster
    from mwms.kept import directory_of

    for name in ("HOTRUN_CHECKPOINT_DIR", "HOTRUN_NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert directory_of(Path("run"), Cluster(workers=("a:1", "b:1"), index=index)) == Path(place)
