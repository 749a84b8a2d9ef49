"""What ends a start: values, addresses, peers and packages that are not to be had. One sentence each, no traceback."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines.tensorflow.workers import PROGRAM, alone, clean_environment, start
from tests.ports import free_ports

pytestmark = pytest.mark.payload


@pytest.mark.parametrize(
    ("words", "environment", "told"),
    [
        (["--net", "lenet"], {}, "--net: no net is called lenet"),
        (["--data", "mnits"], {}, "did you mean mnist?"),
        (["--batch-size", "0", "--epochs", "-1"], {}, "--epochs -1"),
        (["--checkpoint-every", "2 parsecs"], {}, "--checkpoint-every"),
        (["--wait", "0"], {}, "--wait 0"),
        (["--workers", "a:1,b:2"], {}, "--index is missing"),
        ([], {"TF_CONFIG": "{"}, "TF_CONFIG is not JSON"),
        ([], {"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 3}}'}, "index is 3"),
    ],
)  # fmt: skip
def test_a_value_that_no_run_can_have(
    tmp_path: Path, words: list[str], environment: dict[str, str], told: str
) -> None:
    """Exit code 2, before TensorFlow is imported, with the flag or variable by its name."""
    done = alone(tmp_path, *words, **environment)

    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_without_tensorflow(tmp_path: Path) -> None:
    """A Python that lacks TensorFlow says which command installs it."""
    done = subprocess.run([sys.executable, "-S", str(PROGRAM)], cwd=tmp_path, text=True, check=False,
                          capture_output=True, env=clean_environment())  # fmt: skip

    assert done.returncode == 1
    this = f"{sys.version_info[0]}.{sys.version_info[1]}"
    sentence = f"TensorFlow can't be imported by Python {this}: tensorflow is not installed"
    assert done.stderr == f"{sentence}; pip install -r payload/requirements-tensorflow.txt\n"


def test_a_missing_worker_is_named(tmp_path: Path, mnist_root: Path) -> None:
    """TensorFlow waits for ever for a worker that was not started; --wait ends that, with its address."""
    workers = start(tmp_path, "--root", str(mnist_root), "--wait", "3", count=3, indexes=(0, 1))

    assert workers.wait() == [1, 1]
    for index in (0, 1):
        assert f"worker 2 ({workers.addresses[2]}) did not answer within 3 s" in workers.err(index)
        assert "Traceback" not in workers.err(index)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """A worker whose own port belongs to another program says so."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        own = f"127.0.0.1:{taken.getsockname()[1]}"
        done = alone(tmp_path, "--workers", f"{own},127.0.0.1:{free_ports(1)[0]}", "--index", "0")

    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[-1]
        == f"{own}, the address of this worker: another program listens at that port"
    )


def test_data_that_one_worker_lacks_end_all(tmp_path: Path, mnist_root: Path) -> None:
    """The worker that can't have its data says why, and the other one says who it was, with the same words."""
    (tmp_path / "file").write_text("no directory")
    words_of = {0: ["--root", str(mnist_root)], 1: ["--root", str(tmp_path / "file")]}
    workers = start(tmp_path, words_of=words_of)

    assert workers.wait() == [1, 1]
    (why,) = workers.err(1).splitlines()
    assert why.startswith(str(tmp_path / "file"))
    assert workers.err(0).splitlines() == [f"worker 1 ({workers.addresses[1]}): {why}"]


def test_workers_with_other_flags_do_not_train(tmp_path: Path, mnist_root: Path) -> None:
    """Before anything is trained all workers end, and each names the one that stands apart."""
    workers = start(tmp_path, "--root", str(mnist_root), words_of={1: ["--seed", "2"]})

    assert workers.wait() == [1, 1]
    sentence = (
        f"settings: worker 1 ({workers.addresses[1]}) has others than worker 0; all must be started alike"
    )
    assert [workers.err(index).splitlines()[-1] for index in (0, 1)] == [sentence] * 2
