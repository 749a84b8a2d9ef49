"""The same stack with the openstack client: its name, its time limit, and the line to type. Pure."""

from __future__ import annotations

import math
import re
import shlex
from typing import TYPE_CHECKING, Any

from cloud.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cloud.plan import Plan

TAG = "hotrun"
NAME = re.compile(
    r"[A-Za-z][A-Za-z0-9._-]{0,62}"
)  # Heat takes 255 characters; runs/NAME and servers take less
MAX_TIMEOUT_MIN = 1_440
_START_MIN = 15.0  # network, router, addresses and the first machines, on a slow cloud
_MACHINE_MIN = 0.2  # each further machine: 254 take 50 minutes where Nova is slow
_BARE_METAL_MIN = 30.0  # a machine is written and booted in 10 to 20; some need a second try


def stack_name(plan: Plan) -> str:
    """Return the name that a stack gets when none is given: that of the repository."""
    last = re.split(r"[/:]", str(plan.parameters.get("repo", "")).rstrip("/"))[-1].removesuffix(".git")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._")[:50]
    return name if name[:1].isalpha() else f"run-{name}".rstrip("-")


def require_name(name: str) -> None:
    """Refuse what Heat, or a directory below runs/, would not take as a name; raises RequestError."""
    if not NAME.fullmatch(name):
        what = f"--name is {name!r}, but a name begins with a letter and has letters, digits, dots, - and _"
        raise RequestError(Problem(code="name-invalid", what=what, where="flag --name"))


def timeout_min(plan: Plan) -> int:
    """Return the minutes that Heat gets for a whole stack: to make the machines, then for them to meet.

    The condition at the end begins to count when all machines run, so its own time comes on top.
    """
    get = plan.parameters.get
    boot_timeout = get("boot_timeout")
    meeting = boot_timeout / 60 if isinstance(boot_timeout, int | float) else 0
    is_bare_metal = "baremetal" in (get("master_flavor"), get("worker_flavor"))
    making = _START_MIN + _MACHINE_MIN * plan.nnodes + (_BARE_METAL_MIN if is_bare_metal else 0)
    return min(MAX_TIMEOUT_MIN, math.ceil(making + meeting))


def lines(
    plan: Plan, given: Mapping[str, Any], *, program: str, template: str, name: str, environment: str = ""
) -> tuple[str, str]:
    """Return the two lines that make a plan's stack: this program's, and the openstack client's."""
    up = up_line(program, template, given, name=name, environment=environment)
    anyway = {"workers": plan.workers}
    timeout = timeout_min(plan)
    return up, create_line(template, name, given, anyway=anyway, timeout=timeout, environment=environment)


def up_line(
    program: str, template: str, parameters: Mapping[str, Any], *, name: str = "", environment: str = ""
) -> str:
    """Return the line that makes the stack with this program, quoted for a shell."""
    words = [template, *(["--name", name] if name else [])]
    words += ["--environment", environment] if environment else []
    return " ".join([f"{program} up", *map(shlex.quote, words), *_flags(parameters)])


def create_line(
    template: str, name: str, parameters: Mapping[str, Any], *, anyway: Mapping[str, Any],
    timeout: int = 0, environment: str = "",
) -> str:  # fmt: skip
    """Return the line that makes the stack with the openstack client, quoted for a shell.

    `timeout` in minutes, 0 for Heat's own 60. The client splits a single --parameter at its semicolons
    (python-heatclient, format_parameters), so one that the stack has `anyway` is then put beside it.
    """
    texts = {key: text(value) for key, value in parameters.items()}
    if len(texts) == 1 and any(";" in value for value in texts.values()):
        texts |= {key: text(value) for key, value in anyway.items() if key not in texts}
    words = ["openstack", "stack", "create", "-t", template]
    words += ["-e", environment] if environment else []
    last = ["--timeout", str(timeout)] if timeout else []
    last += ["--tags", TAG, name]
    return " ".join([*map(shlex.quote, words), *_flags(texts), *map(shlex.quote, last)])


def text(value: object) -> str:
    """Write a value as Heat takes it from a command line."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)


def _flags(parameters: Mapping[str, Any]) -> Iterator[str]:
    for key, value in parameters.items():
        yield f"--parameter {shlex.quote(f'{key}={text(value)}')}"
