"""Cluster -> template: the same bytes, the right form, and strings that arrive as they were typed."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from typing import Any

import pytest
import yaml

from cloud import config, hot, userdata
from cloud.model import MAX_ARGS_CHARACTERS, Cluster
from cloud.template import form, provenance
from tests.unit.clusters import AWKWARD, cluster

SHOWN = [
    "repo", "ref", "requirements", "entrypoint", "args", "workers", "image", "master_flavor", "worker_flavor",
    "key_name", "external_network", "ssh_cidr",
]  # fmt: skip


def read(asked: Cluster) -> Any:
    """Return a cluster's template as any YAML reader reads it."""
    return yaml.safe_load(hot.text(asked))


def test_same_cluster_gives_the_same_bytes() -> None:
    """Nothing of the moment is in a template."""
    assert hot.text(cluster(args=AWKWARD)) == hot.text(cluster(args=AWKWARD))


def test_text_says_what_the_dicts_say() -> None:
    """YAML reads back the template that was written, awkward strings included."""
    asked = cluster(args=AWKWARD, setup="x\u2028y", env=("A=yes", "B=1e3", "C=a\nb "))
    assert hot.template(asked, userdata.boot_text()) == read(asked)


def test_254_workers_take_no_more_than_one() -> None:
    """The size of a template does not depend on the number of workers, and stays below 64 KiB."""
    one, many = hot.text(cluster(1)), hot.text(cluster(254))
    assert 2 * len("254") - 2 * len("1") == len(many) - len(one)
    assert len(many.encode()) < 65_536


def test_file_is_readable_text_without_aliases() -> None:
    """The boot script is a block, not one quoted line, and nothing is written as a reference to something else."""
    text = hot.text(cluster())
    assert "template: |\n            #!/usr/bin/env bash\n" in text
    assert not re.search(r"(^|\s)[&*][a-z0-9]+$", text.split("template: |")[0], re.MULTILINE)
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


def test_words_that_yaml_would_take_for_something_else_are_quoted() -> None:
    """`yes`, dates and numbers that are text stay text in every YAML reader."""
    found = read(cluster(ref="2024-01-01", args="1e3", nproc_per_node="2", allow_single=True))
    job = found["resources"]["boot"]["properties"]["config"]["str_replace_strict"]["params"]["@@JOB@@"]
    assert ("2024-01-01", "1e3") == (
        found["parameters"]["ref"]["default"],
        found["parameters"]["args"]["default"],
    )
    assert ("yes", "2", "2018-08-31") == (
        job["allow_single"], job["nproc_per_node"], found["heat_template_version"],
    )  # fmt: skip


def test_form_has_a_dozen_fields_in_order() -> None:
    """What a person fills in comes first and in this order; the rest is hidden and can be set elsewhere."""
    found = read(cluster())
    assert SHOWN == [name for group in found["parameter_groups"] for name in group["parameters"]]
    assert SHOWN == list(found["parameters"])[: len(SHOWN)]


def test_bare_metal_asks_for_its_reservations() -> None:
    """The form of the bare-metal profile has both, and no security group is made."""
    asked = replace(cluster(network={"security_group": False}), profile="chameleon-baremetal")
    found = read(asked)
    names = [name for group in found["parameter_groups"] for name in group["parameters"]]
    assert [*SHOWN, "master_reservation", "worker_reservation"] == names
    assert found["parameters"]["security_groups"]["default"] == "no"


@pytest.mark.parametrize("name", form.parameters(cluster()))
def test_parameter_is_fit_for_the_form(name: str) -> None:
    """A label of at most 50 characters, a tooltip, no type or constraint that the dashboard spoils, whole sentences."""
    parameter = form.parameters(cluster())[name]
    assert 0 < len(parameter["label"]) <= form.MAX_LABEL_CHARACTERS
    assert parameter["description"].endswith(".")
    assert parameter["type"] in {"string", "number", "comma_delimited_list"}
    for constraint in parameter.get("constraints", []):
        sentence = constraint.get("description", f"{name} is fine.")
        assert constraint.get("custom_constraint") in {None, "nova.keypair"}
        assert sentence.startswith(f"{name} ")
        assert sentence.endswith(".")


def test_no_parameter_shares_a_name_with_a_resource() -> None:
    """Heat refuses a template where one does."""
    found = read(cluster())
    assert set(found["parameters"]) & set(found["resources"]) == set()


