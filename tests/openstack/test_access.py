"""Ways in, and what is said where there is none: the real openstacksdk, the real Keystone, the real program's function."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.openstack import faults_page
from tests.openstack.conftest import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.openstack.projects import Project

CONNECT = """
import sys
from cloud.errors import HotrunError
from cloud.stack.login.access import connect
from cloud.ui import Ui
try:
    print(connect(*sys.argv[1:], note=print).label)
except HotrunError as error:
    Ui(program="hotrun").failure(error)
    sys.exit(error.exit_code)
"""
Ended = subprocess.CompletedProcess[str]


@pytest.fixture
def ask(place: Path) -> Callable[..., Ended]:
    """Log in from a fresh folder with nothing but the given variables."""

    def run(environ: dict[str, str], *cloud: str) -> Ended:
        outer = {name: value for name, value in environment(place).items() if name != "OS_CLIENT_CONFIG_FILE"}
        command = [sys.executable, "-W", "error", "-c", CONNECT, *cloud]
        whole = {**outer, "PYTHONPATH": str(ROOT), **environ}
        done = subprocess.run(
            command, cwd=place, env=whole, capture_output=True, text=True, check=False, timeout=120
        )
        faults_page.note(("status",), done.returncode, done.stdout, done.stderr)  # it logs in the same way
        return done

    return run


def clouds(project: Project, name: str = "lab", **auth: str) -> str:
    """A clouds.yaml of one cloud."""
    region, words = project.login()
    listed = "".join(f"      {key}: '{value}'\n" for key, value in {**words, **auth}.items())
    return f"  {name}:\n    region_name: {region}\n    auth:\n{listed}"


def refused(ended: Ended, code: str, *words: str, secret: str = "") -> None:
    """Exit code 4, the code's page, the words, no traceback and no secret."""
    assert ended.returncode == 4, ended.stdout + ended.stderr
    assert f"docs/errors.md#{code}" in ended.stderr
    for word in words:
        assert word in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not secret or secret not in ended.stdout + ended.stderr


def test_variables_are_a_way_in(project: Project, ask: Callable[..., Ended]) -> None:
    """OS_* of an RC file."""
    ended = ask(project.environ)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"project {project.name}" in ended.stdout


def test_clouds_yaml_is_a_way_in(project: Project, ask: Callable[..., Ended], place: Path) -> None:
    """One cloud of clouds.yaml needs no name; of two, OS_CLOUD or the argument chooses."""
    (place / "clouds.yaml").write_text("clouds:\n" + clouds(project))
    assert ask({}).stdout.startswith("lab / ")
    (place / "clouds.yaml").write_text("clouds:\n" + clouds(project) + clouds(project, "home"))
    assert ask({"OS_CLOUD": "home"}).stdout.startswith("home / ")
    assert ask({}, "lab").stdout.startswith("lab / ")
    refused(ask({}), "cloud-not-chosen", "lab, home", "export OS_CLOUD=lab")
    refused(
        ask({"OS_CLOUD": "hone"}), "unknown-cloud", "cloud hone is in no clouds.yaml", "did you mean home?"
    )


def test_an_application_credential_is_a_way_in(
    project: Project, ask: Callable[..., Ended], place: Path
) -> None:
    """By variables, beside a clouds.yaml of one other cloud, which is not mixed into it; a wrong one says so."""
    made = project.connection.identity.create_application_credential(user=project.user_id, name="robot")
    words = {
        "OS_AUTH_TYPE": "v3applicationcredential", "OS_AUTH_URL": project.environ["OS_AUTH_URL"],
        "OS_APPLICATION_CREDENTIAL_ID": made.id, "OS_APPLICATION_CREDENTIAL_SECRET": made.secret,
        "OS_REGION_NAME": project.environ["OS_REGION_NAME"],
    }  # fmt: skip
    (place / "clouds.yaml").write_text("clouds:\n" + clouds(project, password="sesame-open"))
    assert f"project {project.name}" in ask(words).stdout
    wrong = ask({**words, "OS_APPLICATION_CREDENTIAL_SECRET": "sesame-open"})
    refused(wrong, "login-refused", "application credential is wrong", secret="sesame-open")


def test_nothing_configured(ask: Callable[..., Ended]) -> None:
    """Which folders and variables were looked at, and both ways that work on Chameleon."""
    refused(
        ask({}), "no-cloud", "no clouds.yaml in", "no OS_* variable is set", "OS_CLOUD", "openrc.sh", "ccauth"
    )


