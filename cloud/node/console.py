"""Names of nodes and stages, and the one console line a stage ends with. Pure.

    hotrun: node=worker-3 stage=environment state=ok s=41.2
    hotrun: node=worker-3 stage=environment state=failed s=12.0 code=requirement-not-found what='…'

Written by the node program, read back by whoever follows a run (`parse_line`).
"""

from __future__ import annotations

import shlex

STAGES = ("network", "source", "environment", "rendezvous", "train", "collect", "finish")
PREFIX = "hotrun: "


def node_name(rank: int) -> str:
    """`master` for rank 0, `worker-<rank>` for the others."""
    return "master" if rank == 0 else f"worker-{rank}"


def node_rank(name: str) -> int:
    """The inverse of `node_name`."""
    return 0 if name == "master" else int(name.rpartition("-")[2])


def format_line(**fields: object) -> str:
    """One console line of shell words `key=value`; newlines in values become spaces."""
    words = (f"{key}={_text(value)}" for key, value in fields.items() if value not in (None, ""))
    return PREFIX + " ".join(shlex.quote(word) for word in words)


def parse_line(line: str) -> dict[str, str] | None:
    """The fields of a console line, or None for any other line."""
    if not line.startswith(PREFIX):
        return None
    try:
        words = shlex.split(line[len(PREFIX) :])
    except ValueError:  # a program printed something that only looks like ours
        return None
    fields = dict(word.partition("=")[::2] for word in words)
    return fields if "node" in fields and "stage" in fields else None


def _text(value: object) -> str:
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    return " ".join(text.splitlines())
