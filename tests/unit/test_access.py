"""What was tried for a login, sentences without secrets, and the way to openstacksdk."""

from __future__ import annotations

import shlex
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from cloud.errors import NoAccess
from cloud.setup import openstack as setup
from cloud.setup.command import CannotMake, run
from cloud.stack.login import no_access
from cloud.stack.login.access import require_sdk
from cloud.stack.login.tried import tried
from cloud.stack.sdk.patience import Refusal
from cloud.stack.sdk.refused import cloud_error, plain, unreached

if TYPE_CHECKING:
    from pathlib import Path

ONE = "clouds:\n  lab: {auth: {password: sesame}}\n"


def test_files_are_told_with_their_clouds(tmp_path: Path) -> None:
    """Each clouds.yaml that is there is told with the clouds that it names, and variables by name."""
    (tmp_path / "clouds.yaml").write_text(ONE + "  home: {}\n")
    found = tried(
        [str(tmp_path / "clouds.yaml"), "/nowhere/clouds.yaml"], {"OS_PASSWORD": "sesame", "HOME": "/"}
    )
    assert found.clouds == ("lab", "home")
    assert found.lines() == (f"{tmp_path}/clouds.yaml names lab, home", "variables that are set: OS_PASSWORD")


def test_no_file_names_the_folders(tmp_path: Path) -> None:
    """Where nothing is, the folders that were looked at are told, each once."""
    found = tried([str(tmp_path / "clouds.yaml"), str(tmp_path / "clouds.json"), "/nowhere/clouds.yaml"], {})
    assert found.lines() == (f"no clouds.yaml in {tmp_path}, /nowhere", "no OS_* variable is set")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("clouds:\n  lab:\n    auth: {password: sesame\n   x: [\n", "line 4:"),
        ("clouds:\n  lab: {auth: {password: *sesame}}\n", "line 2: found undefined alias something"),
        ("clouds: 3\n", "it has no key `clouds`"),
        ("", "it has no key `clouds`"),
        ("clouds:\n  - lab\n", "it has no key `clouds`"),
        ("\0", "it is no YAML"),
    ],
)
def test_a_broken_file_is_told_without_its_content(tmp_path: Path, text: str, fault: str) -> None:
    """A file that is no clouds.yaml says why and where, and quotes nothing."""
    path = tmp_path / "clouds.yaml"
    path.write_text(text)
    (found,) = tried([str(path)], {}).files
    assert fault in found.fault
    assert "sesame" not in str(found)


def test_openstacksdk_goes_on_with_the_next_file(tmp_path: Path) -> None:
    """A broken file hides no other."""
    (tmp_path / "a.yaml").write_text("clouds: [")
    (tmp_path / "b.yaml").write_text(ONE)
    found = tried([str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")], {})
    assert found.used is not None
    assert found.used.path.endswith("b.yaml")
    assert found.clouds == ("lab",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ERROR: Parameter 'workers' is invalid: no.", "Parameter 'workers' is invalid: no."),
        ("It failed. (HTTP 401) (Request-ID: req-7)", "It failed."),
        ("No room. Neutron server returns request_ids: ['req-7']", "No room."),
        ("BadRequestException: 400: Client Error for url: http://a/b?c=d, Not so.", "Not so."),
        ("at https://you:sesame@cloud.example/v3", "at https://cloud.example/v3"),
        ("X-Auth-Token: abcdef", "X-Auth-Token: …"),
        ("token gAAAAABmZmZmZmZmZmZmZmZmZmZmZg== was", "token … was"),
        ("", "no reason was given"),
    ],
)
def test_a_sentence_has_no_noise_and_no_secret(text: str, expected: str) -> None:
    """Addresses of requests, request ids, tokens and passwords are taken out."""
    assert plain(text) == expected


def test_why_nobody_answered_is_short() -> None:
    """The usual causes have words of their own."""
    assert unreached("[Errno 111] Connection refused") == "the connection was refused"
    assert unreached("Failed to resolve 'x'") == "its name is unknown here"
    assert unreached("Read timed out. (read timeout=90)") == "no answer in time"
    assert unreached("strange") == ""


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        (0, "no answer in time", "cloud-unreachable"),
        (400, "No.", "cloud-refused"),
        (401, "No.", "login-over"),
        (403, "Policy says no.", "cloud-forbids"),
        (403, "Quota exceeded for instances", "cloud-quota"),
        (404, "The Stack (x) could not be found.", "cloud-refused"),
        (409, "The Stack (x) already exists.", "cloud-refused"),
        (503, "Later.", "cloud-stumbles"),
    ],
)
def test_a_refusal_becomes_one_problem_with_the_clouds_sentence(status: int, said: str, code: str) -> None:
    """Status, who said it, what was asked and the sentence."""
    error = cloud_error(Refusal(status, said, service="Heat"), "make the stack x")
    assert (error.status, error.problems[0].code) == (status, code)
    assert "Heat" in error.problems[0].what
    assert said in error.problems[0].what


