"""The line that `plan` prints, in a shell, with the real client; and what a terminal picks for it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

from cloud import plan as planning
from cloud.stack.launch import environment_file
from cloud.stack.launch.survey import survey
from tests.openstack.conftest import environment
from tests.openstack.planning import KEY, flags, machines, planned, run_line
from tests.terminal import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.openstack.conftest import Hotrun, Template
    from tests.openstack.projects import Project


def test_what_a_stack_takes_is_what_was_counted(project: Project, hotrun: Hotrun, template: Template) -> None:
    """With quotas that leave exactly the room that the plan asked for, the stack is made."""
    path = template(workers=1)
    _, found = planned(hotrun, path, "--name", "exact")
    names = ("instances", "ports", "networks", "subnets", "routers", "floating_ips")
    project.set_quota(**{name: found["needs"][name] for name in names})
    run_line(project, found["command"], path.parent)

    assert machines(project, "exact") == ["CREATE_COMPLETE"] * 2


def test_the_printed_line_makes_the_stack(project: Project, hotrun: Hotrun, template: Template) -> None:
    """The very line, in a shell, with the real client: values with quotes, blanks and semicolons arrive."""
    project.connection.compute.create_keypair(name="laptop", public_key=KEY)
    awkward = "--title 'a; b' --x \"$HOME `id`\""
    path = template(workers=1)
    chosen = {"workers": 2, "key_name": "laptop"}
    environment_file.write(path.parent / "my file.yml", chosen)
    given = ["--environment", "my file.yml", "--name", "by-hand", *flags({"args": awkward})]
    code, found = planned(hotrun, path, *given)
    run_line(project, found["command"], path.parent)

    assert code == 0
    stack = project.cloud.stack("by-hand")
    assert stack is not None
    assert stack.is_ours
    told = {name: stack.parameters[name] for name in ("args", "workers", "key_name")}
    assert told == {"args": awkward, "workers": "2", "key_name": "laptop"}


def test_a_terminal_picks_what_is_missing(project: Project, template: Template, place: Path) -> None:
    """From the cloud's own lists; Heat's own client takes the file that keeps it."""
    project.connection.compute.create_keypair(name="laptop", public_key=KEY)
    path = template(workers="0", image="no-such", master_flavor="c4.large")
    screen = typed(place, project, path, [b"tiny", b"m1.tiny"])
    kept = environment_file.read(place / "kept.yml")
    project.openstack("stack", "create", "--dry-run", "-t", str(path), "-e", str(place / "kept.yml"), "x")

    assert kept == {"image": "tiny", "master_flavor": "m1.tiny", "key_name": "laptop"}
    assert "image no-such is not on this cloud" in screen
    assert "key laptop: your only key pair" in screen
    found = survey(project.cloud, planning.make(path.read_text(), kept), "x")
    assert found.is_ready, found.problems
    assert found.parameters == kept


CHOOSES = """
import sys
from pathlib import Path
from cloud import plan
from cloud.stack.login.access import connect
from cloud.stack.launch.choose import choose
from cloud.ui import Ui
choose(connect(), plan.make(Path(sys.argv[1]).read_text()), Ui(), Path("kept.yml"))
print("chosen")
"""


def typed(place: Path, project: Project, template: Path, answers: list[bytes]) -> str:
    """What a terminal shows while answers are typed."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", CHOOSES, str(template)],
        cwd=place, stdin=other, stdout=other, stderr=other, start_new_session=True,
        env={**environment(place), **project.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm"},
    )  # fmt: skip
    os.close(other)
    screen = ""
    for answer in answers:
        screen += until(main, "): ")
        os.write(main, answer + b"\n")
    screen += until(main, "chosen")
    assert process.wait(60) == 0
    os.close(main)
    return screen
