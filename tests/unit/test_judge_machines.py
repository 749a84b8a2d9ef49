"""A plan against a cloud's machines: flavors, GPUs, leases."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from cloud import hot
from cloud.stack.judge import judge
from cloud.stack.judge.machines import gpus
from cloud.stack.offers import Flavor
from tests.unit.clusters import cluster
from tests.unit.judged import CHAMELEON, ELSEWHERE, NOW, RESERVED, case, flavor, found, image, lease


def test_a_flavor_must_hold_the_image() -> None:
    """Nova refuses it otherwise; the fix names the smallest that does."""
    problem = found(images=(image(disk=50),))["flavor-too-small"]

    assert "40 GiB of disk, at least 50 needed" in problem.what
    assert problem.fix == "--parameter master_flavor=m1.large --parameter worker_flavor=m1.large"


def test_a_flavor_must_hold_the_training() -> None:
    """Our estimate, so a warning."""
    problem = found(ELSEWHERE, {"master_flavor": "m1.tiny"}, flavors=(flavor(), flavor("m1.tiny", 1, 0.5, 1)))

    assert problem["flavor-tight"].level == "warning"
    assert "0.5 GiB of memory" in problem["flavor-tight"].what
    assert problem["flavor-tight"].fix == "--parameter master_flavor=m1.medium"


@pytest.mark.parametrize(
    ("one", "count"),
    [
        (flavor("a", pci_passthrough__alias="h100:4"), 4),
        (flavor("a", pci_passthrough__alias="nic:1,a100:2"), 2),
        (flavor("a", resources__VGPU="1"), 1),
        (flavor("g1.h100.pci.1"), 1),
        (flavor("m1.medium"), 0),
        (flavor("a", pci_passthrough__alias="nic:2"), 0),
    ],
)
def test_gpus_are_read_from_extra_specs_then_from_the_name(one: Flavor, count: int) -> None:
    """Many clouds show users no extra specs."""
    assert gpus(one) == count


def test_a_standard_image_on_a_gpu_machine_is_a_trap() -> None:
    """It boots, and trains on the processor."""
    big = flavor("g1.h100.pci.1", 48, 250, 200)
    wrong = found(CHAMELEON, {"master_flavor": big.name, "worker_flavor": big.name}, flavors=(big,))
    right = found(
        CHAMELEON,
        {"master_flavor": big.name, "worker_flavor": big.name, "image": "CC-Ubuntu24.04-CUDA"},
        flavors=(big,),
    )

    assert wrong["image-without-driver"].fix == "--parameter image=CC-Ubuntu24.04-CUDA"
    assert right == {}


def test_a_cuda_image_without_gpus_is_only_noted() -> None:
    """It costs disk, nothing else."""
    assert found(ELSEWHERE, {"image": "CC-Ubuntu24.04-CUDA"})["image-for-gpus"].level == "note"


def test_chameleon_starts_nothing_without_a_lease() -> None:
    """The line that makes one has the flavor's id; with an active lease its flavor is named."""
    none = found(CHAMELEON, has_blazar=True, reservations=())["lease-needed"]
    some = found(CHAMELEON, has_blazar=True, reservations=(lease(),))["lease-needed"]

    assert "flavor_id=id-m1.medium,amount=3" in none.fix
    assert some.fix == ("--parameter master_flavor=reservation:r1 --parameter worker_flavor=reservation:r1")
    assert "lease-needed" not in found(ELSEWHERE, has_blazar=True, reservations=())


@pytest.mark.parametrize(
    ("changed", "code", "what"),
    [
        ({"amount": 2}, "lease-too-small", "holds 2 machines, and 3 are needed"),
        ({"status": "PENDING"}, "lease-not-active", "not active yet"),
        ({"status": "TERMINATED"}, "lease-not-active", "over"),
        ({"id": "r2", "lease_id": "r1"}, "lease-missing", "is the lease mine, and the id of the reservation"),
        ({"id": "r2"}, "lease-missing", "none of the project's reservations"),
        (
            {"end": NOW + dt.timedelta(hours=5)},
            "lease-ends-first",
            "ends in 5.0 h, before the deadline of 24 h",
        ),
    ],
)
def test_a_lease_is_there_active_large_and_long_enough(changed: dict[str, Any], code: str, what: str) -> None:
    """Each is seen before the first machine is asked for."""
    flavors = (flavor("reservation:r1"),)
    problems = found(CHAMELEON, RESERVED, flavors=flavors, has_blazar=True, reservations=(lease(**changed),))

    assert list(problems) == [code]
    assert what in problems[code].what
    assert problems[code].fix


def test_a_good_lease_is_said() -> None:
    """With its end."""
    well, problems = judge(
        case(
            CHAMELEON, RESERVED, flavors=(flavor("reservation:r1"),), has_blazar=True, reservations=(lease(),)
        )
    )

    assert problems == []
    assert "lease mine: active until 2026-03-03 12:00 UTC, 3 machines" in well


def test_bare_metal_needs_a_hint() -> None:
    """The active lease that is large enough is the fix."""
    bare = hot.text(replace(cluster(), profile="chameleon-baremetal", key_name="laptop"))
    metal = {"master_flavor": "baremetal", "worker_flavor": "baremetal", "security_groups": "no"}
    flavors = (flavor("baremetal", 1, 1, 1),)
    hosts = lease(resource_type="physical:host", id="h1")
    missing = found(bare, metal, flavors=flavors, has_blazar=True, reservations=(hosts,))
    named = metal | {"master_reservation": "h1", "worker_reservation": "h1"}

    assert (
        missing["lease-needed"].fix == "--parameter master_reservation=h1 --parameter worker_reservation=h1"
    )
    assert found(bare, named, flavors=flavors, has_blazar=True, reservations=(hosts,)) == {}
    assert "security-groups-on-bare-metal" in found(
        bare, metal | {"security_groups": "yes"}, flavors=flavors, has_blazar=True, reservations=(hosts,)
    )
