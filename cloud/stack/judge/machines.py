"""Flavors: there, large enough for the image and a training, with GPUs where the image is for them. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.model import RESERVED
from cloud.stack.judge.case import (
    BARE_METAL,
    Case,
    Finding,
    gib,
    named,
    nearest,
    plural,
    quoted,
    setting,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.stack.judge.needs import Group
    from cloud.stack.offers import Flavor, Image

SYSTEM_MIB = 1_024  # Ubuntu's server image at rest, with the node program and an installer at work
RANK_MIB = 820  # resident in a rank with the CUDA build of torch: docs/performance.md
SYSTEM_GIB = 3  # Ubuntu's server image, unpacked
TORCH_GIB = 6  # the CUDA build and what comes with it; 1.5 for the CPU build, where the index offers it
_GPU_NAME = re.compile(
    r"gpu|cuda|vgpu|^g\d+\.|[.-](a100|h100|h200|v100|p100|a30|a40|l4|l40s?|t4|rtx\w*)\b", re.IGNORECASE
)
_GPU_ALIAS = re.compile(r"gpu|nvidia|tesla|[ahvp]100|h200|a30|a40|l4|t4|rtx|quadro", re.IGNORECASE)


def flavors(case: Case) -> Iterator[Finding]:
    """Every flavor exists and fits."""
    if case.answers.flavors is None:
        return
    seen: dict[str, list[Group]] = {}
    for group in case.groups:
        seen.setdefault(group.flavor, []).append(group)
    for name, groups in seen.items():
        found = case.flavor(name)
        if found is not None:
            yield _told(found, sum(group.count for group in groups))
            yield from _size(case, found, groups)
            yield from _gpus(case, found, groups)
        elif name and not name.startswith(RESERVED):  # those are judged with their lease
            yield _missing(case, groups)


def gpus(flavor: Flavor) -> int:
    """Return the GPUs of a machine by its flavor's extra specs; where they show none, 1 by its name.

    `pci_passthrough:alias` is like `h100:4`, `resources:VGPU` a number (Nova's documentation).
    """
    total = 0
    for key, value in flavor.extra.items():
        if key == "pci_passthrough:alias":
            for part in value.split(","):
                alias, _, count = part.strip().partition(":")
                if _GPU_ALIAS.search(alias):
                    total += int(count) if count.isdigit() else 1
        elif re.fullmatch(r"resources\d*:(VGPU|PGPU|CUSTOM_\w*GPU\w*)", key) and value.isdigit():
            total += int(value)
    return total or int(bool(_GPU_NAME.search(flavor.name)))


def is_bare_metal(flavor: Flavor) -> bool:
    """Whether its numbers mean nothing: the machine that a lease gives is what it is."""
    return flavor.name == BARE_METAL or flavor.extra.get("resources:VCPU") == "0"


def _told(flavor: Flavor, count: int) -> str:
    if is_bare_metal(flavor):
        return f"flavor {flavor.name}: {plural(count, 'machine')} without a hypervisor"
    disk = f", {flavor.disk_gib:,} GiB of disk" if flavor.disk_gib else ""
    size = f"{plural(flavor.cores, 'core')}, {gib(flavor.ram_mib)}{disk}"
    size += f", {plural(gpus(flavor), 'GPU')}" if gpus(flavor) else ""
    return f"flavor {flavor.name}: {plural(count, 'machine')}, {'each ' if count > 1 else ''}{size}"


def _missing(case: Case, groups: list[Group]) -> Problem:
    parameter = f"{groups[0].role}_flavor"
    usable = [one.name for one in case.answers.flavors or ()]
    what = f"{named(groups, 'flavor')} {quoted(groups[0].flavor)} is not on this cloud"
    fix = nearest(groups[0].flavor, usable, parameter)
    if len(groups) > 1 and fix:
        fix += ", and worker_flavor likewise"
    return Problem(code="flavor-missing", what=what, where=case.where(parameter), fix=fix)


def _size(case: Case, flavor: Flavor, groups: list[Group]) -> Iterator[Problem]:
    """The image's own minima are refused by Nova; the training's are our estimate."""
    if is_bare_metal(flavor):
        return
    found, where = case.image(), case.where(f"{groups[0].role}_flavor")
    if found is not None and (short := too_small_for(flavor, found)):
        what = f"{named(groups, 'flavor')} {flavor.name} is too small for the image {found.name}: {short}"
        fix = _larger(
            case, max(found.min_ram_mib, flavor.ram_mib), max(_min_disk_gib(found), flavor.disk_gib), groups
        )
        yield Problem(code="flavor-too-small", what=what, where=where, fix=fix)
        return
    ranks = max(1, gpus(flavor))
    memory, disk = SYSTEM_MIB + ranks * RANK_MIB, SYSTEM_GIB + TORCH_GIB
    tight = []
    if flavor.ram_mib < memory:
        needed = f"the system with {plural(ranks, 'rank')} of torch takes {memory / 1024:.1f} GiB"
        tight.append(f"{gib(flavor.ram_mib)} of memory, and {needed}")
    if 0 < flavor.disk_gib < disk:
        tight.append(f"{flavor.disk_gib} GiB of disk, and the system with torch takes up to {disk}")
    if tight:
        what = f"{named(groups, 'flavor')} {flavor.name} is tight: {'; '.join(tight)}"
        fix = _larger(case, max(memory, flavor.ram_mib), max(disk, flavor.disk_gib), groups)
        yield Problem(code="flavor-tight", level="warning", what=what, where=where, fix=fix)


def too_small_for(flavor: Flavor, image: Image) -> str:
    """Return what a flavor lacks for an image, empty when Nova would boot it."""
    lacks = []
    if flavor.ram_mib < image.min_ram_mib:
        lacks.append(f"{gib(flavor.ram_mib)} of memory, at least {gib(image.min_ram_mib)} needed")
    if 0 < flavor.disk_gib < _min_disk_gib(image):  # 0: as large as the image
        lacks.append(f"{flavor.disk_gib} GiB of disk, at least {_min_disk_gib(image)} needed")
    return "; ".join(lacks)


def _min_disk_gib(image: Image) -> int:
    return max(image.min_disk_gib, -(-image.size_bytes // 2**30))


def _larger(case: Case, ram_mib: int, disk_gib: int, groups: list[Group]) -> str:
    """Return the fix: the smallest flavor that is large enough."""
    fitting = [
        one
        for one in case.answers.flavors or ()
        if one.ram_mib >= ram_mib
        and (one.disk_gib == 0 or one.disk_gib >= disk_gib)
        and not one.name.startswith(RESERVED)
    ]
    if not fitting:
        return "no flavor of this cloud is large enough; ask its operators for one"
    best = min(fitting, key=lambda one: (gpus(one), one.ram_mib, one.cores, one.disk_gib))
    return setting(groups, "flavor", best.name)


def _gpus(case: Case, flavor: Flavor, groups: list[Group]) -> Iterator[Problem]:
    """An image without the driver leaves the GPUs unused, which is paid for without a word."""
    image, count = case.value("image"), gpus(flavor)
    has_driver = "cuda" in image.lower() or "gpu" in image.lower()
    if count and not has_driver:
        names = [one.name for one in case.answers.images or () if "cuda" in one.name.lower()]
        is_virtual = "vgpu" in flavor.name.lower()
        best = next((name for name in sorted(names) if ("vgpu" in name.lower()) == is_virtual), "")
        yield Problem(
            code="image-without-driver",
            level="warning",
            where=case.where("image"),
            what=f"image {quoted(image)} names no CUDA: without a driver the GPUs of {flavor.name} lie idle",
            fix=f"--parameter image={best}" if best else "name an image with NVIDIA's driver",
        )
    elif has_driver and not count and not is_bare_metal(flavor) and not _any_gpus(case):
        yield Problem(
            code="image-for-gpus",
            level="note",
            where=case.where("image"),
            what=f"image {quoted(image)} is made for GPUs, and the flavor {flavor.name} shows none",
            fix=_with_gpus(case, groups),
        )


def _any_gpus(case: Case) -> bool:
    found = [case.flavor(group.flavor) for group in case.groups]
    return any(one is not None and gpus(one) for one in found)


def _with_gpus(case: Case, groups: list[Group]) -> str:
    names = [one.name for one in case.answers.flavors or () if gpus(one)]
    return setting(groups, "flavor", min(names)) if names else ""
