"""What the machines tell the page of the stack, between marks at which its template splits. Pure."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Any, Sequence

from .console import STAGES

MARK = "|~|"
_MOST = 12  # rows of a table, numbers of a result


def page(state: str, machines: str = "", result: str = "", until: str = "", *, rerun: int = 0) -> str:
    """Put the fields between marks; no other mark, quote or backslash is in them, so JSON keeps them.

    The state is one line, and says of a later run which it is.
    """
    state = f"run {rerun + 1}: {state}" if rerun else state
    fields = (" ".join(state.split()), machines, result, until)
    plain = (re.sub(r"[^\n -~]|[\\|]", "?", each.replace('"', "'")) for each in fields)
    return MARK + "".join(each + MARK for each in plain)


def failed(found: dict[str, Any]) -> str:
    """The state of a run with this problem, and how to mend it."""
    where, fix = found["where"], found["fix"]
    return (
        f"failed: {found['node']}: {found['stage']}: {found['what']}{where and f' ({where})'}"
        f"{fix and f'. To mend: {fix}'}"
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as columns of text, the first as their names; beyond 12 machines the last line counts them."""
    widths = [max(map(len, column)) for column in zip(*rows)]  # noqa: B905 - Python 3.9
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows[: _MOST + 1]]
    left = len(rows) - len(lines)
    return "\n".join([*lines, f"and {left} more"] if left else lines)


def stages(nodes: Sequence[dict[str, Any]]) -> str:
    """Nodes of the status document x seconds: the master, those that need a look, then the slowest."""
    order = sorted(
        nodes,
        key=lambda node: (
            node["rank"] > 0,
            node["state"] in ("done", "stopped"),
            -sum(node["stages"].values()),
        ),
    )
    names = [name for name in STAGES if any(name in node["stages"] for node in nodes)]
    rows = [
        [node["name"], node["state"], *(f"{node['stages'].get(name, '-')}" for name in names)]
        for node in order
    ]
    return table([["machine", "state", *names], *rows])


def numbers(result: dict[str, Any], *more: str) -> str:
    """The numbers of a program's result and `more` in one line: accuracies, losses, then the others."""
    order = sorted(result.items(), key=lambda item: ("accuracy" not in item[0], "loss" not in item[0]))
    said = [
        f"{key} {float(f'{value:.4g}') if isinstance(value, float) else value}"
        for key, value in order
        if isinstance(value, (int, float))
    ]
    return ", ".join([*said[:_MOST], *more])


def until(off_at: float) -> str:
    """When a machine powers off, since 1970; empty where it does not."""
    if off_at == math.inf:
        return ""
    off = dt.datetime.fromtimestamp(off_at, dt.timezone.utc)
    return f"{off:%Y-%m-%d %H:%M} UTC"
