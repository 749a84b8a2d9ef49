"""A repository on this computer: a checkout, or an archive without git."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud import repository
from cloud.git.tree import files
from cloud.repository import checkout
from cloud.request import addresses
from tests.unit.repositories import FILES, TRAIN, codes, in_git, job, made, unpacked


@pytest.mark.process
def test_without_git_a_remote_is_a_note_and_a_path_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machines have git; this one need not."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert codes(repository.inspect(job("https://example.org/x"))[1], "note") == ["git-missing"]
    assert codes(repository.inspect(job(tmp_path))[1]) == ["git-missing"]


@pytest.mark.process
def test_a_checkout_without_origin_stays_a_path(tmp_path: Path) -> None:
    """With its commit; a directory inside it means the whole."""
    repo = made(tmp_path / "digits", FILES)

    found, findings = repository.inspect(job(repo / "ray"))

    assert (found.repo, found.commit) == (str(repo), in_git(repo, "rev-parse", "HEAD"))
    assert codes(findings) == []
    assert findings.branch == "main"


@pytest.mark.process
def test_a_checkout_stands_for_its_origin(tmp_path: Path) -> None:
    """As https, with a warning while the commit is not pushed."""
    repo = made(tmp_path / "digits", FILES)
    in_git(repo, "remote", "add", "origin", "git@github.com:you/digits.git")

    found, findings = repository.inspect(job(repo))
    in_git(repo, "update-ref", "refs/remotes/origin/main", "HEAD")
    _, pushed = repository.inspect(job(repo))

    assert found.repo == "https://github.com/you/digits.git"
    assert "commit-not-pushed" in codes(findings, "warning")
    assert "commit-not-pushed" not in codes(pushed, "warning")
    assert (findings.stand_in, pushed.stand_in) == (str(repo), "")


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("https://github.com/you/x.git", "https://github.com/you/x.git"),
        ("https://me:token@github.com/you/x.git", "https://github.com/you/x.git"),
        ("https://git.example.org:8443/x", "https://git.example.org:8443/x"),
        ("git@github.com:you/x.git", "https://github.com/you/x.git"),
        ("ssh://git@github.com:22/you/x.git", "https://github.com/you/x.git"),
        ("/srv/x.git", ""), ("../x", ""), ("file:///srv/x", ""), ("", ""), ("http://github.com/you/x", ""),
    ],
)  # fmt: skip
def test_an_origin_is_rewritten_without_credentials(origin: str, address: str) -> None:
    """Or left alone where it has no https form."""
    assert addresses.https_form(origin) == address


@pytest.mark.process
def test_only_what_is_committed_counts(tmp_path: Path) -> None:
    """Changed files are named, and the commit's text is read."""
    repo = made(tmp_path / "digits", FILES)
    (repo / "train.py").write_text("print(1)\n")
    (repo / "new.py").write_text("")

    _, findings = repository.inspect(job(repo))
    _, missing = repository.inspect(job(repo, entrypoint="new.py"))

    assert findings.recognition
    assert findings.recognition.engine == "lightning"
    assert [problem.what for problem in findings.problems if problem.code == "tree-dirty"] == [
        "2 files are changed here and not committed: the machines get the commit"
    ]
    assert codes(missing) == ["entrypoint-missing"]


@pytest.mark.process
@pytest.mark.parametrize("kind", ["nothing", "file", "broken", "empty"])
def test_a_path_that_is_no_repository_is_an_error(kind: str, tmp_path: Path) -> None:
    """Not there, a file, a directory whose .git is none, a repository without a commit."""
    path = tmp_path / kind
    if kind == "file":
        path.write_text("")
    elif kind != "nothing":
        path.mkdir()
    if kind == "empty":
        in_git(path, "init", "-q")
    if kind == "broken":
        (path / ".git").mkdir()

    _, findings = repository.inspect(job(path))

    assert codes(findings) == ["repo-empty" if kind == "empty" else "repo-not-found"]


