"""Where a rehearsal puts things: addresses, roots, caches, environments."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cloud.errors import ProblemsFound, RequestError
from cloud.rehearse import Options, addresses, environment, rehearse, roots
from tests.rehearse import fakes


def silent(_sentence: str) -> None:
    """Say nothing."""


def test_networks_are_claimed_for_life() -> None:
    """Two claims differ; a network given back is free again."""
    first, second = addresses.claim(3), addresses.claim(3)
    try:
        assert first.prefix != second.prefix
        assert (first.services, first.node(0), first.node(2)) == tuple(
            f"{first.prefix}.{n}" for n in (1, 2, 4)
        )
    finally:
        first.close()
        second.close()
    again = addresses.claim(3)
    again.close()
    assert again.prefix == first.prefix


def test_addresses_of_the_largest_rehearsal_can_be_bound() -> None:
    """250 machines fit one network; one more is refused by name."""
    network = addresses.claim(addresses.MAX_NODES)
    with network.claim, socket.socket() as last:
        last.bind((network.node(addresses.MAX_NODES - 1), 0))
    with pytest.raises(RequestError, match="250"):
        addresses.claim(addresses.MAX_NODES + 1)


def test_another_system_is_a_named_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Linux there is no loopback address for each machine, and no module that only Unix has is imported."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as where it does not exist
    for name in [name for name in sys.modules if name.startswith("cloud.rehearse.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ProblemsFound) as caught:
        rehearse(fakes.plan(fakes.TRAINS), Options(), fakes.Ui())
    assert caught.value.problems[0].code == "rehearsal-needs-linux"


def test_the_cache_is_a_directory_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order: HOTRUN_CACHE_DIR, XDG_CACHE_HOME, HOME, the temporary directory."""
    given, xdg, home = (tmp_path / name for name in ("given", "xdg", "home"))
    environ = {"HOTRUN_CACHE_DIR": str(given), "XDG_CACHE_HOME": str(xdg), "HOME": str(home)}
    found = []
    for name in (*environ, None):
        found.append(roots.cache_directory(environ))
        if name:
            environ = {key: value for key, value in environ.items() if key != name}
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "tmp"))
    found[-1] = roots.cache_directory({})
    assert found == [given, xdg / "hotrun", home / ".cache/hotrun", tmp_path / f"tmp/hotrun-{os.geteuid()}"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
def test_a_home_of_another_user_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root with somebody's HOME would leave files there that its owner can't delete."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "tmp"))
    home = tmp_path / "home"
    (home / ".cache/hotrun").mkdir(parents=True)
    os.chown(home / ".cache/hotrun", 65534, 65534)
    assert home not in roots.cache_directory({"HOME": str(home)}).parents


def test_a_given_cache_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    """Who names a directory wants that one."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ProblemsFound, match="HOTRUN_CACHE_DIR"):
        roots.cache_directory({"HOTRUN_CACHE_DIR": str(tmp_path / "file/below")})


def test_uvs_own_cache_serves_only_where_hard_links_work(tmp_path: Path) -> None:
    """Another file system would mean copies of gigabytes: then the cache lies beside the roots, and that is said."""
    own, cache = tmp_path / "uv", tmp_path / "cache"
    cache.mkdir()
    said: list[str] = []
    assert roots.uv_cache({"UV_CACHE_DIR": str(own)}, cache, said.append) == own
    assert said == []
    assert roots.uv_cache({}, cache, said.append) == cache / "uv"
    if Path("/dev/shm").is_dir() and Path("/dev/shm").stat().st_dev != cache.stat().st_dev:
        other = Path("/dev/shm") / f"hotrun-test-{os.getpid()}"
        try:
            assert roots.uv_cache({"UV_CACHE_DIR": str(other)}, cache, said.append) == cache / "uv"
        finally:
            roots.remove(other)
        assert "another file system" in said[-1]


def test_roots_are_kept_but_not_what_a_run_proved(tmp_path: Path) -> None:
    """Packages and data stay; runs and logs of before are gone; --fresh takes all."""
    first = roots.take(tmp_path, "digits-1", ["master"], is_fresh=False)
    node = first.node("master")
    for name in ("opt/hotrun/env/x/y", "var/lib/hotrun/data/z", "var/lib/hotrun/runs/old/1/proof/rank0.json"):
        (node / name).parent.mkdir(parents=True)
        (node / name).write_text("")
    first.close()
    again = roots.take(tmp_path, "digits-1", ["master"], is_fresh=False)
    kept = {str(path.relative_to(node)) for path in node.rglob("*") if path.is_file()}
    again.close()
    assert kept == {"opt/hotrun/env/x/y", "var/lib/hotrun/data/z"}
    roots.take(tmp_path, "digits-1", ["master"], is_fresh=True).close()
    assert not [path for path in node.rglob("*") if path.is_file()]


def test_roots_in_use_are_not_shared(tmp_path: Path) -> None:
    """The second rehearsal of a repository takes the next slot."""
    first = roots.take(tmp_path, "digits-1", ["master"], is_fresh=False)
    second = roots.take(tmp_path, "digits-1", ["master"], is_fresh=False)
    first.close()
    second.close()
    assert (first.directory.name, second.directory.name) == ("0", "1")


def test_trees_without_write_permission_are_removed(tmp_path: Path) -> None:
    """Some packages install their directories read-only."""
    deep = tmp_path / "tree/a/b"
    deep.mkdir(parents=True)
    (deep / "file").write_text("")
    deep.chmod(0o500)
    deep.parent.chmod(0o500)
    roots.remove(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_a_full_disk_is_known_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little space is an error with both figures, and the size is said in any case."""
    taken = roots.take(tmp_path, "digits-1", ["master"], is_fresh=False)
    monkeypatch.setattr(roots, "NEEDED_BYTES", 10**18)
    said: list[str] = []
    problems = roots.check_disk(taken, tmp_path, 3, said.append)
    taken.close()
    assert problems[0].code == "disk-full"
    assert "GB free" in said[0]


@pytest.mark.parametrize(
    ("free_gb", "is_kept", "expected"),
    [
        (1, False, {"disk-full": "error"}),
        (5, False, {"disk-short": "warning"}),
        (7, False, {}),
        (1, True, {}),
    ],
)
@pytest.mark.parametrize("full", ["uv", "nodes"])
def test_a_disk_that_may_not_last_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, full: str, free_gb: int, is_kept: bool,
    expected: dict[str, str],
) -> None:  # fmt: skip
    """New machines may need 6 GB with CUDA; the volume of uv's cache counts as theirs does."""
    taken = roots.take(tmp_path / "nodes", "digits-1", ["master"], is_fresh=False)
    if is_kept:
        (taken.node("master") / "opt/hotrun/env").mkdir(parents=True)

    def usage(path: Path) -> SimpleNamespace:
        return SimpleNamespace(free=(free_gb if tmp_path / full in (path, *path.parents) else 100) * 10**9)

    monkeypatch.setattr(roots.shutil, "disk_usage", usage)
    problems = roots.check_disk(taken, tmp_path / "uv", 3, lambda sentence: None)
    taken.close()
    found = [problem for problem in problems if problem.code.startswith("disk")]
    assert {problem.code: problem.level for problem in found} == expected
    assert all(str(tmp_path / full) in problem.what for problem in found)


