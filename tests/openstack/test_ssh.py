from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.openstack.reached import reached


def test_ssh_pins_the_keys_that_the_master_reported(
    project: Any, template: Any, hotrun: Any, place: Path, tmp_path: Path
) -> None:
    """No report, no login; then master and worker answer, ssh's exit code is ours, and another key is refused."""
    with reached(project, template(), tmp_path / "site", cidr="10.61.0.0/24") as site:
        early = hotrun("ssh", "digits", "-i", str(site.key), "--", "true")
        assert (early.returncode, "host-key-unknown" in early.stderr) == (4, True), early.stderr
        site.tell_gate()
        site.log("worker-1", "train", "I am worker-1\n")
        on_worker = hotrun(
            "ssh", "digits", "worker-1", "-i", str(site.key), "--", "cat", "/var/log/hotrun/train.log"
        )
        assert (on_worker.stdout, on_worker.returncode) == ("I am worker-1\n", 0), on_worker.stderr
        assert hotrun("ssh", "digits", "-i", str(site.key), "--", "exit 7").returncode == 7
        printed = hotrun("ssh", "digits", "--print", "-i", str(site.key)).stdout
        assert printed.split()[:2] == ["ssh", "-F"]
        assert (place / "runs/digits/known_hosts").read_text().count("ssh-ed25519") == 2
        other = hotrun("ssh", "digits", "worker-9", "-i", str(site.key))
        assert (other.returncode, "are master and worker-1" in other.stderr) == (2, True), other.stderr
        config = place / "runs/digits/ssh_config"
        assert "StrictHostKeyChecking yes" in config.read_text()
