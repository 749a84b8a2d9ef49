from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud.stack.shell import NoShell, Shell

pytestmark = [pytest.mark.process, pytest.mark.network]


def asked(shell: Shell, machine: str = "master") -> dict[str, Any]:
    """What a machine's status says."""
    stream = shell.python("status", machine=machine)
    found = json.loads(stream.line(20))
    stream.end()
    return dict(found)


def code(shell: Shell, machine: str = "master") -> str:
    """Why a machine can't be logged in to."""
    with pytest.raises(NoShell) as caught, shell:
        shell.python("status", machine=machine)
    return caught.value.problems[0].code


def test_workers_are_reached_through_the_master(site: Any) -> None:
    """Each machine answers under its own host key, from its own root."""
    for host in site.hosts.values():
        host.log("train", f"I am {host.name}\n")
    with site.shell() as shell:
        told = [asked(shell, name)["lines"][0]["text"] for name in site.hosts]
    assert told == ["I am master", "I am worker-1", "I am worker-2"]


def test_another_host_key_is_refused(site: Any) -> None:
    """A machine whose key is not the reported one is not talked to, and the new report lets it in."""
    machines = site.machines()
    site.master.stop()
    site.master.new_key()
    site.master.start()
    assert code(site.shell(machines)) == "host-key-changed"
    with site.shell() as shell:
        assert asked(shell)["phase"] == "idle"


def test_a_worker_with_another_host_key_is_refused(site: Any) -> None:
    """The way through the master checks the worker too."""
    master, first, second = site.machines()
    assert (
        code(site.shell([master, replace(first, host_key=second.host_key)]), "worker-1") == "host-key-changed"
    )


def test_no_reported_key_means_no_connection(site: Any) -> None:
    """Neither an empty key nor an unknown machine is ever tried unchecked."""
    master, first, _ = site.machines()
    assert code(site.shell([replace(master, host_key="")])) == "host-key-unknown"
    assert code(site.shell([master, replace(first, host_key="")]), "worker-1") == "host-key-unknown"
    assert code(site.shell([master]), "worker-7") == "host-key-unknown"


def test_a_key_that_is_not_accepted_is_named(site: Any, tmp_path: Path) -> None:
    """So is one that is not there."""
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    assert code(site.shell(identity=other)) == "ssh-denied"
    assert code(site.shell(identity=tmp_path / "none")) == "identity-missing"


def test_a_machine_that_is_off_is_named(site: Any) -> None:
    """Nothing listens: unreachable, for the master and for a worker behind it."""
    site.hosts["worker-1"].stop()
    assert code(site.shell(), "worker-1") == "ssh-unreachable"
    site.master.stop()
    assert code(site.shell()) == "ssh-unreachable"


def test_people_can_use_the_same_configuration(site: Any, tmp_path: Path) -> None:
    """`ssh -F runs/NAME/ssh_config worker-2` works, also from a folder with blanks and a % in its name."""
    folder = tmp_path / 'my runs 100% "new"'
    with site.shell() as shell:
        config = shell.keep(folder)
    command = ["ssh", "-F", str(config), "-o", "BatchMode=yes", "worker-2", "echo", "here"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (ended.stdout, ended.returncode) == ("here\n", 0), ended.stderr


def test_nothing_stays_behind(site: Any) -> None:
    """The private directory and the shared connection end with the shell."""
    shell = site.shell()
    asked(shell)
    place = shell._place
    assert place is not None
    assert oct(place.stat().st_mode & 0o777) == "0o700"
    shell.close()
    assert not place.exists()


def test_what_a_login_shell_prints_is_no_part_of_the_answer(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A greeting before the program's own mark is skipped."""
    from cloud.stack import shell as module

    monkeypatch.setattr(module, "_START", "echo welcome; echo '{\"end\": 0}'\n" + module._START)
    with site.shell() as shell:
        assert asked(shell)["schema"] == 1