@pytest.mark.parametrize(
    ("repo", "expected"),
    [
        ("https://github.com/you/digits.git", "digits"),
        ("git@github.com:you/my repo.git/", "my-repo"),
        ("/srv/nets", "nets"),
        ("https://host/..git", "run"),
    ],
)
def test_short_names_are_file_names(repo: str, expected: str) -> None:
    """The last part of an address, without what a file name should not have."""
    assert roots.short_name(repo) == expected


def test_a_proxy_is_not_asked_for_the_machines_own_addresses() -> None:
    """urllib knows no networks in no_proxy, so each address is named."""
    made = environment.inherited({"https_proxy": "http://p:1", "no_proxy": "corp"}, ["127.64.1.2"])
    assert made["no_proxy"] == "corp,127.0.0.1,localhost,127.64.1.2"
    assert "no_proxy" not in environment.inherited({}, ["127.64.1.2"])


def test_the_persons_pip_conf_reaches_the_machines(tmp_path: Path) -> None:
    """A machine has a home of its own, so the file becomes variables; a variable wins over the file."""
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip/pip.conf").write_text("[global]\nindex-url = https://a.invalid/simple\ntimeout = 5\n")
    environ = {"HOME": "/nonexistent", "XDG_CONFIG_HOME": str(tmp_path)}
    assert environment.inherited(environ, [])["PIP_INDEX_URL"] == "https://a.invalid/simple"
    environ["PIP_INDEX_URL"] = "https://b.invalid/simple"
    assert environment.inherited(environ, [])["PIP_INDEX_URL"] == "https://b.invalid/simple"


@pytest.mark.process
def test_a_system_without_a_fitting_python_takes_this_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its directory comes first on PATH, and that is said."""
    said: list[str] = []
    assert environment.search_path(os.environ, silent).endswith(environment.STANDARD_PATH)
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    monkeypatch.setattr(environment, "STANDARD_PATH", f"{tmp_path}:{environment.STANDARD_PATH}")
    first = environment.search_path(os.environ, said.append).split(":")[0]
    assert (Path(first) / "python3").exists()
    assert Path(first) != tmp_path
    assert "3.9 or newer" in said[0]
