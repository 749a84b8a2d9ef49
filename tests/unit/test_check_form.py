"""What a dashboard's form can't show well: each finding with its code, level and line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from cloud import check, hot
from cloud.request.profiles import PROFILES
from tests.unit.clusters import cluster

TEXT = hot.text(cluster(network={"ssh_cidr": "129.114.0.0/16"}))
FORM_CODES = {
    "form-too-long", "hidden-default", "label-missing", "default-multiline", "constraints-contradict",
    "constraint-unexplained", "number-with-fraction", "horizon-changes",
}  # fmt: skip


def changed(name: str, **keys: Any) -> str:
    """The template with keys of one parameter written anew; None takes a key away."""
    document = yaml.safe_load(TEXT)
    schema = document["parameters"][name] | keys
    document["parameters"][name] = {key: value for key, value in schema.items() if value is not None}
    return TEXT.partition("\n")[0] + "\n" + yaml.safe_dump(document, sort_keys=False)


def codes(text: str) -> dict[str, str]:
    """Code -> level of what is found about the form."""
    return {each.code: each.level for each in check.problems(text) if each.code in FORM_CODES}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("is_published", [False, True])
def test_what_we_make_is_shown_well(profile: str, is_published: bool) -> None:
    """No finding about the form of any profile, published or not."""
    assert codes(hot.text(replace(cluster(), profile=profile), is_published=is_published)) == {}


@pytest.mark.parametrize(
    ("name", "keys", "expected"),
    [
        ("workers", {"label": None}, {"label-missing": "warning"}),
        ("workers", {"label": " "}, {"label-missing": "warning"}),
        ("args", {"default": "a\nb"}, {"default-multiline": "error"}),
        ("args", {"default": "a\n"}, {"default-multiline": "error"}),
        ("key_name", {"hidden": True, "default": "x"}, {"hidden-default": "warning"}),
        ("setup", {"hidden": True, "default": "x"}, {"hidden-default": "warning"}),
        ("key_name", {"hidden": True, "default": ""}, {}),
        (
            "key_name",
            {"constraints": [{"custom_constraint": "nova.keypair"}, {"allowed_values": ["", "a"]}]},
            {"constraints-contradict": "error"},
        ),
        ("workers", {"constraints": [{"range": {"min": 0}}]}, {"constraint-unexplained": "warning"}),
        (
            "ref",
            {"constraints": [{"allowed_pattern": ".*", "description": "a branch"}]},
            {"constraint-unexplained": "warning"},
        ),
        ("ref", {"constraints": [{"length": {"max": 9}}]}, {}),
        ("workers", {"default": 0.5, "constraints": None}, {"number-with-fraction": "error"}),
        (
            "workers",
            {"constraints": [{"range": {"min": 0.5, "max": 9}, "description": "workers is a number."}]},
            {"number-with-fraction": "error"},
        ),
        ("max_hours", {"default": "0.5"}, {}),
        ("setup", {"label": None, "default": "a\nb"}, {}),
    ],
)
def test_each_mistake_is_found(name: str, keys: dict[str, Any], expected: dict[str, str]) -> None:
    """What a field of the form can't show is named with its level; what is in no group is in no form."""
    assert codes(changed(name, **keys)) == expected


def test_characters_that_horizon_changes_are_found_on_their_line() -> None:
    """By an argument or by hand: machines that are launched there would get another text."""
    asked = cluster()
    text = hot.text(replace(asked, job=replace(asked.job, args="--shape {$x}")))
    lines = {each.where for each in check.problems(text) if each.code == "horizon-changes"}
    numbers = (n for n, line in enumerate(text.splitlines(), 1) if "{$x" in line)
    assert lines == {f"template.yml:{number}" for number in numbers}
    assert lines


def test_a_form_of_more_than_14_fields_is_too_long() -> None:
    """Two more than we show are a warning at the groups' line; without groups all are shown."""
    groups = "  parameters: [external_network, ssh_cidr"
    longer = TEXT.replace(groups, f"{groups}, setup, engine")
    (found,) = [each for each in check.problems(longer) if each.code == "form-too-long"]
    assert found.what.startswith("the form has 15 fields")
    assert TEXT.splitlines()[int(found.where.rpartition(":")[2]) - 1] == "parameter_groups:"
    document = yaml.safe_load(TEXT)
    del document["parameter_groups"]
    assert "form-too-long" in codes(TEXT.partition("\n")[0] + "\n" + yaml.safe_dump(document))


def test_a_finding_names_the_line_of_the_constraint() -> None:
    """Whoever reads it can go there."""
    text = TEXT.replace("      description: workers is a whole number from 0 to 254, like 4.\n", "")
    (found,) = [each for each in check.problems(text) if each.code == "constraint-unexplained"]
    line = text.splitlines()[int(found.where.rpartition(":")[2]) - 1]
    assert line == "    - range: {min: 0, max: 254}"
