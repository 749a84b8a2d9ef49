from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from cloud.stack.shell.viewer import Viewer
from tests.openstack.reached import reached


def test_logs_come_from_consoles_then_from_the_machines(
    project: Any, template: Any, hotrun: Any, tmp_path: Path
) -> None:
    """Before the master reported Nova's consoles are shown, then the machines' own logs, as one stream."""
    with reached(project, template(), tmp_path / "site", cidr="10.64.0.0/24") as site:
        early = hotrun("logs", "digits")
        assert (early.returncode, "no ssh: " in early.stderr) == (0, True), early.stderr
        assert "FAKE CONSOLE OUTPUT" in early.stdout
        site.tell_gate()
        site.training()
        site.log("master", "train", "I am the master\n")
        site.log("worker-1", "train", "I am worker-1\n")
        stack = project.cloud.stack("digits")
        with contextlib.closing(Viewer(project.cloud, site.key)) as viewer:
            looked = viewer.look(stack)
        assert looked is not None
        assert (looked["phase"], looked["lines"][-1]["text"]) == ("running", "I am the master")
        shown = hotrun("logs", "digits", "-i", str(site.key))
        assert sorted(shown.stdout.splitlines()) == ["master   │ I am the master", "worker-1 │ I am worker-1"]
        only = hotrun("logs", "digits", "--node", "worker-1", "-i", str(site.key))
        assert only.stdout == "worker-1 │ I am worker-1\n"
