"""From a template to trained files with a browser alone: upload, fill, launch, read the page, delete.

Nova's machines run their own user data (tests/openstack/machines): the node program, torch, sshd and the signals
are real.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.horizon.dashboard import Dashboard
    from tests.horizon.pictures import Pictures
    from tests.horizon.seen import Overview
    from tests.openstack.conftest import Template
    from tests.openstack.machines.watch import Watch
    from tests.openstack.projects import Project

pytestmark = pytest.mark.rehearsal
TRAINS_S = 600.0
STACKS = {"digits": 2, "alone": 0}  # workers by name
OUTPUTS = "#stack_details__overview dl:nth-of-type(3)"


@pytest.fixture(scope="module")
def launched(window: Dashboard, people: dict[str, Project], machines: Watch, template: Template) -> Dashboard:
    """Two stacks, launched by clicks one after the other from one template."""
    assert not machines.failure
    busy = people["busy"]
    window.log_in(busy.name, busy.environ["OS_PASSWORD"])
    path = template(workers=2, args="--steps 20 --say first")
    for name, workers in STACKS.items():
        window.open_form(path)
        assert window.launch(name, workers=workers) is None
    return window


@pytest.fixture
def dashboard(launched: Dashboard) -> Dashboard:
    """Horizon, in which they are."""
    return launched


@pytest.mark.parametrize("name", STACKS)
def test_machines_train_and_the_page_says_what_came_of_it(
    dashboard: Dashboard, machines: Watch, pictures: Pictures, name: str
) -> None:
    """State, a row for every machine, the result, and the lines that people copy: all on the page, each for itself."""
    seen = _ended(dashboard, machines, name)
    if name == "digits":
        pictures.take(dashboard.browser, "stack", until=OUTPUTS)
    size = STACKS[name] + 1
    shown = seen.outputs
    assert seen.status == "Create_Complete"
    assert f"world size {size} of {size}" in shown["state"]
    assert shown["state"].startswith("done: ")
    assert "test_accuracy 0.9797" in shown["result"]
    rows = shown["machines"].splitlines()[1:]
    names = ["master", *(f"worker-{rank}" for rank in range(1, size))]
    assert sorted(row.split()[0] for row in rows) == names
    assert shown["ssh"] == f"ssh ubuntu@{shown['floating_ip']}"
    assert f"hotrun fetch {name}" in shown["files"]
    assert "powers off" in shown["power_off"]
    assert "deleted" in shown["costs"]


def test_the_lines_of_the_page_bring_the_files(
    dashboard: Dashboard, machines: Watch, key: Path, tmp_path: Path
) -> None:
    """Copied as they stand into a shell, with the key: no program of ours is needed."""
    files = _ended(dashboard, machines, "digits").outputs["files"]
    lines = [line for line in files.splitlines() if line.startswith(("ssh ", "scp "))]
    done = subprocess.run(
        ["sh", "-e", "-c", "\n".join(lines)], cwd=tmp_path, env=_with_key(key, tmp_path), capture_output=True,
        text=True, check=False, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    with tarfile.open(tmp_path / "results.tar.gz") as archive:
        names = {name.rpartition("/")[2] for name in archive.getnames()}
    assert {"net.pt", "said.txt", "result.json"} <= names


@pytest.mark.parametrize("name", STACKS)
def test_the_events_repeat_what_the_master_signalled(
    dashboard: Dashboard, machines: Watch, name: str
) -> None:
    """The reason of each signal can be read there: that all machines met, then that the run is over."""
    _ended(dashboard, machines, name)
    reasons = [event.reason for event in dashboard.events(name) if event.reason.startswith("Signal: ")]
    size = STACKS[name] + 1
    assert len(reasons) == 2, reasons  # the newest first
    assert f"world size {size} of {size}" in reasons[0]
    assert "every machine is ready" in reasons[1]
    assert all("status:SUCCESS" in reason for reason in reasons)


def test_delete_leaves_nothing(
    dashboard: Dashboard, machines: Watch, busy: Project, pictures: Pictures
) -> None:
    """Deleted by the menu of its row; then the project owns nothing, and no machine runs."""
    dashboard.stacks()
    pictures.take(dashboard.browser, "stacks")
    for name in STACKS:
        dashboard.delete(name)
    for name in STACKS:
        dashboard.wait_until_gone(name)
    network = busy.admin.network
    mine = {"project_id": busy.id}
    kinds = (network.ports, network.networks, network.routers, network.ips)
    assert [list(kind(**mine)) for kind in kinds] == [[], [], [], []]
    servers = busy.connection.compute.servers
    dashboard.browser.until(
        "Nova to list no server", lambda: not list(servers())
    )  # one that is busy lists deleted ones
    assert not machines.failure
    dashboard.browser.until("the machines to end", lambda: not machines.running)


def _ended(dashboard: Dashboard, machines: Watch, name: str) -> Overview:
    """The page of a stack whose run is over, reloaded again and again; the consoles say why it took too long."""

    def ended() -> Overview | None:
        seen = dashboard.overview(name)
        return seen if seen.outputs["state"].startswith(("done", "failed")) else None

    try:
        dashboard.wait_for(name, "Create Complete", TRAINS_S)
        found: Overview = dashboard.browser.until(f"the end of {name}", ended, TRAINS_S)
    except (TimeoutError, AssertionError) as error:
        raise AssertionError(f"{error}\n{machines.log('master')[-3000:]}") from error
    return found


def _with_key(key: Path, folder: Path) -> dict[str, str]:
    """An environment whose ssh and scp take this key and meet every host for the first time."""
    config = folder / "ssh.config"
    config.write_text(
        f"IdentityFile {key}\nStrictHostKeyChecking no\nUserKnownHostsFile {folder / 'known'}\nBatchMode yes\n"
    )
    programs = folder / "bin"
    programs.mkdir()
    for name in ("ssh", "scp"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec /usr/bin/{name} -F {config} "$@"\n')
        program.chmod(0o755)
    return {**os.environ, "PATH": f"{programs}:{os.defpath}"}
