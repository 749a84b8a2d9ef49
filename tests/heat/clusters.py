"""The clusters that the engine is asked about: the example requests and one of odd strings, in variants."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloud import config
from cloud.model import Cluster, Job
from tests.golden.accept import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable

ODD_STRINGS = Cluster(
    job=Job(
        repo="https://example.org/a%20b/digits.git",
        ref="feature/x__HOTRUN_INDEX__",
        requirements="train it/here",
        entrypoint="main file.py",
        args="--name '@@JOB@@ %index% __HOTRUN_INDEX__' $HOME `id` $(id) \"q\" EOF #! ${x} {get_param: x} ü € 🙂 "
        "\\",
        setup="make 'data' && true",
        env=("GREETING=hello 'you' \"there\" $HOME %s", "EMPTY="),
        max_hours=0.5,
    ),
    workers=3,
)
VARIANTS: dict[str, Callable[[Cluster], Cluster]] = {
    "as written": lambda cluster: cluster,
    "no workers": lambda cluster: replace(cluster, workers=0),
    "1 worker": lambda cluster: replace(cluster, workers=1),
    "254 workers": lambda cluster: replace(
        cluster, workers=254, network=replace(cluster.network, cidr="10.8.0.0/23")
    ),
    "no external network": lambda cluster: replace(cluster, network=replace(cluster.network, external="")),
    "no key": lambda cluster: replace(cluster, key_name=""),
    "a key": lambda cluster: replace(cluster, key_name="laptop"),
    "no security group": lambda cluster: replace(
        cluster, network=replace(cluster.network, security_group=False)
    ),
    "reservations": lambda cluster: replace(
        cluster,
        master=replace(cluster.master, reservation="b7c1"),
        worker=replace(cluster.worker, reservation="a2d4"),
    ),
    "token signal": lambda cluster: replace(cluster, signal_transport="TOKEN_SIGNAL"),
    "no signal": lambda cluster: replace(cluster, signal_transport="NO_SIGNAL"),
}


def clusters() -> dict[str, Cluster]:
    """Name -> cluster, without variants."""
    return {path.stem: config.cluster_from_file(path) for path in EXAMPLES} | {"odd-strings": ODD_STRINGS}


def variants() -> dict[str, Cluster]:
    """`name, variant` -> cluster."""
    return {
        f"{name}, {variant}": change(cluster)
        for name, cluster in clusters().items()
        for variant, change in VARIANTS.items()
    }
