"""The form that a template asks: its fields, what they take, and what they say."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cloud import hot
from cloud.request.profiles import PROFILES
from cloud.template import form
from tests.unit.clusters import AWKWARD, cluster, read

SHOWN = [
    "repo", "ref", "requirements", "entrypoint", "args", "workers", "image", "master_flavor", "worker_flavor",
    "key_name", "max_hours", "external_network", "ssh_cidr",
]  # fmt: skip


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