def test_a_wheel_says_the_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pins beside it nothing is made: exit code 4 and what to type."""
    monkeypatch.setattr(setup, "has_sdk", lambda: False)
    monkeypatch.setattr(setup, "is_checkout", lambda: False)
    with pytest.raises(NoAccess) as failed:
        require_sdk()
    assert (
        failed.value.problems[0].fix
        == f"type: {shlex.quote(sys.executable)} -m pip install 'openstacksdk>=4'"
    )


def test_a_checkout_goes_on_in_an_environment_with_the_same_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Made once, then this command again by the door."""
    became: list[object] = []
    monkeypatch.setattr(setup, "has_sdk", lambda: False)
    monkeypatch.setattr(setup, "environment", lambda: "/elsewhere/.build/cloud/bin/python")
    monkeypatch.setattr(setup.bootstrap, "become", lambda *words: became.extend(words))
    monkeypatch.setattr(sys, "argv", ["hotrun", "up", "template.yml", "--name", "a b"])
    require_sdk()
    assert became == [
        "/elsewhere/.build/cloud/bin/python",
        [setup.DOOR, "up", "template.yml", "--name", "a b"],
    ]


def test_an_environment_that_cannot_be_made_is_no_access(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence and exit code 4."""

    def fails() -> str:
        raise CannotMake("openstacksdk can't be installed: no network\n  more")

    monkeypatch.setattr(setup, "has_sdk", lambda: False)
    monkeypatch.setattr(setup, "environment", fails)
    with pytest.raises(NoAccess) as failed:
        require_sdk()
    assert failed.value.problems[0].what == "openstacksdk can't be installed: no network"


def test_nothing_happens_where_openstacksdk_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual case costs nothing."""
    monkeypatch.setattr(setup, "has_sdk", lambda: True)
    require_sdk()


@pytest.mark.process
def test_an_installer_that_hangs_has_a_deadline() -> None:
    """Making an environment ends with a sentence when its time is over."""
    with pytest.raises(CannotMake, match="not done after 0 s"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], "openstacksdk", limit_s=0.1)


def test_many_places_are_told_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five names and how many more; a folder below the home as one writes it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "clouds.yaml").write_text("clouds:\n" + "".join(f"  c{n}: {{}}\n" for n in range(8)))
    names = {f"OS_{letter}": "x" for letter in "ABCDEFG"}
    files, variables = tried([str(tmp_path / "clouds.yaml")], names).lines()
    assert files.endswith("names c0, c1, c2, c3, c4 and 3 more")
    assert variables == "variables that are set: OS_A, OS_B, OS_C, OS_D, OS_E and 2 more"
    (line, _) = tried([str(tmp_path / "x/clouds.yaml"), "/etc/openstack/clouds.yaml"], {}).lines()
    assert line == "no clouds.yaml in ~/x, /etc/openstack"
    monkeypatch.setenv("HOME", "/")
    (line, _) = tried(["/etc/openstack/clouds.yaml"], {}).lines()
    assert line == "no clouds.yaml in /etc/openstack"


def test_what_to_do_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any cloud the sentence itself says what to type; where things were looked for comes after."""
    known = SimpleNamespace(NoMatchingPlugin=type("NoMatchingPlugin", (Exception,), {}))
    monkeypatch.setitem(sys.modules, "keystoneauth1", SimpleNamespace(exceptions=known))
    places = tried(["/nowhere/clouds.yaml"], {})
    error = Exception("missing")
    error.options = [SimpleNamespace(name="auth_url")]  # type: ignore[attr-defined]
    found = no_access._unconfigured(error, "", places, is_broken=False)
    assert found.code == "no-cloud"
    assert found.what == "no cloud is configured: type `export OS_CLOUD=NAME`, or `source NAME-openrc.sh`"
    assert found.log == places.lines()