@pytest.mark.process
def test_an_unknown_ref_of_a_checkout_comes_with_its_near_miss(tmp_path: Path) -> None:
    """From its branches and tags."""
    repo = made(tmp_path / "digits", FILES)

    _, findings = repository.inspect(job(repo, ref="mian"))

    assert [problem.fix for problem in findings.problems] == ["did you mean main?"]


@pytest.mark.process
def test_an_archive_without_git_is_read_from_its_files(tmp_path: Path) -> None:
    """The path stays, without a commit, and a note says that a rehearsal makes a snapshot."""
    tree = unpacked(tmp_path / "digits", FILES)

    found, findings = repository.inspect(job(tree), nnodes=3)

    assert (found.repo, found.ref, found.commit) == (str(tree), "", "")
    assert findings.recognition
    assert (findings.recognition.engine, findings.recognition.line) == ("lightning", 3)
    assert (codes(findings), findings.stand_in) == ([], str(tree))
    assert "tree-without-git" in codes(findings, "note")


@pytest.mark.process
def test_what_an_archive_lacks_is_said_without_a_commit(tmp_path: Path) -> None:
    """Nobody can commit there, and what a snapshot leaves out does not count."""
    tree = unpacked(tmp_path / "digits", {"a/.venv/b.py": "", ".venv/train.py": "", "a/__pycache__/c.py": ""})

    _, findings = repository.inspect(job(tree))
    _, named = repository.inspect(job(tree, ref="main"))

    assert [(problem.what, problem.fix) for problem in findings.problems if problem.level == "error"] == [
        ("requirements is ., but that directory has no requirements.txt", "add one"),
        ("entrypoint is train.py, but the directory has no train.py", ""),
    ]
    assert codes(named) == ["ref-not-found"]
    assert [name for name, _ in files(tree)] == ["a/.venv/b.py"]


@pytest.mark.process
def test_a_tree_of_too_many_files_is_left_to_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for the listing of a whole disk."""
    monkeypatch.setattr(checkout, "MAX_FILES", 3)

    _, findings = repository.inspect(job(unpacked(tmp_path / "digits", FILES)))

    assert codes(findings, "note") == ["tree-without-git", "files-not-read"]


@pytest.mark.process
def test_a_link_in_an_archive_is_not_followed(tmp_path: Path) -> None:
    """It is a link in the snapshot too."""
    tree = unpacked(tmp_path / "digits", {"requirements.txt": ""})
    (tree / "src").symlink_to("/")

    _, findings = repository.inspect(job(tree, entrypoint="src/train.py"))

    assert codes(findings) == []
    assert "src is a symbolic link: src/train.py was not read here" in findings.problems[-1].what


@pytest.mark.process
def test_a_checkout_of_another_user_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its hooks, monitor, gpg and filters, which would run as the wrong user."""
    repo, ran = made(tmp_path / "digits", FILES), tmp_path / "ran"
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\necho $0 >>{ran}\ncat\n")
    spy.chmod(0o755)
    for key in ("core.fsmonitor", "gpg.program", "filter.spy.clean", "core.askPass"):
        in_git(repo, "config", key, str(spy))
    in_git(repo, "config", "log.showSignature", "true")
    in_git(repo, "config", "core.hooksPath", str(tmp_path))
    (repo / ".git" / "info" / "attributes").write_text("* filter=spy\n")
    (repo / "train.py").write_text(TRAIN + "# other\n")
    commit = in_git(repo, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch for this

    found, findings = repository.inspect(job(repo))

    assert (found.commit, codes(findings)) == (commit, [])
    assert findings.recognition
    assert not ran.exists()


@pytest.mark.process
def test_a_git_environment_of_the_caller_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a hook GIT_DIR names another repository."""
    repo = made(tmp_path / "digits", FILES)
    other = made(tmp_path / "other", {"a": ""})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))

    found, _ = repository.inspect(job(repo))

    monkeypatch.delenv("GIT_DIR")
    assert found.commit == in_git(repo, "rev-parse", "HEAD")
