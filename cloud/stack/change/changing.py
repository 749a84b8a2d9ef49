"""What `resize` and `rerun` ask before they change a stack. Raises, and changes nothing."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from cloud.errors import Problem, ProblemsFound, RunFailed
from cloud.model import RESERVED
from cloud.request.addresses import NETWORK_OVERHEAD
from cloud.stack import told as told_
from cloud.stack.judge.machines import is_bare_metal
from cloud.stack.watch import outcome
from cloud.stack.watch.lost import lost

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloud.stack.api import Cloud, Stack
    from cloud.stack.offers import Flavor, Room
    from cloud.stack.told import Told


def require_ours(stack: Stack) -> None:
    """Raise `not-ours` for a stack of another template."""
    if not stack.is_ours:
        what = f"{stack.name} was not made from a template of hotrun, and is left as it is"
        raise ProblemsFound(Problem(code="not-ours", what=what))


def require_made(cloud: Cloud, stack: Stack, run_dir: Path, program: str) -> None:
    """Raise for a stack whose machines have not met yet: there is nothing to change.

    ProblemsFound `stack-being-made`, or RunFailed `heat-stalled` where waiting does not help.
    """
    if stack.action != "CREATE" or stack.is_settled or told_.signals(stack):
        return
    resources = cloud.resources(stack.id)
    found = lost(cloud, stack, resources, program)
    if found is not None:
        raise RunFailed(found)
    made = sum(1 for one in resources if one.machine and one.status == "CREATE_COMPLETE")
    there = f"{made} of {stack.workers + 1} machines are there"
    what = f"{stack.name} is still being made ({there}), and only a stack that was made can be changed"
    fix = f"follow it: {outcome.again(program, run_dir, stack.name)}; or look: {program} status {stack.name}"
    raise ProblemsFound(Problem(code="stack-being-made", what=what, fix=fix))


def is_pending(stack: Stack, told: Told) -> bool:
    """Whether a rerun was asked for and nothing was told of it yet; a silent stack never tells."""
    return not stack.is_silent and told.number < stack.rerun


def require_room(cloud: Cloud, stack: Stack, workers: int) -> None:
    """Raise ProblemsFound with all that is too small for a growth to so many workers."""
    more = workers - stack.workers
    if more <= 0:
        return
    named = stack.parameters.get("worker_flavor", "")
    flavor = next((one for one in cloud.flavors() if named in (one.name, one.id)), None)
    found = [*network_problems(stack, workers), *quota_problems(cloud.quotas(), more, flavor, named)]
    if found:
        raise ProblemsFound(*found)


def quota_problems(
    rooms: Mapping[str, Room], more: int, flavor: Flavor | None, named: str = ""
) -> list[Problem]:
    """Return what of a quota is too small for so many more workers; a lease has room of its own."""
    needs = {"instances": more, "ports": more}
    if flavor is not None and not named.startswith(RESERVED) and not is_bare_metal(flavor):
        needs |= {"cores": more * flavor.cores, "ram_mib": more * flavor.ram_mib}
    words = {"ram_mib": "MiB of memory"}
    found = []
    for name, needed in needs.items():
        free = rooms[name].free if name in rooms else None
        if free is not None and needed > free:
            word = words.get(name, name)
            what = f"quota: {needed:,} more {word} needed for {more} more workers, {free:,} free"
            fix = f"ask for more, or take fewer: at most {_fitting(rooms, flavor)} more fit"
            found.append(Problem(code="quota-too-small", what=what, where=f"quota {name}", fix=fix))
    return found


def network_problems(stack: Stack, workers: int) -> list[Problem]:
    """Return a problem when the stack's own network has not so many addresses. Pure."""
    cidr = stack.parameters.get("network_cidr", "")
    try:
        room = ipaddress.ip_network(cidr).num_addresses - NETWORK_OVERHEAD - 1
    except ValueError:
        return []
    if workers <= room:
        return []
    what = f"network_cidr is {cidr}, which has addresses for {max(room, 0)} workers beside the master"
    fix = f"take at most {max(room, 0)}, or launch anew with --parameter network_cidr=10.8.0.0/23"
    return [Problem(code="network-too-small", what=what, fix=fix)]


def _fitting(rooms: Mapping[str, Room], flavor: Flavor | None) -> int:
    each = {"instances": 1, "ports": 1}
    if flavor is not None:
        each |= {"cores": flavor.cores, "ram_mib": flavor.ram_mib}
    frees = [(rooms[name].free, count) for name, count in each.items() if name in rooms and count]
    return min((free // count for free, count in frees if free is not None), default=0)
