"""The stages of a node, in order: each a function `run(context, deadline) -> what was done`.

A stage raises StageFailed for its own failure, Stopped when another node failed, MasterLost, or TimeoutError.
"""

from __future__ import annotations

from typing import Callable

from ..context import Context
from . import collect, environment, finish, network, rendezvous, source, train

WORK: dict[str, Callable[[Context, float], str]] = {
    "network": network.run,
    "source": source.run,
    "environment": environment.run,
    "rendezvous": rendezvous.run,
    "train": train.run,
}
ENDING: dict[str, Callable[[Context, float], str]] = {"collect": collect.run, "finish": finish.run}

# Seconds for each stage on a slow cloud; `network` and `rendezvous` wait for other machines instead.
DEADLINES_S = {"source": 1800.0, "environment": 3000.0, "collect": 1800.0, "finish": 2400.0}
