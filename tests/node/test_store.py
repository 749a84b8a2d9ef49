"""The master keeps what nodes bring, whole, in its place, and lists it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from cloud.node.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "1", tmp_path / "shared")


def test_uploads_lie_by_kind_and_node(store: Store) -> None:
    """Logs and workers' results lie below the node's name, the master's results and all proof do not."""
    for node, name in (
        ("worker-1", "logs/a.log"),
        ("worker-1", "results/x/y"),
        ("master", "results/x"),
        ("worker-1", "proof/r"),
    ):
        store.keep(node, name, io.BytesIO(b"abc"), 3)

    found = sorted(
        path.relative_to(store.directory).as_posix() for path in store.directory.rglob("*") if path.is_file()
    )
    assert ["logs/worker-1/a.log", "proof/r", "results/worker-1/x/y", "results/x"] == found


@pytest.mark.parametrize("name", ["logs/../../etc/passwd", "etc/x", "logs/", "results/../../1x"])
def test_an_upload_can_not_leave_its_place(store: Store, name: str) -> None:
    """A path that leads elsewhere is refused."""
    with pytest.raises(ValueError, match=r"leads out|not one of"):
        store.keep("worker-1", name, io.BytesIO(b""), 0)


def test_an_upload_that_ends_early_leaves_nothing(store: Store) -> None:
    """Half a file is no file."""
    with pytest.raises(OSError, match="ended early"):
        store.keep("worker-1", "logs/a", io.BytesIO(b"ab"), 3)

    assert not (store.directory / "logs/worker-1/a").exists()


def test_the_manifest_is_sha256sums_form(store: Store) -> None:
    """Every file with its SHA-256, sorted by path."""
    store.keep("master", "results/b", io.BytesIO(b"b"), 1)
    store.keep("master", "results/a", io.BytesIO(b"a"), 1)

    assert 2 == store.write_manifest()
    lines = (store.directory / "manifest.sha256").read_text().splitlines()
    assert [f"{hashlib.sha256(c).hexdigest()}  results/{c.decode()}" for c in (b"a", b"b")] == lines
