"""Cluster -> template: the same bytes, the right form, and strings that arrive as they were typed."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloud import config, hot, userdata
from cloud.model import MAX_ARGS_CHARACTERS, Cluster
from cloud.node.layout import Layout
from cloud.request.profiles import PROFILES
from cloud.template import emit, form, provenance
from cloud.template.outputs import RUNS
from tests.unit.clusters import AWKWARD, cluster

SHOWN = [
    "repo", "ref", "requirements", "entrypoint", "args", "workers", "image", "master_flavor", "worker_flavor",
    "key_name", "max_hours", "external_network", "ssh_cidr",
]  # fmt: skip


MAX_TEMPLATE_BYTES = 73_728  # the node program's 49 KB, and 24 for all that a person reads


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
    """The size of a template does not depend on the number of workers, and stays below 72 KiB."""
    one, many = hot.text(cluster(1)), hot.text(cluster(254))
    assert 2 * len("254") - 2 * len("1") == len(many) - len(one)
    assert len(many.encode()) < MAX_TEMPLATE_BYTES


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
    """Both are in its form and its start's time, which is long; its one flavor is not, nor a security group."""
    asked = replace(cluster(network={"security_group": False}), profile="chameleon-baremetal")
    found = read(asked)
    names = [name for group in found["parameter_groups"] for name in group["parameters"]]
    usual = [name for name in SHOWN[:-1] if name not in ("master_flavor", "worker_flavor")]
    assert [*usual, "master_reservation", "worker_reservation", "boot_timeout"] == names
    assert found["parameters"]["security_groups"]["default"] == "no"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", form.parameters(cluster()))
def test_parameter_is_fit_for_the_form(name: str, profile: str) -> None:
    """A label of at most 50 characters, a tooltip, no type or constraint that the dashboard spoils, whole sentences."""
    parameter = form.parameters(replace(cluster(), profile=profile))[name]
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


@pytest.mark.parametrize("profile", PROFILES)
def test_labels_say_what_horizon_does_by_itself(profile: str) -> None:
    """It chooses the first key pair, and its own limit for the stack must be longer than ours."""
    asked = replace(
        cluster(), profile=profile, boot_timeout_s=int(PROFILES[profile].get("boot_timeout", "3000"))
    )
    found = form.parameters(asked)
    shown = [name for group in form.groups(asked) for name in group["parameters"]]
    assert "first of the list is chosen" in found["key_name"]["label"]
    assert len(shown) <= form.MAX_FIELDS
    is_long = found["boot_timeout"]["default"] >= form.HORIZONS_TIMEOUT_S
    assert is_long == ("boot_timeout" in shown)
    assert is_long == ("below Creation Timeout" in found["boot_timeout"]["label"])


def test_the_forms_of_kvm_speak_of_leases() -> None:
    """KVM@TACC starts no machine outside of one, and its id stands in the flavor."""
    assert "reservation:ID" in form.parameters(cluster())["worker_flavor"]["label"]
    elsewhere = form.parameters(replace(cluster(), profile="openstack"))
    assert "reservation" not in elsewhere["worker_flavor"]["label"]


@pytest.mark.parametrize("profile", PROFILES)
def test_what_costs_is_said_for_every_profile(profile: str) -> None:
    """A lease where there is one always, machines too where there may be none; powered off ends nothing."""
    told = hot.outputs(replace(cluster(), profile=profile))["costs"]["value"]
    assert "lease" in told
    assert "until it ends" in told
    assert ("every machine" in told) == (profile != "chameleon-baremetal")
    assert "powered off" in told


def test_results_lie_where_files_says() -> None:
    """The line of ssh packs what the node's layout keeps."""
    assert str(Layout(Path("/")).memory.parent) == RUNS
    assert f"tar -C {RUNS} " in json.dumps(hot.outputs(cluster())["files"])


def test_text_has_its_comments_where_they_belong() -> None:
    """Above a section, a key of it or an item of its list; never inside a text that looks like one."""
    document = {"a": {"x": 1, "y": "  x\ny:\n- x\n"}, "b": [{"c": 1, "d": [1]}, {"c": 2, "d": [2]}]}
    comments = {("a",): ["# A"], ("a", "y"): ["# Y", "# y"], ("b", 1): ["# second"], ("c",): ["# nowhere"]}
    text = emit.sections(document, comments)
    assert yaml.safe_load(text) == document
    lines = text.splitlines()
    assert [lines[number + 1] for number, line in enumerate(lines) if line.lstrip().startswith("# ")] == [
        "a:", "  # y", "  y: |2", "- c: 2",
    ]  # fmt: skip
    assert emit.sections(document) == "".join(f"{line}\n" for line in lines if "# " not in line)
