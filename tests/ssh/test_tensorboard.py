"""`hotrun tensorboard STACK`: a real TensorBoard on a machine behind a real sshd, seen from here."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.ssh.looking import (
    RUN,
    WAIT_S,
    Command,
    asked,
    boards,
    listening,
    make_environment,
    runs_shown,
    until,
    write_events,
)

pytestmark = [pytest.mark.process, pytest.mark.network]
WORDS = ("tensorboard", "digits", "--no-browser")


def training(site: Any) -> Path:
    """A run that trains, with an environment and scalars; its results."""
    make_environment(site.master.root)
    results: Path = site.master.training() / "results"
    write_events(results / "tensorboard", [2.0, 1.0, 0.5])
    return results


def test_the_masters_tensorboard_answers_here_and_is_gone_after_ctrl_c(site: Any) -> None:
    """Its scalars come through the tunnel; then no process, no port and no directory of links is left."""
    training(site)
    with Command(*WORDS, site=site) as command:
        port = command.port()
        until("scalars", lambda: "attempt-1/tensorboard" in runs_shown(port))
        found = asked(port, "/data/plugin/scalars/scalars?run=attempt-1/tensorboard&tag=loss")
        assert [value for _, _, value in found] == [2.0, 1.0, 0.5]
        assert boards(site.master.root)
        assert command.end() == 0, command.said()
        assert "TensorBoard has ended" in command.said()
    until("an end of all processes", lambda: not boards(site.master.root))
    assert asked(port, "/data/environment") is None
    assert list((site.master.root / "var/lib/hotrun/tensorboard").iterdir()) == []


def test_what_comes_later_is_shown_too(site: Any) -> None:
    """A second attempt, and events that the program writes into its own directory, without a new command."""
    training(site)
    with Command(*WORDS, site=site) as command:
        port = command.port()
        here = site.master.training(attempt=2)
        write_events(here / "results", [3.0])
        run = here.parent
        (run / "files-before.json").write_text("{}")
        write_events(run / "src/ml/lightning_logs/version_0", [4.0])
        wanted = {"attempt-1/tensorboard", "attempt-2", "files/ml/lightning_logs/version_0"}
        until("all three", lambda: wanted <= runs_shown(port))
        site.master.judged({"results/a": b"a"})
        until("the end of the run", lambda: "the run has ended" in command.said())
        assert command.end(signal.SIGTERM) == 0, command.said()


def test_it_runs_as_the_programs_own_user() -> None:
    """Root starts it for the user of the node program, in a session of its own."""
    from cloud.stack.inside import board

    if os.geteuid() != 0:
        pytest.skip("only root can start a process as another user")
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        everybodys = Path("/usr/bin") / f"python3.{sys.version_info[1]}"
        environment = make_environment(Path(place) / "root", python=everybodys)
        python = environment / "bin/python"
        try:
            command = [python, "-c", "import tensorboard, numpy"]
            subprocess.run(command, user="nobody", check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip(f"another user can't run {everybodys} with the packages of this checkout")
        looked = board.Board(str(python), place, board.free_port(), "/", nobody)
        try:
            until("its answer", lambda: looked.tend() == "ready")
            assert looked._child is not None
            status = Path(f"/proc/{looked._child.pid}/status").read_text()
            assert f"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}" in status
            assert f"Gid:\t{nobody.pw_gid}\t{nobody.pw_gid}" in status
            assert os.getsid(looked._child.pid) == looked._child.pid != os.getsid(0)
        finally:
            looked.end()


def test_it_ends_with_a_command_that_is_killed(site: Any) -> None:
    """No TensorBoard outlives the one who looks, and no ssh of this computer."""
    training(site)
    with Command(*WORDS, site=site) as command:
        command.port()
        command.end(signal.SIGKILL)
    until("an end of all processes", lambda: not boards(site.master.root))


def test_a_connection_that_ends_is_said(site: Any) -> None:
    """The sshd's processes are killed: exit 4, by name."""
    training(site)
    with Command(*WORDS, site=site) as command:
        command.port()
        for pid in _sshds_of(site.master):
            os.kill(pid, signal.SIGKILL)
        assert command.process.wait(WAIT_S) == 4
        assert "ssh-lost" in command.said()
    until("an end of all processes", lambda: not boards(site.master.root))


