"""What ssh wrote before it gave up -> a problem with a name. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cloud.errors import Problem

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Protocol

    class Login(Protocol):
        """How it was tried."""

        login: str
        address: str
        identity: Path | None


_NETWORK = re.compile(
    r"timed out|No route to host|unreachable|refused|Could not resolve|Connection (closed|reset)"
    r"|kex_exchange|banner exchange|Broken pipe|not responding|UNKNOWN port",
    re.IGNORECASE,
)
_NOISE = re.compile(r"^(\s*|Warning: Permanently added.*|\*\* .*|Connection to .* closed\.)$")


def refusal(
    text: str, tried: Login, machine: str, *, is_late: bool = False, is_lost: bool = False
) -> Problem:
    """Name what stopped ssh, from what it wrote to standard error."""
    lines = tuple(line.rstrip() for line in text.splitlines() if not _NOISE.match(line))[-4:]
    where = f"{machine} ({tried.login}@{tried.address})" if machine == "master" else machine
    code, what, fix = _named(text, tried, where, is_late=is_late, is_lost=is_lost)
    return Problem(code=code, what=what, fix=fix, node=machine, log=lines)


def _named(text: str, tried: Login, where: str, *, is_late: bool, is_lost: bool) -> tuple[str, str, str]:
    """Return (code, what, fix)."""
    if "IDENTIFICATION HAS CHANGED" in text or "Host key verification failed" in text:
        what = f"{where} has another host key than the one the master reported"
        fix = "if it was just replaced, wait for its report (hotrun status); else log in by no other way"
        return "host-key-changed", what, fix
    if "UNPROTECTED PRIVATE KEY" in text or "Load key" in text:
        fix = "chmod 600 it; a key with a passphrase is loaded with ssh-add first"
        return "ssh-key-unusable", f"the key {tried.identity or ''} can't be used".replace("  ", " "), fix
    if "Permission denied (" in text or "Too many authentication failures" in text:
        key = f"the key {tried.identity}" if tried.identity else "your keys"
        fix = "name the private key of the stack's key_name with --identity FILE, or load it with ssh-add"
        return "ssh-denied", f"{where} does not accept {key}", fix
    if "hotrun: no Python" in text:
        return "python-too-old", f"{where} has no Python 3.9 or newer", "choose a newer image"
    if is_lost:
        return "ssh-lost", f"the connection to {where} broke off", "try again: what is here already stays"
    if is_late or _NETWORK.search(text):
        how = "did not answer in time" if is_late else "can't be reached by ssh"
        fix = "its ssh_cidr must hold your address, and the machine must run (hotrun status)"
        return "ssh-unreachable", f"{where} {how}", fix
    return "ssh-failed", f"ssh to {where} failed", "its own lines say why"
