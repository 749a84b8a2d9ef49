"""The template for everybody: nothing of its author's alone, comments, and the same bytes again."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml

from cloud import check, cli, config, hot
from cloud.request.profiles import PROFILES
from cloud.template import form, provenance, published
from tests.unit.clusters import AWKWARD, cluster

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.model import Cluster

FLAGS = (
    "generate", "--publish", "--repo", "https://127.0.0.1:1/you/digits.git", "--workers", "2",
    "--entrypoint", "train.py", "--dry-run",
)  # fmt: skip


def private() -> Cluster:
    """A cluster with everything that is its author's alone."""
    asked = cluster(
        ref="main",
        commit="c" * 40,
        env=("GREETING=hello-42", "EMPTY="),
        network={"ssh_cidr": "198.51.100.7/32"},
    )
    return replace(
        asked,
        key_name="alices-laptop",
        master=replace(asked.master, flavor="reservation:1d8b5b4e"),
        worker=replace(asked.worker, reservation="2f6a3f2f"),
    )


@pytest.mark.parametrize(
    "word", ["alices-laptop", "1d8b5b4e", "2f6a3f2f", "198.51.100.7", "hello-42", "c" * 40]
)
def test_nothing_private_is_published(word: str) -> None:
    """Key pair, reservations, the one address, values of variables and the commit are nowhere in the file."""
    assert word in hot.text(private())
    assert word not in hot.text(private(), is_published=True)


def test_what_was_left_out_is_said_by_name_and_never_by_value() -> None:
    """The author learns which fields and variables are gone."""
    found = {problem.code: problem for problem in published.left_out(private())}
    assert found["publish-left-out"].what == (
        "key_name, master_flavor, worker_reservation and ssh_cidr are yours and left out"
    )
    assert found["publish-env"].what.startswith("env GREETING is left out")
    assert "hello-42" not in str(found)
    assert not any(problem.level == "error" for problem in found.values())


def test_nothing_is_said_where_nothing_is_left_out() -> None:
    """A range of addresses, a branch and an empty variable are no secrets."""
    asked = cluster(ref="main", env=("EMPTY=",), network={"ssh_cidr": "129.114.0.0/16"})
    assert list(published.left_out(asked)) == []
    assert published.public(asked) == asked


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("--data /home/alice/mnist", "/home/alice/mnist"),
        ("--data=/Users/al/x --y", "/Users/al/x"),
        ("'~/data'", "~/data"),
        (r"--x 'C:\data'", r"C:\data"),
        ("--data /var/lib/x --url https://a/home/b", ""),
        ("--x a/home/b", ""),
    ],
)
def test_a_path_of_ones_own_computer_is_named(text: str, path: str) -> None:
    """Arguments can't be left out, so the author is told what looks like a place that nobody else has."""
    found = [problem.what for problem in published.left_out(cluster(args=text))]
    assert [what.split(", ")[0] for what in found] == ([f"args names {path}"] if path else [])


def test_a_local_repository_is_refused() -> None:
    """Nobody else can reach it."""
    (found,) = published.left_out(cluster(repo="/home/alice/digits"))
    assert (found.code, found.level) == ("publish-local", "error")


@pytest.mark.parametrize("profile", PROFILES)
def test_its_command_makes_it_again(profile: str) -> None:
    """The second line, read as the program reads it, gives the same bytes."""
    asked = replace(private(), profile=profile, image="some-image")
    text = hot.text(asked, is_published=True)
    words = shlex.split(text.splitlines()[1].removeprefix("# "))
    assert words[:3] == ["hotrun", "generate", provenance.PUBLISH]
    flags: dict[str, object] = {}
    for flag, value in zip(words[3::2], words[4::2], strict=True):
        key = flag.removeprefix("--").replace("-", "_")
        flags[key] = (value,) if key == "env" else value
    again = config.cluster(config.request(flags))
    assert text == hot.text(again, is_published=True)
    assert text == hot.text(published.public(asked), is_published=True)


@pytest.mark.parametrize("profile", PROFILES)
def test_comments_change_nothing_of_what_is_made(profile: str) -> None:
    """YAML reads the same as without them, whatever strings are in it."""
    asked = replace(cluster(args=AWKWARD), profile=profile)
    assert yaml.safe_load(hot.text(asked)) == yaml.safe_load(hot.text(asked, is_published=True))


@pytest.mark.parametrize("profile", PROFILES)
def test_every_part_is_explained_right_above_it(profile: str) -> None:
    """What it is, costs and how to end it stand first; each group, its fields, each section and resource follow."""
    asked = replace(cluster(), profile=profile)
    lines = hot.text(asked, is_published=True).splitlines()
    first = lines.index("heat_template_version: '2018-08-31'")
    opening = "\n".join(lines[2:first])
    for word in ("What it is", "To use it", "To follow it", "What it costs", "To end it", "Delete Stack"):
        assert word in opening
    assert all(line.startswith("#") for line in lines[:first])
    below = ["parameter_groups:", "parameters:", "conditions:", "resources:", "outputs:"]
    below += [f"- label: {group['label']}" for group in form.groups(asked)]
    below += [f"  {group['parameters'][0]}:" for group in form.groups(asked)]
    below += [f"  {name}:" for name in hot.resources(asked, "")]
    bare = [line for line in below if not lines[lines.index(line) - 1].lstrip().startswith("# ")]
    assert bare == []
    assert max(len(line) for line in lines if line.lstrip().startswith("# ") and "hotrun" not in line) <= 110


def test_check_accepts_it() -> None:
    """What is published has no errors, and nothing about its form."""
    found = check.problems(hot.text(private(), is_published=True))
    assert {problem.code for problem in found} <= {"ssh-open", "template-large"}


def test_a_long_start_is_told_with_horizons_own_limit() -> None:
    """Horizon gives a stack 60 minutes, less than bare metal may take."""
    slow = replace(cluster(), profile="chameleon-baremetal", boot_timeout_s=5400)
    assert "Write 120 for Horizon's Creation Timeout" in hot.text(slow, is_published=True)
    assert "for Horizon's Creation Timeout" not in hot.text(cluster(), is_published=True)


@pytest.mark.process
def test_the_command_says_on_stderr_what_it_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Stdout is the template alone; the key pair is named on stderr and its name is nowhere."""
    monkeypatch.chdir(tmp_path)
    code = cli.run([*FLAGS, "--key-name", "alices-laptop", "--env", "GREETING=hello-42"])
    out, err = capsys.readouterr()
    assert code == 0
    assert out.startswith(provenance.MARK)
    assert "flag --key-name: note: key_name is yours and left out" in err
    assert "flag --env: warning: env GREETING is left out" in err
    assert "alices-laptop" not in out + err
    assert "hello-42" not in out + err


@pytest.mark.process
def test_the_document_says_what_it_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With --json the same stands among the problems."""
    monkeypatch.chdir(tmp_path)
    assert cli.run([*FLAGS, "--json", "--key-name", "laptop"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "publish-left-out" in [problem["code"] for problem in found["problems"]]


@pytest.mark.process
def test_the_command_refuses_a_local_repository(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("import torch\n")
    (tmp_path / "requirements.txt").write_text("torch\n")
    given = ["generate", "--publish", "--repo", ".", "--workers", "1", "--entrypoint", "train.py"]
    assert cli.run(given) == 3
    assert "flag --repo: repo is" in capsys.readouterr().err
    assert not (tmp_path / "template.yml").exists()
