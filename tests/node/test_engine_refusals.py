"""What Ray or TensorFlow can't be started with has a name before they are: versions, ports, shared memory."""

from __future__ import annotations

import dataclasses
import socket

import pytest

from cloud.node import uv
from cloud.node.failure import StageFailed
from cloud.node.gate import difference
from tests.node.test_engines import PLACE, launched

# The last lines of `uv pip compile` 0.13.8 with Pythons that these packages have no wheel for.
RAY = """\
error: No solution found when resolving dependencies
  cause: Because ray==2.60.0 has no wheels with a matching Python ABI tag (e.g., `cp315`) and you require ray==2.60.0, we can conclude that your requirements are unsatisfiable.

hint: You require CPython 3.15 (`cp315`), but we only found wheels for `ray` (v2.60.0) with the following Python ABI tags: `cp310`, `cp311`, `cp312`, `cp313`, `cp314`
"""
TENSORFLOW = """\
error: No solution found when resolving dependencies
  cause: Because tensorflow-cpu==2.21.0 has no wheels with a matching Python ABI tag (e.g., `cp314`) and you require tensorflow-cpu==2.21.0, we can conclude that your requirements are unsatisfiable.

hint: You require CPython 3.14 (`cp314`), but we only found wheels for `tensorflow-cpu` (v2.21.0) with the following Python ABI tags: `cp310`, `cp311`, `cp312`, `cp313`
"""


@pytest.mark.parametrize(
    ("said", "package", "tags"),
    [
        (RAY, "ray` (v2.60.0)", "`cp310`, `cp311`, `cp312`, `cp313`, `cp314`"),
        (TENSORFLOW, "tensorflow-cpu` (v2.21.0)", "`cp310`, `cp311`, `cp312`, `cp313`"),
    ],
)
def test_a_python_without_a_wheel_is_told_with_those_that_have_one(
    said: str, package: str, tags: str
) -> None:
    """In uv's own words, which end with the package and the Pythons to choose an image by."""
    found = uv.explained(said.splitlines()).problem

    assert found["code"] == "environment-failed"
    assert found["what"].endswith(f"wheels for `{package} with the following Python ABI tags: {tags}")


@pytest.mark.parametrize(
    ("facts", "code", "what"),
    [
        ({"python": "3.11.9"}, "python-differs", "worker-1 has another Python: 3.11.9 instead of 3.11.2"),
    ],
)
def test_a_python_that_ray_does_not_mix_is_told_at_the_gate(
    facts: dict[str, str], code: str, what: str
) -> None:
    """To the last number: Ray on the worker would end in mid-start, with a traceback."""
    like = {"python": "3.11.2", "kind": "cpu", "lock": "l"}
    found = difference([like, {**like, **facts}, like], [0.0] * 3)

    assert found is not None
    assert (found[0], found[1]["code"], found[1]["what"], bool(found[1]["fix"])) == (1, code, what, True)


@pytest.mark.parametrize("node_rank", [0, 1])
def test_a_port_of_ray_that_another_program_has_is_named(
    node_rank: int,
) -> None:
    """On 127.0.0.1 alone too, as Ray listens on all addresses; on the master and on a worker."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StageFailed) as raised:
            launched("ray", place=dataclasses.replace(PLACE, node_rank=node_rank, service_ports=port - 2))

    found = raised.value.problem
    assert found["code"] == "port-taken"
    assert found["what"].startswith(f"port {port} can't be used: [Errno 98] ")


@pytest.mark.parametrize("free", [0, 64 << 20])
def test_too_little_shared_memory_is_told_before_ray_goes_to_the_disk(free: int) -> None:
    """As in a container with Docker's 64 MB."""
    with pytest.raises(StageFailed) as raised:
        launched("ray", place=dataclasses.replace(PLACE, shared_memory_bytes=free))

    found = raised.value.problem
    words = f"/dev/shm has {free >> 20} MB free, and Ray needs 100"
    assert (found["code"], found["what"]) == ("shared-memory-short", words)
    assert found["fix"]
