from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cloud.errors import ProblemsFound
from cloud.rehearse import Options, rehearse, source
from tests.rehearse import fakes

pytestmark = pytest.mark.process
CLONES = (
    """
environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.environ["HOTRUN_GITCONFIG"]}
subprocess.run(["git", "clone", "--quiet", job["repo"], str(root / "src")], check=True, env=environ)
say("MAIN " + (root / "src/main.py").read_text())
say("REF " + job["ref"])
"""
    + fakes.TRAINS
)


def git(directory: Path, *command: str) -> str:
    """Real git with an author."""
    who = ("-c", "user.name=t", "-c", "user.email=t@t.invalid")
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        ["git", "-C", str(directory), *who, *command], capture_output=True, text=True, check=True, env=environ
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit, in a directory with odd characters in its name."""
    directory = tmp_path / "my 100% repo"
    directory.mkdir()
    (directory / "main.py").write_text("one")
    git(directory, "init", "--quiet")
    git(directory, "add", ".")
    git(directory, "commit", "--quiet", "-m", "one")
    return directory


def test_machines_clone_the_directory_under_the_jobs_address(cache: Path, runs: Path, checkout: Path) -> None:
    """The address stays in the job; git itself goes elsewhere, and ref is the directory's commit."""
    ui = fakes.Ui()
    report = rehearse(fakes.plan(CLONES, ref="v1"), Options(runs_dir=runs, source=checkout), ui)
    assert report.exit_code == 0
    commit = git(checkout, "rev-parse", "HEAD")
    log = (runs / "digits-1/logs/worker-1.log").read_text().splitlines()
    assert {"MAIN one", f"REF {commit}"} <= set(log)
    assert f"ref is {commit[:7]} instead of v1" in ui.text


def test_uncommitted_changes_are_named_and_not_used(cache: Path, runs: Path, checkout: Path) -> None:
    """What runs is the commit; nothing in the directory changes, its index included."""
    (checkout / "main.py").write_text("two")
    index = (checkout / ".git/index").read_bytes()
    ui = fakes.Ui()
    rehearse(fakes.plan(CLONES), Options(runs_dir=runs, source=checkout), ui)
    assert "MAIN one" in (runs / "digits-1/logs/master.log").read_text()
    assert "uncommitted changes are not used: main.py" in ui.text
    assert (checkout / ".git/index").read_bytes() == index


def test_a_tree_without_git_is_snapshotted(cache: Path, runs: Path, tmp_path: Path) -> None:
    """An unpacked archive works; environments and caches stay out, ignored files do not."""
    tree = tmp_path / "unpacked"
    (tree / ".venv").mkdir(parents=True)
    (tree / ".venv/big").write_text("x")
    (tree / ".gitignore").write_text("main.py\n")
    (tree / "main.py").write_text("three")
    report = rehearse(fakes.plan(CLONES), Options(runs_dir=runs, source=tree), fakes.Ui())
    assert report.exit_code == 0
    assert "MAIN three" in (runs / "digits-1/logs/master.log").read_text()
    (src,) = cache.glob("nodes/*/0/master/src")
    assert sorted(path.name for path in src.iterdir()) == [".git", ".gitignore", "main.py"]
    assert not (tree / ".git").exists()


def test_the_same_tree_makes_the_same_commit(tmp_path: Path) -> None:
    """A snapshot's commit depends on the files alone."""
    tree, scratch = tmp_path / "tree", tmp_path / "scratch"
    tree.mkdir()
    scratch.mkdir()
    (tree / "main.py").write_text("x")
    commits = [source.prepare(tree, scratch, lambda sentence: None).commit for _ in range(2)]
    assert commits[0] == commits[1]


def test_a_local_repository_needs_no_source(cache: Path, runs: Path, checkout: Path) -> None:
    """A template whose repository is a path on this machine is cloned from there."""
    report = rehearse(fakes.plan(CLONES, repo=str(checkout)), Options(runs_dir=runs), fakes.Ui())
    assert report.exit_code == 0


