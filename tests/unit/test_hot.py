"""Cluster -> template: the same bytes, and strings that arrive as they were typed."""

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
from cloud.model import MAX_ARGS_CHARACTERS
from cloud.node.layout import Layout
from cloud.template import emit, form, provenance
from cloud.template.outputs import RUNS
from tests.unit.clusters import AWKWARD, cluster, read

MAX_TEMPLATE_BYTES = 73_728  # the node program's 49 KB, and 24 for all that a person reads


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


def test_no_output_reads_the_worker_group() -> None:
    """Each signal would make Heat ask all members again."""
    assert "worker_group" not in json.dumps(read(cluster())["outputs"])


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