def test_no_output_reads_the_worker_group() -> None:
    """Each signal would make Heat ask all members again."""
    assert "worker_group" not in json.dumps(read(cluster())["outputs"])


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "repo",
            ["https://a.b/c", "https://a:80/~c%20d.git"],
            ["http://a/b", "https://u:p@a/b", "https://a", "/a", "a/b"],
        ),
        ("ref", ["", "main", "v1.2", "a/b#1", "é"], ["-x", "a..b", "a b", "/x", "a\n", "x" * 201]),
        ("requirements", [".", "a b/c", "ü"], ["", "/a", "../a", "a/../b", "-a", "~", "a\\b", "a\n"]),
        ("entrypoint", ["main.py", "a b/c.py"], ["main", "../a.py", "/a.py", "-a.py", "a.py\n", ""]),
        ("args", ["", AWKWARD], ["a\nb", "\x00", "\x7f", "\x85", "\u2028"]),
        ("ssh_cidr", ["10.0.0.0/8"], ["", "10.0.0.0", "::/0", "10.0.0.0/8 "]),
        ("master_reservation", ["", "a-1"], ["a b", "é"]),
    ],
)
def test_patterns(name: str, good: list[str], bad: list[str]) -> None:
    """A pattern lets through what the generator can make, and nothing that a shell or path could misuse."""
    constraints = form.parameters(cluster())[name]["constraints"]
    pattern = next(found["allowed_pattern"] for found in constraints if "allowed_pattern" in found)
    assert dict.fromkeys(good, True) == {text: bool(re.fullmatch(pattern, text)) for text in good}
    assert dict.fromkeys(bad, False) == {text: bool(re.fullmatch(pattern, text)) for text in bad}


def test_local_repository_is_admitted_where_it_was_asked_for() -> None:
    """Only a template made for a local path takes local paths."""
    local = form.parameters(cluster(repo="/home/me/a b"))["repo"]["constraints"][0]["allowed_pattern"]
    assert re.fullmatch(local, "/home/me/a b")
    assert re.fullmatch(local, "https://a/b")
    assert not re.fullmatch(local, "git@a:b")


def test_commit_is_the_ref() -> None:
    """A commit known at generation is what every machine takes."""
    assert read(cluster(ref="main", commit="a" * 40))["parameters"]["ref"]["default"] == "a" * 40


def test_provenance_names_the_command() -> None:
    """The first lines are comments that say program, version and command, in shell words."""
    first, second = hot.text(cluster(args=AWKWARD)).splitlines()[:2]
    assert first.startswith(provenance.MARK)
    assert provenance.is_ours(first)
    words = shlex.split(second.removeprefix("# "))
    assert [
        "hotrun", "generate", "--repo", "https://github.com/you/digits.git", "--workers", "2", "--entrypoint",
        "train.py", "--args", AWKWARD,
    ] == words  # fmt: skip


@pytest.mark.parametrize("text", ["a\u2028b", "a\u0085b's", "\ta", "a\\b\x07", "\u202ex"])
def test_command_stays_on_its_line(text: str) -> None:
    """Characters that end a line for YAML, a terminal or a person are escapes in the comment."""
    line = provenance.command(cluster(setup=text))
    assert line.isprintable()
    assert "--setup $'" in line


def test_command_makes_the_same_template() -> None:
    """The flags of the command, read as the program reads them, give the same cluster."""
    asked = replace(
        cluster(
            workers=3, network={"dns": ("9.9.9.9",), "external": "", "security_group": False, "ssh_cidr": "10.0.0.0/8"},
            ref="main", requirements="a b", args="--x 1", setup="make", env=("A=1", "B=x y"), engine="torch",
            max_hours=100.1234567, nproc_per_node="2", torch_index="cpu", allow_single=True, restarts=0, adapt=True,
        ),
        profile="chameleon-baremetal", boot_timeout_s=100, signal_transport="NO_SIGNAL", key_name="k",
    )  # fmt: skip
    words = shlex.split(provenance.command(asked))[2:]
    flags: dict[str, Any] = {}
    while words:
        key = words.pop(0).removeprefix("--").replace("-", "_")
        if key in ("allow_single", "adapt"):
            flags[key] = True
        elif key == "env":
            flags[key] = (*flags.get(key, ()), words.pop(0))
        else:
            flags[key] = words.pop(0)
    assert asked == config.cluster(config.request(flags))


def test_longest_arguments_fit() -> None:
    """Arguments of the greatest length in ASCII, quotes and all, stay within the user data."""
    job = hot.job(cluster()) | {"args": "'\"" * (MAX_ARGS_CHARACTERS // 2), "signal": "x" * 800}
    sizes = userdata.sizes(userdata.boot_text(), json.dumps(job))
    assert sizes["total"] <= sizes["limit"]
