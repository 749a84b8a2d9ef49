"""What Horizon's form is made of, as the engine hands it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cloud import hot
from cloud.template import form
from tests.heat.clusters import clusters

if TYPE_CHECKING:
    from cloud.model import Cluster
    from tests.heat.engine import Engine

MAX_FIELDS = 14  # about a dozen: one screen, with the four of Horizon's own

each_cluster = pytest.mark.parametrize("cluster", clusters().values(), ids=clusters())


@each_cluster
def test_the_form_has_our_order_and_about_a_dozen_fields(engine: Engine, cluster: Cluster) -> None:
    """Horizon shows the parameters of the groups in their order, and no others."""
    found = engine.form(hot.text(cluster))
    shown = [name for group in found["ParameterGroups"] for name in group["parameters"]]
    assert [name for group in form.groups(cluster) for name in group["parameters"]] == shown
    assert {"repo", "requirements", "entrypoint", "workers"} <= set(shown)
    assert set(shown) <= set(found["Parameters"])
    assert len(shown) <= MAX_FIELDS


@each_cluster
def test_labels_fit_and_defaults_are_the_answers(engine: Engine, cluster: Cluster) -> None:
    """A label has at most 50 characters, and each field begins with what the request says."""
    found = engine.form(hot.text(cluster))["Parameters"]
    for parameter in found.values():
        assert 0 < len(parameter["Label"]) <= form.MAX_LABEL_CHARACTERS
        assert "Default" in parameter
    answers = {name: found[name]["Default"] for name in ("repo", "requirements", "entrypoint", "args", "ref")}
    job = cluster.job
    expected = {
        "repo": job.repo,
        "requirements": job.requirements,
        "entrypoint": job.entrypoint,
        "args": job.args,
    }
    assert {**expected, "ref": job.pinned_ref} == answers
    assert cluster.workers == int(found["workers"]["Default"])
    assert (0, 254) == (int(found["workers"]["MinValue"]), int(found["workers"]["MaxValue"]))


@each_cluster
def test_horizon_makes_no_wrong_drop_down(engine: Engine, cluster: Cluster) -> None:
    """Only the key pair has a custom constraint: Horizon fills lists of others wrongly."""
    found = engine.form(hot.text(cluster))["Parameters"]
    custom = {
        name: parameter["CustomConstraint"]
        for name, parameter in found.items()
        if "CustomConstraint" in parameter
    }
    assert custom == {"key_name": "nova.keypair"}


@each_cluster
def test_the_form_has_only_kinds_of_fields_that_work(engine: Engine, cluster: Cluster) -> None:
    """No check boxes (an environment file can't clear them), no JSON, no line breaks, no fractions."""
    for parameter in engine.form(hot.text(cluster))["Parameters"].values():
        assert parameter["Type"] in {"String", "Number", "CommaDelimitedList"}
        assert "\n" not in str(parameter["Default"])
        assert parameter["NoEcho"] == "false"
        if {"AllowedPattern", "MinValue", "AllowedValues"} & set(parameter):
            assert parameter["ConstraintDescription"].endswith(".")
