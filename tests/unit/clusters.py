"""Builders: a valid cluster with one thing changed, and its template as it is read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml

from cloud import hot
from cloud.model import Cluster, Job, Network

AWKWARD = "--n \"it's\" '$(id) `id` ${X} @@JOB@@ %index% {get_param: x} HOTRUN_JOB EOF' \\ ü 🙂 # : - |"


def cluster(workers: int = 2, network: dict[str, Any] | None = None, **job: Any) -> Cluster:
    """Return a cluster of one master and some workers."""
    asked = {"repo": "https://github.com/you/digits.git", "entrypoint": "train.py"} | job
    found = Cluster(job=Job(**asked), workers=workers)
    return replace(found, network=Network(**network)) if network else found


def read(asked: Cluster) -> Any:
    """Return a cluster's template as any YAML reader reads it."""
    return yaml.safe_load(hot.text(asked))
