from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from cloud.stack import down, record
from cloud.ui import Ui
from tests.openstack import ending, faults_page
from tests.openstack.conftest import PROGRAM, environment
from tests.openstack.ending import NAME

if TYPE_CHECKING:
    from pathlib import Path

    from tests.openstack.conftest import Hotrun, Template
    from tests.openstack.projects import Project

OTHER = "heat_template_version: 2018-08-31\nresources: {word: {type: 'OS::Heat::RandomString'}}\n"


def test_down_leaves_nothing_and_keeps_unfetched_results(
    project: Project, template: Template, hotrun: Hotrun, place: Path
) -> None:
    """A near miss is suggested; results not fetched are exit 3 with both ways on; then every id is gone."""
    stack = ending.made(project.cloud, template())
    ending.tell(project.cloud, stack, "gate", "running")
    ending.until(project.cloud, NAME, "CREATE_COMPLETE")
    done = hotrun("down", "digit")
    assert (done.returncode, "did you mean digits?" in done.stderr) == (3, True), done.stderr
    done = hotrun("down", NAME)
    assert done.returncode == 3, done.stderr
    assert "trains now" in done.stderr
    ending.tell(project.cloud, stack, "result", "done")
    done = hotrun("down", NAME)
    assert done.returncode == 3, done.stderr
    assert "fetch digits" in done.stderr
    assert "down digits --discard" in done.stderr
    done = hotrun("down", NAME, "--discard", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["left"] == []
    kept = record.read(place / "runs", NAME)
    assert kept is not None
    assert not any(project.cloud.exists(*pair) for pair in kept.resources)
    done = hotrun("down", NAME)
    assert (done.returncode, "gone already" in done.stderr) == (0, True), done.stderr


def test_a_down_that_was_killed_is_finished_by_the_next(
    project: Project, template: Template, hotrun: Hotrun, place: Path
) -> None:
    """SIGKILL while Heat deletes: what the first had recorded, the second asks for."""
    ending.made(project.cloud, template())
    command = [sys.executable, str(PROGRAM), "down", NAME]
    killed = subprocess.Popen(
        command, cwd=place, env={**environment(place), **project.environ}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        ending.until_so(lambda: (found := project.cloud.stack(NAME)) is None or found.action == "DELETE")
    finally:
        killed.kill()
        killed.wait()
    done = hotrun("down", NAME)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = record.read(place / "runs", NAME)
    assert kept is not None
    assert len([kind for kind, _ in kept.resources if kind == "OS::Nova::Server"]) == 2


def test_a_port_in_the_way_is_named_and_the_delete_goes_on(
    project: Project, template: Template, place: Path
) -> None:
    """Made by hand on the stack's network; named with its command, and once it is removed all goes."""
    stack = ending.made(project.cloud, template(workers=0))
    network = next(one.id for one in project.cloud.resources(stack.id) if one.type == "OS::Neutron::Net")
    port = project.connection.network.create_port(network_id=network, name="byhand", device_id="of-somebody")
    ui = _Listening("in the way")
    ended: list[down.Downed] = []
    deleting = threading.Thread(
        target=lambda: ended.append(down.down(project.cloud, stack, ui, place / "runs", discard=False))
    )
    deleting.start()
    assert ui.heard.wait(120), ui.lines
    assert any(f"openstack port delete {port.id}" in line for line in ui.lines)
    project.connection.network.delete_port(port.id)
    deleting.join(300)
    assert [one.exit_code for one in ended] == [0], ui.lines
    faults_page.note(("down", NAME), 0, "\n".join(ui.lines), "")


def test_what_is_left_at_the_deadline_is_named(project: Project, template: Template, place: Path) -> None:
    """A delete that hangs ends with exit 6, the list, and the command for each thing."""
    stack = ending.made(project.cloud, template(workers=0))
    network = next(one.id for one in project.cloud.resources(stack.id) if one.type == "OS::Neutron::Net")
    port = project.connection.network.create_port(network_id=network)
    found = down.down(project.cloud, stack, Ui(), place / "runs", discard=False, deadline_s=30.0)
    commands = [one.command for one in found.left]
    assert found.exit_code == 6
    assert commands[0] == f"openstack port delete {port.id}"
    assert f"openstack network delete {network}" in commands
    said = [f"{one}: {one.command}" for one in found.left]
    faults_page.note(("down", NAME), 6, "", "\n".join(["still there:", *said]))
    project.connection.network.delete_port(port.id)
    found = down.down(project.cloud, stack, Ui(), place / "runs", discard=False)
    assert (found.exit_code, found.left) == (0, ())


def test_a_stack_of_another_template_needs_yes(project: Project, hotrun: Hotrun) -> None:
    """Nothing of somebody else's is deleted by a slip."""
    project.connection.orchestration.create_stack(name="shop", template=OTHER)
    ending.until(project.cloud, "shop", "CREATE_COMPLETE")
    done = hotrun("down", "shop")
    assert (done.returncode, "not made from a template of hotrun" in done.stderr) == (3, True), done.stderr
    done = hotrun("down", "shop", "--yes")
    assert done.returncode == 0, done.stderr
    assert project.cloud.stack("shop") is None


class _Listening(Ui):
    """Keeps what was said, and rings at a word."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word, self.lines, self.heard = word, list[str](), threading.Event()

    def say(self, text: str = "") -> None:
        """One line."""
        self.lines.append(text)
        if self.word in text:
            self.heard.set()
