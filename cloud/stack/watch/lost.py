"""Asks Heat and Nova whether a stack that is not settled is still being worked on. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.stack import told
from cloud.stack.watch import stalled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.errors import Problem
    from cloud.stack.api import Cloud, Resource, Stack


def lost(cloud: Cloud, stack: Stack, resources: Sequence[Resource], program: str) -> Problem | None:
    """Return `heat-stalled` where Heat has lost the stack, else None. Raises CloudError."""
    if stack.is_settled:
        return None
    seen = stalled.Seen(
        stack=stack, resources=resources, servers=cloud.servers(stack, resources),
        events=cloud.events(stack.id), now=cloud.time(),
    )  # fmt: skip
    return stalled.problem(seen, told.by(stack, resources), program)
