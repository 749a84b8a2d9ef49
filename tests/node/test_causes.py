"""What failed is said in the words of what failed."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cloud.node import blame, requirements, walk
from cloud.node.failure import StageFailed
from cloud.node.host import Host
from cloud.node.stages import collect, source

GLOO = "RuntimeError: [pair.cc:561] Connection closed by peer [10.8.0.6]:20637. This is typically"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Traceback (most recent call last):", '  File "a.py", line 1, in <module>', "Exception: boom"], "Exception: boom"),
        (["[rank1]: Traceback (most recent call last):", "[rank1]:   File x", "[rank1]: mypkg.Boom: bad"], "mypkg.Boom: bad"),
        (["Traceback (most recent call last):", "  x", "ValueError: first", "then", "Traceback (most recent call last):",
          "  y", "KeyError: 'second'", "noise after it"], "KeyError: 'second'"),
        (["ValueError: only printed, going on"], ""),
        (["Traceback (most recent call last):", "  cut off here"], ""),
    ],
)  # fmt: skip
def test_the_exception_is_what_follows_the_last_traceback(lines: list[str], expected: str) -> None:
    """Whatever its name is, and not what merely looks like one."""
    assert expected == blame.exception(lines)


@pytest.mark.parametrize(
    ("code", "last", "expected"),
    [(1, GLOO, True), (1, "ValueError: no", False), (-9, GLOO, False)],
)
def test_a_victim_is_known_by_its_exception(code: int, last: str, expected: bool) -> None:
    """Only an exception that says that a peer went away, after an ordinary exit, is an echo."""
    tail = [
        "a download: Connection reset by peer, trying again",
        "Traceback (most recent call last):",
        "  x",
        last,
    ]
    child = SimpleNamespace(returncode=code, tail=tail, finish_reading=lambda: None)

    assert expected is blame.is_of_peer(child)  # type: ignore[arg-type]


def test_a_signal_is_named_before_anything_that_was_printed() -> None:
    """A rank that the kernel ended did not fail with the exception that it had handled."""
    tail = ["Traceback (most recent call last):", "  x", "ValueError: handled"]
    child = SimpleNamespace(returncode=-9, tail=tail, finish_reading=lambda: None)
    layout = SimpleNamespace(checkout=lambda run: Path("/src"))
    context = SimpleNamespace(layout=layout, run="r", found={"oom_kills": sys.maxsize})
    failure = blame.failure(context, child, "rank 3")  # type: ignore[arg-type]

    assert ("rank 3: ended by SIGKILL", "") == (str(failure), failure.problem["error"])


def test_a_kill_for_want_of_memory_is_called_that() -> None:
    """The kernel counts such kills; the same one twice is not tried again."""
    child = SimpleNamespace(returncode=-9, tail=[], finish_reading=lambda: None)
    layout = SimpleNamespace(checkout=lambda run: Path("/src"))
    context = SimpleNamespace(layout=layout, run="r", found={"oom_kills": -1})
    failure = blame.failure(context, child, "rank 3")  # type: ignore[arg-type]

    assert "out of memory" in str(failure)
    assert failure.problem["error"]


@pytest.mark.parametrize(
    ("line", "passes"),
    [
        ("fatal: unable to access 'x': Could not resolve host: h", True),
        ("error: RPC failed; HTTP 503 curl 22 The requested URL returned error: 503", True),
        ("fatal: repository 'x' not found", False),
    ],
)
def test_a_network_that_is_not_there_yet_is_tried_again(line: str, passes: bool) -> None:
    """A wrong address is not."""
    assert passes is source._may_pass([line])


def test_a_clone_that_fills_the_disk_is_called_that() -> None:
    """No advice about addresses then."""
    found = source._unreachable("https://h/x", ["fatal: write error: No space left on device"]).problem

    assert ("disk-full", "choose a flavor with a larger disk") == (found["code"], found["fix"])


@pytest.mark.parametrize(
    ("name", "where", "what"),
    [
        ("torch==99", "requirements.txt:2", "no"),
        ("lightnning", "requirements.txt:4", "no; did you mean lightning?"),
        ("absent", "", "no"),
    ],
)
def test_a_requirement_is_placed_on_its_own_line(tmp_path: Path, name: str, where: str, what: str) -> None:
    """The name decides, not what it begins with; a right name has no near miss."""
    path = tmp_path / "requirements.txt"
    path.write_text("torchvision\ntorch>=2\n# torch\nlightnning[extra]>=2; python_version > '3'\n")
    found = requirements._placed(StageFailed("x", "no"), name, path).problem

    assert (where, what) == (found["where"], found["what"])


def test_proof_of_another_run_or_attempt_is_not_counted(tmp_path: Path) -> None:
    """A stale file would let lonely machines pass."""
    for number, (run, attempt) in enumerate([("r", 1), ("old", 1), ("r", 2)]):
        (tmp_path / f"rank{number}.json").write_text(json.dumps({"run": run, "attempt": attempt}))
    context = SimpleNamespace(run="r", attempt=1)

    assert [{"run": "r", "attempt": 1}] == collect._proofs(tmp_path, context)  # type: ignore[arg-type]


def test_what_no_stage_expects_has_a_name_too() -> None:
    """A full disk is called that wherever it shows; anything else is a bug of this program."""
    full = walk.unforeseen(OSError(errno.ENOSPC, "No space left on device")).problem
    other = walk.unforeseen(IndexError("list index out of range")).problem

    assert ("disk-full", "node-bug") == (full["code"], other["code"])
    assert "IndexError: list index out of range" == other["what"]


def test_package_managers_locks_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first boot's own upgrade holds them for minutes."""
    monkeypatch.setattr("shutil.which", lambda name: name if name == "apt-get" else None)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    answers = [(100, ["E: Could not get lock /var/lib/apt/lists/lock"]), (0, []), (0, [])]
    commands = []

    def run(command: list[str]) -> tuple[int, list[str]]:
        commands.append(command[-1])
        return answers.pop(0)

    told = Host(is_rehearsal=False).install(["git"], run, float("inf"))

    assert ["update", "update", "git"] == commands
    assert "installed git with apt-get" == told


def test_a_rehearsal_touches_nothing() -> None:
    """Also as root: no packages, no user, no firewall, no power."""
    host = Host(is_rehearsal=True)

    assert {"skipped: rehearsal"} == {
        host.install(["git"], pytest.fail, 0.0),
        host.open_firewall("10.0.0.0/8"),
        host.power_off(),
    }
    assert host.program_user([Path("/nonexistent")]) is None