def test_a_wrong_password(project: Project, ask: Callable[..., Ended]) -> None:
    """Keystone's words, the names of what was set, no value."""
    ended = ask({**project.environ, "OS_PASSWORD": "sesame-open"})
    refused(ended, "login-refused", "does not accept this login", "OS_PASSWORD", secret="sesame-open")


def test_an_unknown_project(project: Project, ask: Callable[..., Ended]) -> None:
    """Keystone says the same as of a wrong password; the hint says that it may be the project."""
    refused(
        ask({**project.environ, "OS_PROJECT_NAME": "nosuch"}),
        "login-refused",
        "project or one of their domains",
    )


def test_no_project(project: Project, ask: Callable[..., Ended]) -> None:
    """A login without a project reaches nothing, and says what to set."""
    words = {name: value for name, value in project.environ.items() if not name.startswith("OS_PROJECT")}
    project.admin.identity.update_user(project.user_id, default_project_id=None)
    refused(ask(words), "no-project", "OS_PROJECT_NAME")


def test_an_unknown_region(project: Project, ask: Callable[..., Ended]) -> None:
    """The regions that there are, and the near miss."""
    region = project.environ["OS_REGION_NAME"]
    refused(
        ask({**project.environ, "OS_REGION_NAME": region + "s"}), "unknown-region", f"did you mean {region}?"
    )


def test_a_cloud_without_heat(project: Project, ask: Callable[..., Ended]) -> None:
    """The catalogue has no Heat for the interface that was asked for; nothing can be made there."""
    refused(ask({**project.environ, "OS_INTERFACE": "nosuch"}), "no-heat", "has no Heat in its catalogue")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9/v3", "the connection was refused"),
        ("http://keystone.invalid:5000/v3", "its name is unknown here"),
    ],
)
def test_a_keystone_out_of_reach(project: Project, ask: Callable[..., Ended], url: str, words: str) -> None:
    """Asked again for a little while, which is said; then the address and why."""
    ended = ask({**project.environ, "OS_AUTH_URL": url})
    refused(ended, "keystone-unreachable", words)
    assert "Keystone does not answer; asking again" in ended.stdout


def test_a_wrong_path_is_no_keystone(project: Project, ask: Callable[..., Ended]) -> None:
    """Something answers there, but it is no Keystone."""
    url = project.environ["OS_AUTH_URL"].replace("/v3", "/nope")
    refused(ask({**project.environ, "OS_AUTH_URL": url}), "keystone-unreachable", "is no Keystone")


@pytest.mark.parametrize("missing", ["OS_PASSWORD", "OS_AUTH_URL"])
def test_an_incomplete_login(project: Project, ask: Callable[..., Ended], missing: str) -> None:
    """What is missing is named as the variable that sets it."""
    words = {name: value for name, value in project.environ.items() if name != missing}
    refused(ask(words), "login-incomplete", missing)


def test_a_plugin_that_is_not_there(project: Project, ask: Callable[..., Ended]) -> None:
    """The auth_type, what brings it, and into which Python."""
    ended = ask({**project.environ, "OS_AUTH_TYPE": "v3chameleonoidc"})
    refused(ended, "login-plugin", "v3chameleonoidc", "ccauth", sys.executable)


@pytest.mark.parametrize(
    "text", ["clouds:\n  lab:\n    auth: {password: sesame\n   x: [\n", "clouds: 3\n", "x: *sesame\n"]
)
def test_a_broken_clouds_yaml(ask: Callable[..., Ended], place: Path, text: str) -> None:
    """File and line, none of its content; no line of openstacksdk's own."""
    (place / "clouds.yaml").write_text(text)
    refused(ask({}), "clouds-yaml-broken", "clouds.yaml", secret="sesame")


def test_a_broken_clouds_yaml_hides_no_variables(
    project: Project, ask: Callable[..., Ended], place: Path
) -> None:
    """OS_* work beside it, and nothing is said."""
    (place / "clouds.yaml").write_text("clouds: [\n")
    ended = ask(project.environ)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_token_is_a_way_in(project: Project, ask: Callable[..., Ended]) -> None:
    """As far as it goes: it can't be renewed, and a dead one says so."""
    words = {
        name: value for name, value in project.environ.items() if name not in {"OS_USERNAME", "OS_PASSWORD"}
    }
    words = {name: value for name, value in words.items() if name != "OS_USER_DOMAIN_NAME"}
    token = {"OS_AUTH_TYPE": "v3token", "OS_TOKEN": project.connection.auth_token}
    assert ask({**words, **token}).returncode == 0
    ended = ask({**words, **token, "OS_TOKEN": "dead" + os.urandom(8).hex()})
    refused(ended, "login-refused", "the token is over")