def _sshds_of(host: Any) -> list[int]:
    """Processes of its sshd that hold a connection."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,comm"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
    return [int(pid) for pid, parent, _ in rows if int(parent) == host.process.pid]


def test_a_port_that_is_taken_here_is_refused_by_name(site: Any) -> None:
    """One that was asked for by number: exit 2, before anything is started."""
    training(site)
    with listening() as port, Command(*WORDS, "--port", str(port), site=site) as command:
        assert command.process.wait(WAIT_S) == 2
        assert "port-taken" in command.said()
    assert not boards(site.master.root)


def test_a_taken_6006_is_replaced_by_a_free_port_and_said(site: Any) -> None:
    """There, where something else listens, and here."""
    training(site)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # then another program of this machine has it, which is as good
            stack.enter_context(listening(6006))
        command = stack.enter_context(Command(*WORDS, site=site))
        port = command.port()
        assert port != 6006
        until("scalars", lambda: "attempt-1/tensorboard" in runs_shown(port))
        assert command.end() == 0
        assert "is taken, so it is" in command.said()


def test_two_who_look_share_one_tensorboard(site: Any, tmp_path: Path) -> None:
    """The second starts none; when the first goes, it starts its own, and its page stays."""
    from cloud.stack.inside import board

    site.master.training()
    logdir = str(tmp_path / "links")
    write_events(Path(logdir) / "a", [1.0])
    port = board.free_port()
    python = str(make_environment(site.master.root) / "bin/python")
    first, second = (board.Board(python, logdir, port, str(tmp_path)) for _ in range(2))
    try:
        until("the first", lambda: first.tend() == "ready")
        assert second.tend() == "ready"
        assert (first.is_shared, second.is_shared, first.port, second.port) == (False, True, port, port)
        first.end()
        assert second.tend() == "starting"
        until("the second", lambda: second.tend() == "ready")
        assert (second.is_shared, second.port) == (False, port)
        until("scalars", lambda: runs_shown(port) == {"a"})
    finally:
        first.end()
        second.end()


def test_json_is_one_document(site: Any) -> None:
    """As soon as the page answers; nothing is said beside it on stdout."""
    training(site)
    with Command(*WORDS, "--json", site=site) as command:
        lines = []
        assert command.process.stdout is not None
        while not lines or lines[-1] != "}\n":
            lines.append(command.process.stdout.readline())
        document = json.loads("".join(lines))
        assert (document["stack"], document["run"], document["exit_code"]) == ("digits", RUN, 0)
        assert document["url"] == f"http://127.0.0.1:{document['port']}/"
        assert command.end() == 0
        assert command.process.stdout.read() == ""


@pytest.mark.parametrize(
    ("lacks", "code"),
    [("run", "no-results-yet"), ("environment", "no-results-yet"), ("package", "no-tensorboard")],
)
def test_what_is_missing_there_has_a_name(site: Any, tmp_path: Path, lacks: str, code: str) -> None:
    """No run, no environment yet, none with a tensorboard: exit 3, and the last names the line to add."""
    if lacks != "run":
        site.master.training()
    if lacks == "package":
        (tmp_path / "empty").mkdir()
        make_environment(site.master.root, packages=tmp_path / "empty")
    with Command(*WORDS, site=site) as command:
        assert command.process.wait(WAIT_S) == 3
        assert f"docs/errors.md#{code}" in command.said()
        assert lacks != "package" or "`tensorboard`" in command.said()


def test_a_run_that_ended_without_events_has_a_name(site: Any) -> None:
    """There is nothing to wait for."""
    make_environment(site.master.root)
    site.master.judged({"results/a": b"a"})
    with Command(*WORDS, site=site) as command:
        assert command.process.wait(WAIT_S) == 3
        assert "no-events" in command.said()


def test_a_tensorboard_that_can_not_start_says_its_own_lines(site: Any, tmp_path: Path) -> None:
    """As one does that lacks a package of its own: exit 5 with the exception."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    broken = tmp_path / "broken" / version / "site-packages/tensorboard"
    broken.mkdir(parents=True)
    (broken / "__init__.py").touch()
    (broken / "main.py").write_text("import no_such_package_at_all\n")
    make_environment(site.master.root, packages=tmp_path / "broken")
    site.master.training()
    with Command(*WORDS, site=site) as command:
        assert command.process.wait(WAIT_S) == 5
        assert "tensorboard-failed" in command.said()
        assert "no_such_package_at_all" in command.said()


def test_the_persons_own_browser_is_opened(site: Any, tmp_path: Path) -> None:
    """Where there is one: BROWSER names a program here, which gets the address; --no-browser leaves it."""
    training(site)
    seen = tmp_path / "seen"
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$1" > {seen}.part && mv {seen}.part {seen}\n')
    program.chmod(0o755)
    with Command("tensorboard", "digits", site=site, environ={"BROWSER": str(program)}) as command:
        url = command.url()
        until("the browser", seen.exists)
        assert seen.read_text().strip() == url
        assert command.end() == 0