def test_another_source_replaces_a_local_repository(
    cache: Path, runs: Path, checkout: Path, tmp_path: Path
) -> None:
    """git looks at a path before it looks at insteadOf, so the parameter itself changes."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "main.py").write_text("other")
    options = Options(runs_dir=runs, source=other)
    assert rehearse(fakes.plan(CLONES, repo=str(checkout)), options, fakes.Ui()).exit_code == 0
    (log,) = runs.glob("*/logs/master.log")
    assert "MAIN other" in log.read_text()


def test_no_program_of_a_foreign_configuration_is_run(tmp_path: Path, checkout: Path) -> None:
    """Not its monitor, its hooks or its filters, whatever `status` wants to know; odd `filter` names included."""
    trap, sprung = tmp_path / "trap", tmp_path / "sprung"
    trap.write_text(f"#!/bin/sh\necho $0 >> '{sprung}'\ncat\n")
    trap.chmod(0o755)
    (checkout / ".git/info/attributes").write_text("* filter=a.b\n")
    (checkout / ".git/hooks").mkdir(exist_ok=True)
    shutil.copy(trap, checkout / ".git/hooks/post-index-change")
    for key in ("core.fsmonitor", "filter.a.b.clean", "filter.a.b.process", "core.sshCommand"):
        git(checkout, "config", key, str(trap))
    git(checkout, "config", "filter.a.b.required", "true")
    (checkout / "main.py").write_text("two")
    said: list[str] = []
    source.prepare(checkout, tmp_path, said.append)
    assert "uncommitted changes are not used: main.py" in said
    assert not sprung.exists()


def test_a_snapshot_has_the_bytes_of_the_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The person's own filters, templates and signatures have no say in it."""
    tree, config = tmp_path / "tree", tmp_path / "gitconfig"
    tree.mkdir()
    (tree / ".gitattributes").write_text("* filter=x text\n")
    (tree / "main.py").write_bytes(b"a\r\nb\n")
    config.write_text(
        '[filter "x"]\n\tclean = tr a-z A-Z\n\trequired = true\n[commit]\n\tgpgSign = true\n'
        "[init]\n\ttemplateDir = /nonexistent\n[core]\n\tautocrlf = true\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    made = source.prepare(tree, tmp_path, lambda sentence: None)
    command = ["git", "-C", str(made.directory), "show", f"{made.commit}:main.py"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"a\r\nb\n"


def test_a_snapshot_leaves_out_folders_only_where_tools_put_them(tmp_path: Path) -> None:
    """`runs`, `.venv` and `.build` at the top alone; caches, packages of Node and inner .git anywhere."""
    tree = tmp_path / "tree"
    for place in (".", "src", "src/deep"):
        for name in (".venv", ".build", "runs", "node_modules", "__pycache__", ".git.keep"):
            (tree / place / name).mkdir(parents=True)
            (tree / place / name / "file").write_text("")
    (tree / "src/.git").mkdir()
    (tree / "src/.git/HEAD").write_text("")
    made = source.prepare(tree, tmp_path, lambda sentence: None)
    kept = git(made.directory, "ls-tree", "-r", "--name-only", made.commit).splitlines()
    own = (".build", ".git.keep", ".venv", "runs")
    expected = [f"src/{name}/file" for name in own] + [f"src/deep/{name}/file" for name in own]
    assert sorted([*expected, ".git.keep/file"]) == sorted(kept)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
def test_a_repository_of_another_owner_works(cache: Path, runs: Path, checkout: Path) -> None:
    """git's ownership check is answered by the rehearsal's own gitconfig."""
    for path in (checkout, *checkout.rglob("*")):
        os.chown(path, 65534, 65534)
    report = rehearse(fakes.plan(CLONES), Options(runs_dir=runs, source=checkout), fakes.Ui())
    assert report.exit_code == 0


def test_a_directory_that_cannot_stand_in_is_named(tmp_path: Path) -> None:
    """No directory and no commit have codes of their own."""
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "--quiet")
    codes = []
    for directory in (tmp_path / "missing", empty):
        with pytest.raises(ProblemsFound) as caught:
            source.prepare(directory, tmp_path, lambda sentence: None)
        codes.append(caught.value.problems[0].code)
    assert codes == ["source-missing", "source-no-commit"]


def test_a_repository_that_went_on_since_the_template_is_named(checkout: Path) -> None:
    """The pinned commit runs, and nobody wonders why the mended program still fails."""
    pinned = git(checkout, "rev-parse", "HEAD")
    said: list[str] = []
    source.say_if_moved(str(checkout), pinned, said.append)
    assert said == []

    git(checkout, "commit", "--allow-empty", "--message", "mended")
    source.say_if_moved(str(checkout), pinned, said.append)
    source.say_if_moved("https://host.invalid/x.git", pinned, said.append)

    assert len(said) == 1
    assert pinned[:7] in said[0]
    assert git(checkout, "rev-parse", "HEAD")[:7] in said[0]
