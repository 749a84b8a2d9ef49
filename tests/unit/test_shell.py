from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace

import pytest

from cloud.stack.api import Stack
from cloud.stack.shell import config as shell_config
from cloud.stack.shell.config import Machine, door, known_hosts, machines, ssh_config
from cloud.stack.shell.refused import refusal
from cloud.stack.told import ToldMachine

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFake"
MASTER = Machine(name="master", address="10.8.0.5", host_key=KEY)
WORKER = Machine(name="worker-1", address="10.8.0.6", host_key=KEY)


def stack(**outputs: str) -> Stack:
    """A stack with these outputs."""
    created = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return Stack(id="1", name="digits", status="CREATE_COMPLETE", reason="", created=created, outputs=outputs)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ({"ssh": "ssh cc@192.0.2.7", "floating_ip": "192.0.2.7"}, ("cc", "192.0.2.7")),
        ({"ssh": "ssh cc@10.8.0.5", "floating_ip": "", "master_ip": "10.8.0.5"}, ("cc", "10.8.0.5")),
        ({"ssh": "ssh cc@192.0.2.7 (no key pair was chosen)"}, ("cc", "192.0.2.7")),
        ({"ssh": "ssh cc@192.0.2.7 -oProxyCommand=x"}, ("", "")),
        ({"ssh": "ssh -oProxyCommand=x@192.0.2.7"}, ("", "192.0.2.7")),
        ({"ssh": "ssh cc@-oProxyCommand=x"}, ("cc", "")),
        ({}, ("", "")),
    ],
)
def test_only_a_login_and_an_address_open_the_door(
    outputs: dict[str, str], expected: tuple[str, str]
) -> None:
    """What the stack's outputs say never becomes an option of ssh."""
    assert door(stack(**outputs)) == expected


@pytest.mark.parametrize(
    ("name", "address", "key"),
    [
        ("master\n", "10.8.0.5", KEY), ("-oX", "10.8.0.5", KEY), ("worker-0", "10.8.0.5", KEY),
        ("master", "-oProxyCommand=x", KEY), ("master", "host", KEY), ("master", "fe80::1%eth0", KEY),
    ],
)  # fmt: skip
def test_a_machine_that_is_none_is_left_out(name: str, address: str, key: str) -> None:
    """Names and addresses come from a machine and end in a file that ssh obeys."""
    assert machines([ToldMachine(name=name, address=address, host_key=key)]) == ()


@pytest.mark.parametrize("key", ["", "x", KEY + "\n* ssh-rsa AAAA", "* " + KEY, "@cert-authority " + KEY])
def test_a_host_key_that_is_none_counts_as_unknown(key: str) -> None:
    """It can't add a line to known_hosts, nor a wildcard."""
    found = machines([ToldMachine(name="master", address="10.8.0.5", host_key=key)])
    assert found[0].host_key == ""
    assert known_hosts(found) == ""


def test_checking_is_never_off() -> None:
    """Every configuration pins our own known_hosts and nothing else, for each machine under its name."""
    for controls in (None, Path("/run/x/c")):
        text = ssh_config(
            "cc", "192.0.2.7", [MASTER, WORKER], place=Path("/home/me/runs/digits"), controls=controls
        )
        assert '  UserKnownHostsFile "/home/me/runs/digits/known_hosts"\n' in text
        for line in ("StrictHostKeyChecking yes", "GlobalKnownHostsFile /dev/null", "HostKeyAlias worker-1"):
            assert f"  {line}\n" in text
        assert ("BatchMode yes" in text) is (controls is not None)
    assert known_hosts([MASTER, WORKER]) == f"master {KEY}\nworker-1 {KEY}\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("cc@192.0.2.7: Permission denied (publickey).", "ssh-denied"),
        ("Received disconnect from 192.0.2.7: 2: Too many authentication failures", "ssh-denied"),
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            "host-key-changed",
        ),
        ("ssh: connect to host 192.0.2.7 port 22: Connection timed out", "ssh-unreachable"),
        ("ssh: connect to host 192.0.2.7 port 22: No route to host", "ssh-unreachable"),
        ("channel 0: open failed: connect failed: Connection refused", "ssh-unreachable"),
        ("WARNING: UNPROTECTED PRIVATE KEY FILE!\ncc@x: Permission denied (publickey).", "ssh-key-unusable"),
        ("hotrun: no Python 3.9 or newer", "python-too-old"),
        ("something else", "ssh-failed"),
    ],
)
def test_what_stopped_ssh_has_a_name(text: str, code: str) -> None:
    """Its own lines are kept, and the fix names what to type."""
    tried = SimpleNamespace(login="cc", address="192.0.2.7", identity=None)
    found = refusal(text, tried, "master")
    assert (found.code, found.log[-1]) == (code, text.splitlines()[-1])
    assert found.what.count("cc@192.0.2.7") == (0 if code == "ssh-key-unusable" else 1)
    assert found.fix


def test_names_of_machines_are_known() -> None:
    """`worker-1`, not `worker1` or `node-1`."""
    words = ("master", "worker-1", "worker-254", "worker1", "worker-0", "node-1", "")
    assert [word for word in words if shell_config.is_machine(word)] == ["master", "worker-1", "worker-254"]
