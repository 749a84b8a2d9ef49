"""Environments: made once, aside, under a lock, and renewed when the pins change."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from cloud import bootstrap
from cloud.setup import command, environments


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty checkout with pins, and a home of its own."""
    root = tmp_path / "checkout"
    (root / "requirements").mkdir(parents=True)
    (root / "requirements" / "base.txt").write_text("click==8.1.0\n")
    for module in (bootstrap, command, environments):
        monkeypatch.setattr(module, "ROOT", str(root))
    monkeypatch.setattr(bootstrap, "PINS", str(root / "requirements" / "base.txt"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(environments.tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    (tmp_path / "tmp").mkdir()
    return root


class Builder:
    """Stands in for venv and pip: writes what an environment consists of."""

    def __init__(self) -> None:
        self.built: list[str] = []

    def __call__(self, directory: str) -> None:
        """Build."""
        self.built.append(directory)
        (Path(directory) / "bin").mkdir(parents=True)
        python = Path(environments.python_of(directory))
        python.symlink_to(sys.executable)
        (python.parent / "tool").write_text(f"#!{python}\n")
        (Path(directory) / "pyvenv.cfg").write_text(f"command = {directory}\n")


def make(root: Path, build: Builder, pins: str = "base") -> str:
    """Make `.venv` of a checkout with the pins of one file."""
    return environments.make(".venv", [str(root / "requirements" / f"{pins}.txt")], build, "1 MB")


def test_an_environment_is_made_once(checkout: Path) -> None:
    """The second start finds it and builds nothing."""
    build = Builder()
    assert make(checkout, build) == make(checkout, build) == environments.python_of(str(checkout / ".venv"))
    assert len(build.built) == 1


def test_scripts_name_the_final_place(checkout: Path) -> None:
    """What was written while it lay aside names the directory it ended in."""
    python = make(checkout, Builder())
    assert Path(python).with_name("tool").read_text() == f"#!{python}\n"
    assert (checkout / ".venv" / "pyvenv.cfg").read_text() == f"command = {checkout / '.venv'}\n"


def test_changed_pins_renew_the_environment(checkout: Path) -> None:
    """The stamp is the hash of the pins; the old environment is gone afterwards."""
    build = Builder()
    make(checkout, build)
    (checkout / ".venv" / "old").touch()
    (checkout / "requirements" / "base.txt").write_text("click==8.2.0\n")
    make(checkout, build)
    assert len(build.built) == 2
    assert not (checkout / ".venv" / "old").exists()
    assert [path.name for path in (checkout / ".build").iterdir()] == ["venv.lock"]


def test_an_environment_whose_python_is_gone_is_made_again(checkout: Path) -> None:
    """After an upgrade of the system's Python the link in the environment leads nowhere."""
    build = Builder()
    python = Path(make(checkout, build))
    python.unlink()
    python.symlink_to("/nonexistent/python")
    make(checkout, build)
    assert len(build.built) == 2


def test_a_failed_build_leaves_nothing(checkout: Path) -> None:
    """Neither half an environment nor the directory it was built in."""

    def build(directory: str) -> None:
        Path(directory).mkdir()
        raise command.CannotMake("the index could not be reached")

    with pytest.raises(command.CannotMake):
        environments.make(".venv", [bootstrap.PINS], build, "1 MB")
    assert not (checkout / ".venv").exists()
    assert [path.name for path in (checkout / ".build").iterdir()] == ["venv.lock"]


def test_what_an_ended_build_left_is_removed(checkout: Path) -> None:
    """A start that was killed leaves a directory aside; the next one clears it away."""
    (checkout / ".build" / "venv.new-1").mkdir(parents=True)
    make(checkout, Builder())
    assert not (checkout / ".build" / "venv.new-1").exists()


def test_two_starts_at_once_build_one_environment(checkout: Path) -> None:
    """The second waits for the lock and then finds what the first made."""
    build, found = Builder(), []
    at_once = threading.Barrier(2)

    def start() -> None:
        at_once.wait()
        found.append(make(checkout, build))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(build.built) == 1
    assert found == [environments.python_of(str(checkout / ".venv"))] * 2


def test_a_checkout_that_cannot_be_written_uses_the_cache(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment goes below the user's cache directory, one per checkout."""
    refuse_writing(monkeypatch, str(checkout))
    python = make(checkout, Builder())
    cache = checkout.parent / "home" / ".cache" / "hotrun"
    assert cache in Path(python).parents
    assert len(list(cache.iterdir())) == 1


def test_without_a_home_the_temporary_directory_is_used(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below a directory that only this user can write."""
    refuse_writing(monkeypatch, str(checkout), f"{os.environ['HOME']}/.cache")
    python = make(checkout, Builder())
    own = checkout.parent / "tmp" / f"hotrun-{os.getuid()}"
    assert own in Path(python).parents
    assert own.stat().st_mode & 0o077 == 0


def test_somebody_elses_directory_in_tmp_is_not_trusted(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others may write is neither used nor run, even with the right stamp."""
    refuse_writing(monkeypatch, str(checkout), f"{os.environ['HOME']}/.cache")
    make(checkout, Builder())
    (checkout.parent / "tmp" / f"hotrun-{os.getuid()}").chmod(0o777)
    with pytest.raises(command.CannotMake, match="nothing can be written in"):
        make(checkout, Builder())


def test_an_environment_made_by_hand_is_used_and_never_replaced(checkout: Path) -> None:
    """A .venv without our stamp belongs to somebody."""
    Builder()(str(checkout / ".venv"))
    packages = checkout / ".venv" / "lib" / "python3.11" / "site-packages"
    for name in bootstrap.NEEDED:
        (packages / name).mkdir(parents=True)
    assert bootstrap.environment() == environments.python_of(str(checkout / ".venv"))
    assert not (checkout / ".venv" / environments.STAMP).exists()


def test_an_empty_environment_made_by_hand_is_left_alone(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without our packages it's of no use, so ours is made elsewhere."""
    Builder()(str(checkout / ".venv"))
    monkeypatch.setattr(bootstrap, "install_with_pip", lambda at, _pins, _what: Builder()(at))
    assert checkout not in Path(bootstrap.environment()).parents
    assert not (checkout / ".venv" / environments.STAMP).exists()


def test_missing_venv_is_one_sentence_with_the_command(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian and Ubuntu leave ensurepip out of their Python."""
    monkeypatch.setattr(environments.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(command.CannotMake, match=r"sudo apt install python3-venv$"):
        bootstrap.environment()


def test_an_installed_program_without_its_packages_names_them(checkout: Path) -> None:
    """Where there are no pins there is no checkout: pip is the way."""
    Path(bootstrap.PINS).unlink()
    with pytest.raises(command.CannotMake, match="python3 -m pip install click rich PyYAML Jinja2"):
        bootstrap.environment()


def test_an_old_python_goes_on_with_a_newer_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first of python3.11, python3.12, … on PATH is taken, in one sentence."""
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 2, "final", 0))
    monkeypatch.setattr(
        bootstrap.shutil, "which", lambda name: f"/usr/bin/{name}" if name == "python3.12" else None
    )
    assert bootstrap._other_python() == "/usr/bin/python3.12"
    assert capsys.readouterr().err == "hotrun: Python 3.9 is too old, going on with /usr/bin/python3.12\n"


def test_an_old_python_alone_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a newer one: one sentence, no traceback, exit code 1."""
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 2, "final", 0))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match=r"^hotrun: Python 3\.11 or newer is needed, this is 3\.9;"):
        bootstrap.enter()


def test_the_lowest_versions_are_those_of_pyproject() -> None:
    """The door and pyproject.toml ask for the same."""
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    expected = {f"{name}>={'.'.join(map(str, lowest))}" for name, lowest in bootstrap.NEEDED.values()}
    assert expected == set(project["dependencies"])
    assert project["requires-python"] == f">={'.'.join(map(str, bootstrap.MINIMUM_PYTHON))}"


@pytest.mark.process
def test_the_error_of_a_command_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    """Of a long output the last line that names an error is shown, and the rest is not."""
    script = (
        "import sys; print('noise'); print('ERROR: no such package', file=sys.stderr); print('bye'); exit(1)"
    )
    with pytest.raises(command.CannotMake, match="can't be installed: ERROR: no such package\n"):
        command.run([sys.executable, "-c", script], "click")
    assert capfd.readouterr() == ("", "")


@pytest.mark.process
def test_an_index_out_of_reach_is_called_that() -> None:
    """pip ends with "No matching distribution", which sends people to look for the wrong thing."""
    script = "print('WARNING: Retrying: Failed to resolve host'); print('ERROR: No matching distribution'); exit(1)"
    with pytest.raises(command.CannotMake, match="the package index can't be reached"):
        command.run([sys.executable, "-c", script], "click")


def refuse_writing(monkeypatch: pytest.MonkeyPatch, *directories: str) -> None:
    """Make temporary files and new directories below these fail, for root too."""
    real_file, real_makedirs = environments.tempfile.TemporaryFile, os.makedirs

    def guarded(path: str) -> None:
        if any(os.path.commonpath([path, directory]) == directory for directory in directories):
            raise PermissionError(13, "Permission denied", path)

    def temporary_file(*args: object, dir: str | None = None) -> object:  # noqa: A002 - the real one's name
        guarded(dir or os.sep)
        return real_file(dir=dir)

    def makedirs(path: str, **kwargs: object) -> None:
        guarded(path)
        real_makedirs(path, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(environments.tempfile, "TemporaryFile", temporary_file)
    monkeypatch.setattr(environments.os, "makedirs", makedirs)
