"""TF_CONFIG, or --workers and --index -> who trains together, and which of them this is. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from recipe import ChoiceError

EXAMPLE = (
    '{"cluster": {"worker": ["10.8.0.10:12345", "10.8.0.11:12345"]}, "task": {"type": "worker", "index": 0}}'
)


class ClusterError(ChoiceError):
    """Addresses that no cluster can have; the message is for the user, a line for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The workers of one training."""

    workers: tuple[str, ...] = ()
    """HOST:PORT of each; empty: this process trains by itself."""
    index: int = 0
    """Which of them this is; 0 is the chief, which writes the files of the run."""

    @property
    def own(self) -> str:
        """This worker's address."""
        return self.workers[self.index] if self.workers else ""

    @property
    def peers(self) -> dict[int, str]:
        """The other workers' addresses, by index."""
        return {index: worker for index, worker in enumerate(self.workers) if index != self.index}

    @property
    def size(self) -> int:
        """How many workers, this one included."""
        return max(1, len(self.workers))

    @property
    def tf_config(self) -> str:
        """As TensorFlow reads it."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.workers)}, "task": task})

    def called(self, index: int) -> str:
        """A worker in a sentence: `worker 1 (10.8.0.11:12345)`."""
        return f"worker {index} ({self.workers[index]})" if self.workers else f"worker {index}"


def cluster_of(tf_config: str, workers: str | None, index: int | None) -> Cluster:
    """The cluster of the two flags, else of TF_CONFIG's text, else one worker. Raises ClusterError."""
    if workers is None and index is None:
        return _of_text(tf_config) if tf_config.strip() else Cluster()
    if workers is None or index is None:
        lacking = "--workers" if workers is None else "--index"
        raise ClusterError(
            f"{lacking} is missing: --workers HOST:PORT,HOST:PORT and --index I belong together"
        )
    addresses = [word.strip() for word in workers.split(",") if word.strip()]
    return _checked(addresses, index, "--workers", "--index")


def _of_text(text: str) -> Cluster:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ClusterError(f"TF_CONFIG is not JSON: {error}; it looks like {EXAMPLE}") from error
    cluster = content.get("cluster") if isinstance(content, dict) else None
    task = content.get("task") if isinstance(content, dict) else None
    if not isinstance(cluster, dict) or not isinstance(cluster.get("worker"), list):
        raise ClusterError(f"TF_CONFIG names no list of workers; it looks like {EXAMPLE}")
    task = task if isinstance(task, dict) else {}
    wrong = [
        f"TF_CONFIG has {job} beside worker: only workers train together here, the first of them is the chief"
        for job in cluster
        if job != "worker"
    ]
    if task.get("type") != "worker":
        wrong.append(f"TF_CONFIG's task has the type {task.get('type')!r}: it must be 'worker'")
    try:
        found = _checked(cluster["worker"], task.get("index"), "TF_CONFIG's worker", "TF_CONFIG's index")
    except ClusterError as error:
        wrong.append(str(error))
    if wrong:
        raise ClusterError("\n".join(wrong))
    return found


def _checked(workers: list[Any], index: Any, list_name: str, index_name: str) -> Cluster:
    wrong = [f"{list_name} {worker!r}: HOST:PORT is needed, the port 1 to 65535"
             for worker in workers if not _is_address(worker)]  # fmt: skip
    twice = sorted({str(worker) for worker in workers if workers.count(worker) > 1})
    wrong += [
        f"{list_name} {worker!r} is there twice: each worker has an address of its own" for worker in twice
    ]
    if not workers:
        wrong.append(f"{list_name} names nobody: HOST:PORT of each worker is needed")
    elif isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(workers):
        wrong.append(
            f"{index_name} is {index!r}: 0 to {len(workers) - 1} are possible with {len(workers)} workers"
        )
    if wrong:
        raise ClusterError("\n".join(wrong))
    return Cluster(workers=tuple(workers), index=index)


def _is_address(worker: Any) -> bool:
    if not isinstance(worker, str) or any(letter.isspace() for letter in worker):
        return False
    host, _, port = worker.rpartition(":")
    return bool(host) and port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535
