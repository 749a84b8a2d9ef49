"""What a node of a Slurm job says of itself before anything is started."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cloud.node import machine
from cloud.node.slurm import look, places

if TYPE_CHECKING:
    from pathlib import Path

OWN, OTHER = "10.1.0.1", "10.1.0.2"


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A node whose one network has OWN; what it reaches, and from which address."""
    found = {OTHER: OWN}

    def route_address(target: str) -> str:
        if target not in found:
            raise OSError(f"no route to {target}")
        return found[target]

    monkeypatch.setattr(machine, "route_address", route_address)
    names = {OWN: "ib0", "127.0.1.1": "lo"}
    monkeypatch.setattr(machine, "interface_of", lambda address: names.get(address, ""))
    return found


@pytest.mark.usefixtures("routes")
@pytest.mark.parametrize(
    ("rank", "addresses", "expected"),
    [
        (0, [OWN, OTHER], OWN),
        (0, ["192.0.2.7", OTHER], OWN),
        (0, ["127.0.1.1", OTHER], OWN),
        (2, ["127.0.1.1", OTHER, "192.0.2.7"], OWN),
        (1, ["127.0.1.1", OWN], OWN),
        (1, ["127.0.1.1", "192.0.2.7"], "192.0.2.7"),
        (0, ["127.0.1.1", "192.0.2.7"], "127.0.1.1"),
        (0, ["127.0.1.1"], "127.0.1.1"),
    ],
)
def test_a_node_tells_an_address_that_others_reach(rank: int, addresses: list[str], expected: str) -> None:
    """Debian maps a host's own name to 127.0.1.1: with more than one node that is as good as none."""
    assert look.own_address(rank, addresses) == expected


@pytest.mark.parametrize("is_routed", [True, False])
def test_a_node_that_only_itself_can_reach_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, routes: dict[str, str], *, is_routed: bool
) -> None:
    """Workers would connect to themselves and wait."""
    if not is_routed:
        routes.clear()
    prepared = tmp_path / "prepared" / "d"
    prepared.mkdir(parents=True)
    (prepared / "prepared.json").write_text(json.dumps({"engine": "torch", "environment": str(tmp_path)}))
    told = {
        places.OURS + "WORK": str(tmp_path),
        places.OURS + "DIGEST": "d",
        places.OURS + "RUN": str(tmp_path),
    }
    for name, value in {**told, "SLURM_JOB_ID": "7", "SLURMD_NODENAME": "node1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(look, "python_problem", lambda environment: "")
    monkeypatch.setattr(machine, "gpus", list)
    found = look.found(0, ["127.0.1.1", OTHER])
    assert found["address"] == (OWN if is_routed else "127.0.1.1")
    assert ("the address of node1 is 127.0.1.1 there" in found["problem"]) is not is_routed
