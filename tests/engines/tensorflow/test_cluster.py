"""Who trains together, by TF_CONFIG or by two flags. No TensorFlow."""

from __future__ import annotations

import json

import pytest

WORKERS = ["10.8.0.10:7000", "10.8.0.11:7001"]


def _text(workers: object = WORKERS, index: object = 1, task: str = "worker", **more: object) -> str:
    return json.dumps({"cluster": {"worker": workers, **more}, "task": {"type": task, "index": index}})


def test_tf_config_names_the_workers() -> None:
    """A launcher's TF_CONFIG says who the peers are, and is handed on as it was."""
    from mwms.cluster import cluster_of

    cluster = cluster_of(_text(), None, None)

    assert cluster.own == WORKERS[1]
    assert cluster.peers == {0: WORKERS[0]}
    assert json.loads(cluster.tf_config) == json.loads(_text())


def test_two_flags_are_the_same() -> None:
    """--workers and --index make the same cluster, and win over TF_CONFIG."""
    from mwms.cluster import cluster_of

    assert cluster_of("broken", ", ".join(WORKERS), 1) == cluster_of(_text(), None, None)


def test_nothing_is_one_worker() -> None:
    """Without TF_CONFIG and flags the process trains by itself."""
    from mwms.cluster import Cluster, cluster_of

    assert cluster_of(" ", None, None) == Cluster()
    assert Cluster().size == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ["TF_CONFIG is not JSON"]),
        ("[]", ["names no list of workers"]),
        (json.dumps({"cluster": {"chief": ["a:1"]}}), ["names no list of workers"]),
        (_text(index=2), ["TF_CONFIG's index is 2", "0 to 1 are possible with 2 workers"]),
        (_text(index="1"), ["TF_CONFIG's index is '1'"]),
        (_text(index=True), ["TF_CONFIG's index is True"]),
        (_text(workers=[]), ["names nobody"]),
        (_text(task="chief", ps=["10.8.0.12:1"]), ["has ps beside worker", "has the type 'chief'"]),
        (_text(workers=["a:0", "b", 7, "c:70000", "d:1", "d:1"], index=9),
         ["'a:0'", "'b'", " 7:", "'c:70000'", "'d:1' is there twice", "index is 9"]),
    ],
)  # fmt: skip
def test_all_faults_of_a_tf_config_are_told_at_once(text: str, words: list[str]) -> None:
    """What no cluster can have is a sentence for each fault."""
    from mwms.cluster import ClusterError, cluster_of

    with pytest.raises(ClusterError) as told:
        cluster_of(text, None, None)

    assert [word for word in words if word not in str(told.value)] == []


@pytest.mark.parametrize(
    ("workers", "index", "words"),
    [
        ("a:1,b:2", None, "--index is missing"),
        (None, 1, "--workers is missing"),
        ("a:1,b:2", 2, "--index is 2: 0 to 1"),
        ("a,b:2", 0, "--workers 'a': HOST:PORT"),
    ],
)
def test_faults_of_the_flags(workers: str | None, index: int | None, words: str) -> None:
    """The flags are named as they are typed."""
    from mwms.cluster import ClusterError, cluster_of

    with pytest.raises(ClusterError, match=words):
        cluster_of("", workers, index)


def test_another_python_is_told_which_ones_there_are() -> None:
    """Where TensorFlow has no wheel, the sentence names the Pythons that it has some for."""
    from mwms.ready import without_tensorflow

    missing = "tensorflow is not installed"

    assert "pip install -r payload/requirements-tensorflow.txt" in without_tensorflow(missing, (3, 12))
    text = without_tensorflow(missing, (3, 14))
    assert "Python 3.14: tensorflow is not installed" in text
    assert "Python 3.11 to 3.13" in text
