"""Addresses and host keys -> the texts of known_hosts and ssh_config. Pure.

What comes from a cloud or a machine is looked at here: none of it may become an option or a second line.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cloud.stack import told
    from cloud.stack.api import Stack

KNOWN_HOSTS, SSH_CONFIG = "known_hosts", "ssh_config"
CONNECT_TIMEOUT_S = 15
ALIVE_S = 5  # three unanswered, and a connection counts as lost
PERSIST_S = 60  # a shared connection of a killed command ends by itself
_NAME = re.compile(r"master|worker-[1-9][0-9]{0,3}")
_LOGIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_HOST_KEY = re.compile(r"[a-z0-9@.-]{3,60} [A-Za-z0-9+/]{20,12000}={0,2}")
_SSH_OUTPUT = re.compile(r"ssh (\S+)@(\S+)(?: \(.*\))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine that can be logged in to, as the master told of it."""

    name: str
    address: str
    """Inside the cluster."""
    host_key: str
    """`ssh-ed25519 AAAA…`; empty where it is not known."""


def machines(listed: Sequence[told.ToldMachine]) -> tuple[Machine, ...]:
    """Return those that are well-formed; a host key that is none becomes empty."""
    return tuple(
        Machine(
            name=each.name,
            address=each.address,
            host_key=each.host_key if _HOST_KEY.fullmatch(each.host_key) else "",
        )
        for each in listed
        if _NAME.fullmatch(each.name) and is_address(each.address)
    )


def door(stack: Stack) -> tuple[str, str]:
    """(login, address) of the master, from the stack's outputs; empty where there is none."""
    matched = _SSH_OUTPUT.fullmatch(str(stack.outputs.get("ssh") or ""))
    login, address = matched.groups() if matched else ("", "")
    address = str(stack.outputs.get("floating_ip") or address or stack.outputs.get("master_ip") or "")
    return login if _LOGIN.fullmatch(login) else "", address if is_address(address) else ""


def no_way_in(stack: Stack) -> str:
    """Why no ssh leads to its machines from outside, by what it was launched with; empty where one may."""
    get = stack.parameters.get
    if get("external_network") == "" and not stack.outputs.get("floating_ip"):
        return "it has no external network"
    return "it has no key pair" if get("key_name") == "" else ""


def is_machine(word: str) -> bool:
    """Whether it is the name of a machine."""
    return bool(_NAME.fullmatch(word))


def is_address(text: str) -> bool:
    """Whether it is a numeric address, nothing else."""
    try:
        return "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def known_hosts(listed: Sequence[Machine]) -> str:
    """One line for each machine whose host key is known, under its name."""
    return "".join(f"{each.name} {each.host_key}\n" for each in listed if each.host_key)


def ssh_config(
    login: str, address: str, listed: Sequence[Machine], *, place: Path,
    identity: Path | None = None, port: int = 22, controls: Path | None = None,
) -> str:  # fmt: skip
    """Return the text for `ssh -F`: every machine by its name, workers through the master.

    `place`: the directory that it lies in, beside known_hosts.
    `controls`: a private directory for shared connections; with it nobody is ever asked for anything.
    """
    lines = [
        "# Made by hotrun. Use it: ssh -F THIS_FILE worker-1. Host keys are those that the master reported."
    ]
    # NOTE: not ProxyJump, which takes the path of -F unquoted: blanks and % in it break there (OpenSSH 9.2).
    jump = f"ssh -F {shlex.quote(str(place / SSH_CONFIG)).replace('%', '%%')} -W [%h]:%p master"
    for each in listed:
        is_master = each.name == "master"
        lines += ["", f"Host {each.name}", f"  HostName {address if is_master else each.address}"]
        lines += [f"  Port {port}"] if port != 22 else []
        lines += [f"  HostKeyAlias {each.name}"]
        lines += [] if is_master else [f"  ProxyCommand {jump}"]
    lines += ["", "Host *", f"  User {login}"]
    lines += [f"  UserKnownHostsFile {_quoted(place / KNOWN_HOSTS)}", *_CHECKED]
    if identity is not None:
        lines += [f"  IdentityFile {_quoted(identity)}", "  IdentitiesOnly yes"]
    if controls is not None:
        lines += [f"  ControlPath {_quoted(controls)}/%n", "  ControlMaster auto"]
        lines += [f"  ControlPersist {PERSIST_S}", "  BatchMode yes", "  LogLevel ERROR"]
    return "\n".join(lines) + "\n"


_CHECKED = (
    "  GlobalKnownHostsFile /dev/null",
    "  StrictHostKeyChecking yes",
    "  UpdateHostKeys no",
    "  VerifyHostKeyDNS no",
    "  CheckHostIP no",
    "  ForwardAgent no",
    "  ForwardX11 no",
    f"  ConnectTimeout {CONNECT_TIMEOUT_S}",
    f"  ServerAliveInterval {ALIVE_S}",
    "  ServerAliveCountMax 3",
)


def _quoted(path: Path) -> str:
    """A path as a word of ssh_config, where blanks, quotes and % mean something."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'
