from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.openstack.reached import RUN, reached

FILES = {
    "results/model.ckpt": bytes(range(256)) * 9000,
    "logs/worker-1/train.log": b"epoch 1\n",
    "proof/r.json": b"{}",
}


def test_results_come_home_over_ssh(
    project: Any, template: Any, hotrun: Any, place: Path, tmp_path: Path
) -> None:
    """Exit 3 before a machine has spoken, then a snapshot, then everything, remembered as fetched."""
    with reached(project, template(), tmp_path / "site", cidr="10.62.0.0/24") as site:
        fetch = ("fetch", "digits", "-i", str(site.key))
        folder = place / "runs/digits"
        assert hotrun(*fetch).returncode == 3
        site.tell_gate()
        (site.training() / "results/metrics.csv").write_text("epoch\n1\n")
        snapshot = hotrun(*fetch)
        assert (snapshot.returncode, "snapshot" in snapshot.stdout) == (0, True), snapshot.stderr
        assert (folder / "results/metrics.csv").read_text() == "epoch\n1\n"
        site.judged(FILES)
        whole = hotrun(*fetch, "--json")
        assert whole.returncode == 0, whole.stderr
        assert json.loads(whole.stdout)["whole"] is True
        assert (folder / "results/model.ckpt").read_bytes() == FILES["results/model.ckpt"]
        assert json.loads((folder / "cloud.json").read_text())["fetched_run"] == RUN


def test_without_ssh_the_small_results_come_from_heat(
    project: Any, template: Any, hotrun: Any, place: Path, tmp_path: Path
) -> None:
    """The status and the program's own result are there, exit 4 and a sentence say what is not."""
    with reached(project, template(), tmp_path / "site", cidr="10.63.0.0/24", workers=0) as site:
        site.tell("result", {"schema": 1, "attempt": 1, "state": "done", "result": {"accuracy": 0.9}})
        ended = hotrun("fetch", "digits")
        assert ended.returncode == 4
        assert "on the master only" in ended.stderr
        folder = place / "runs/digits"
        assert json.loads((folder / "results/result.json").read_text()) == {"accuracy": 0.9}
        assert json.loads((folder / "status.json").read_text())["state"] == "done"
