"""What ray_train.py can't do is one sentence and an exit code; and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines.ray.conftest import TwoNodes, needs_ray
from tests.engines.ray.drivers import PAYLOAD, Driver, below, clean_environment, is_alive, wait

pytestmark = [pytest.mark.payload, needs_ray]


def refused(driver: Driver, code: int, *said: str) -> None:
    """It ended so, with a last line that has these words, and no traceback."""
    assert driver.wait() == code, driver.out + driver.err
    for words in said:
        assert words in driver.errors[-1]
    assert "Traceback" not in driver.err


@pytest.mark.parametrize(("words", "said"), [
    (["--workers", "0"], "--workers 0: 1 or more"),
    (["--net", "mlp-10"], "did you mean mlp-100?"),
    (["--max-failures", "-1"], "--max-failures -1: 0 or more"),
    (["--epochs", "0"], "--epochs 0"),
])  # fmt: skip
def test_a_value_that_no_run_can_have_is_named(words: list[str], said: str) -> None:
    """With its flag."""
    from rays.options import options_of
    from recipe import ChoiceError

    with pytest.raises(ChoiceError, match=re.escape(said)):
        options_of(words)


def test_a_bad_flag_is_refused_before_ray_is_asked(tmp_path: Path) -> None:
    """Exit 2, with the flag and its value."""
    refused(Driver(tmp_path, "--wait", "soon"), 2, "--wait soon: 90, 120s, 10min, 1h are possible")


@pytest.mark.parametrize(("address", "said"), [
    ("ray://127.0.0.1:10001", "it runs on a machine of the cluster"), ("nowhere", "HOST:PORT or auto is needed"),
])  # fmt: skip
def test_what_is_no_address_is_named(address: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, with the address."""
    from rays.cluster import connected
    from rays.words import ClusterError

    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ClusterError, match=re.escape(f"RAY_ADDRESS {address}") + f".*{re.escape(said)}"):
        connected(1, 1.0, logs=False).__enter__()


def test_an_address_without_a_cluster_is_refused(mnist_root: Path, tmp_path: Path) -> None:
    """Exit 3 after --wait, with the address."""
    refused(Driver(tmp_path, "--wait", "1s", RAY_ADDRESS="127.0.0.1:1", HOTRUN_DATA_DIR=str(mnist_root)),
            3, "RAY_ADDRESS 127.0.0.1:1", "nobody answered in 1 s")  # fmt: skip


def test_another_token_is_refused(cluster: TwoNodes, mnist_root: Path, tmp_path: Path) -> None:
    """Ray's own words come once a second for a while; one sentence is left of them."""
    driver = Driver(tmp_path, "--workers", "2", **{**cluster.environment, "RAY_AUTH_TOKEN": secrets.token_hex(32)},
                    HOTRUN_DATA_DIR=str(mnist_root))  # fmt: skip
    refused(
        driver, 3, f"RAY_ADDRESS {cluster.address}: the token is missing or another one", "RAY_AUTH_TOKEN"
    )
    assert "InvalidAuthToken" not in driver.err


def test_too_few_machines_end_the_run_at_the_deadline(
    cluster: TwoNodes, mnist_root: Path, tmp_path: Path
) -> None:
    """Ray would wait for ever; here the wait is told when it begins, and what is missing when it ends."""
    driver = Driver(tmp_path, "--workers", "5", "--wait", "2s", **cluster.environment, HOTRUN_NNODES="3",
                    HOTRUN_DATA_DIR=str(mnist_root))  # fmt: skip
    refused(driver, 3, "after 2 s room for 3 of 5 workers (1 CPU each) and 1 of 3 machines missing")
    assert "waiting up to 2 s: " in driver.out
    assert not list(driver.run.glob("*"))


def test_ray_that_is_not_installed_is_named(tmp_path: Path) -> None:
    """Exit 2, with the line that installs it."""
    code = ("import runpy, sys\nsys.modules['ray'] = None\n"
            f"sys.path.insert(0, {str(PAYLOAD)!r})\nsys.argv = ['ray_train.py']\n"
            f"runpy.run_path({str(PAYLOAD / 'ray_train.py')!r}, run_name='__main__')")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                          env=clean_environment(), timeout=300)  # fmt: skip
    assert done.returncode == 2
    assert "Ray is not installed here" in done.stderr
    assert "pip install -r payload/requirements-ray.txt" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="a small /dev/shm of one's own needs root"
)
def test_a_small_dev_shm_is_refused(mnist_root: Path, tmp_path: Path) -> None:
    """As in a container with Docker's 64 MB; Ray would go to the disk with it."""
    script = f'mount -t tmpfs -o size=64m none /dev/shm && exec "{sys.executable}" "{PAYLOAD}/ray_train.py"'
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False,
                          cwd=tmp_path, timeout=300,
                          env={**clean_environment(), "HOTRUN_DATA_DIR": str(mnist_root)})  # fmt: skip
    assert done.returncode == 3, done.stdout + done.stderr
    assert "/dev/shm has 64 MB free, and Ray's object store needs" in done.stderr


def test_other_versions_are_told_apart_in_one_sentence() -> None:
    """From what Ray itself raises where a driver's Ray or Python is not the cluster's."""
    from ray._private import utils
    from rays.words import refused as sentence

    here = utils.compute_version_info()
    theirs = {"ray_version": "2.9.0", "python_version": "3.11.1", "ray_commit": "x"}
    with pytest.raises(RuntimeError, match="Version mismatch") as raised:
        utils.check_version_info(theirs, "process 1", raise_on_mismatch=True)
    said = sentence(raised.value, "10.0.0.1:6379")
    assert said.startswith("RAY_ADDRESS 10.0.0.1:6379 runs Ray 2.9.0 on Python 3.11.1, this program has Ray ")
    assert here[0] in said


def test_ctrl_c_leaves_nothing_behind(mnist_root: Path, tmp_path: Path) -> None:
    """Exit 130; the Ray that was started for the run has ended, every process of it."""
    driver = Driver(tmp_path, "--workers", "2", "--epochs", "1000", HOTRUN_DATA_DIR=str(mnist_root))
    driver.until("epoch 1/")
    started = below(driver.process.pid)
    assert len(started) > 3
    driver.interrupt()
    assert driver.wait() == 130, driver.err
    assert "Traceback" not in driver.err
    wait(lambda: not any(map(is_alive, started)), "the end of every process")
