"""What many machines took -> docs/openstack-scale.md, a table for each size; those of other sizes stay."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PAGE = Path(__file__).parents[2] / "docs" / "openstack-scale.md"
HEAD = """# Many machines on a real OpenStack

Written by `make test-openstack-254` (tests/openstack/test_scale.py). Keystone, Glance, Placement, Nova, Neutron
and Heat are Debian 12's (Zed), all on one computer; Nova's driver is the fake one. **The machines are played**: no
program runs on them, a stand-in says the master's two signals with the stack's own credentials. So the times are
those of OpenStack's services on few cores, an upper bound for a cloud; the requests are those of this program.
"""
SERVICES = ("keystone", "nova", "neutron", "heat", "glance", "placement")
SAID = {"active": "all machines active", "gate": "gate told", "result": "result told"}
_SECTION = re.compile(r"^## (\d+) workers\n", re.MULTILINE)


class Step(NamedTuple):
    """One command."""

    command: str
    seconds: float
    requests: Mapping[str, int]


def table(workers: int, steps: Sequence[Step], said: Mapping[str, float]) -> str:
    """The section of one size; `said` are seconds since `up` was typed."""
    wanted = f"{os.getloadavg()[2]:.0f} processes wanted them, over 15 minutes"
    lines = [
        f"## {workers} workers",
        "",
        f"{os.cpu_count()} cores for all services and the program; {wanted}.",
        "",
    ]
    lines += [
        f"| command | seconds | requests | {' | '.join(SERVICES)} |",
        "|---|--:|--:|" + "--:|" * len(SERVICES),
    ]
    for step in steps:
        parts = " | ".join(str(step.requests.get(name, 0)) for name in SERVICES)
        lines.append(f"| `{step.command}` | {step.seconds:,.0f} | {sum(step.requests.values())} | {parts} |")
    told = ", ".join(f"{words} after {said[name]:,.0f} s" for name, words in SAID.items() if name in said)
    return "\n".join([*lines, "", f"In `up`: {told}.", ""])


def write(workers: int, steps: Sequence[Step], said: Mapping[str, float], page: Path = PAGE) -> None:
    """Put this size's section into the page."""
    sections = _sections(page.read_text(encoding="utf-8")) if page.exists() else {}
    sections[workers] = table(workers, steps, said)
    page.write_text("\n".join([HEAD, *(sections[size] for size in sorted(sections))]), encoding="utf-8")


def _sections(text: str) -> dict[int, str]:
    found = list(_SECTION.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return {
        int(match[1]): text[match.start() : end].rstrip() + "\n"
        for match, end in zip(found, ends, strict=True)
    }
