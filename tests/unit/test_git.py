"""Git itself: how it is started and ended, and how its answers are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cloud.git import command as git
from cloud.git.refs import parse_refs


@pytest.mark.process
def test_a_git_that_takes_too_long_is_ended_on_windows_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no groups of processes there."""
    monkeypatch.delattr(os, "killpg")
    (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert git.git("status", directory=tmp_path, timeout_s=0.2).code == git.TIMED_OUT


def test_the_listing_of_a_host_is_read_by_name() -> None:
    """Peeled tags first, a branch before a tag of the same name."""
    a, b, c = "a" * 40, "b" * 40, "c" * 40
    refs = parse_refs(
        f"ref: refs/heads/main\tHEAD\n{a}\tHEAD\n{a}\trefs/heads/main\n{b}\trefs/heads/v1\n"
        f"{c}\trefs/tags/v1\n{c}\trefs/tags/v2\n{a}\trefs/tags/v2^{{}}\nwarning: odd line\n"
    )

    assert refs.resolve("") == ("main", a)
    assert refs.resolve("v1") == ("v1", b)
    assert refs.resolve("v2") == ("v2", a)
    assert refs.resolve("v3") == ("v3", "")
    assert refs.names == ["main", "v1", "v1", "v2"]


def test_gits_reason_is_one_line_without_credentials() -> None:
    """What git wrote may hold an address with a password."""
    answer = git.Answer(
        128, b"", "warning: x\nfatal: unable to access 'https://a:pw@h/x/': Could not resolve host: h\n"
    )

    assert answer.reason == "Could not resolve host: h"
    assert "pw" not in git.Answer(128, b"", "fatal: bad https://a:pw@h/x\n").reason
