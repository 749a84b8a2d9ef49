"""What a person is told who fills the form wrongly: by the browser, by Heat, or later by the stack's page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.horizon.conftest import KEY, add_key
from tests.horizon.seen import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.horizon.dashboard import Dashboard
    from tests.horizon.pictures import Pictures
    from tests.horizon.seen import Field
    from tests.openstack.conftest import Template
    from tests.openstack.projects import Project

FAILS_S = 240.0
LATE, WRONG = "late", "wrong"
IMAGE = "ERROR: Property error: : resources.master.properties.image: : Error validating value 'noimg': "
FLAVOR = "ERROR: Property error: : resources.master.properties.flavor: : Error validating value 'm1.smal': "
REFUSED: dict[str, tuple[dict[str, Any], Refusal]] = {
    "too many workers": (
        {"workers": 300},
        Refusal(by="browser", name="workers", text="Value must be less than or equal to 254."),
    ),
    "an empty image": (
        {"image": ""},
        Refusal(by="browser", name="image", text="Please fill out this field."),
    ),
    "an address that is no range": (
        {"ssh_cidr": "129.114.0.0"},
        Refusal(by="heat", text="ERROR: Parameter 'ssh_cidr' is invalid: ssh_cidr is an IPv4 range like "
                "129.114.0.0/16, or 0.0.0.0/0 for everybody."),
    ),
    "a repository over ssh": (
        {"repo": "git@github.com:you/digits.git"},
        Refusal(by="heat", text="ERROR: Parameter 'repo' is invalid: repo is an https address without user name or "
                "password, like https://github.com/you/digits.git."),
    ),
    "an image that is not there": (
        {"image": "noimg"},
        Refusal(by="heat", text=IMAGE + "No images matching {'name': 'noimg'}."),
    ),
    "a master's flavor that is not there": (
        {"master_flavor": "m1.smal"},
        Refusal(by="heat", text=FLAVOR + "No Flavor matching {'name': 'm1.smal'}. (HTTP 404)"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def path(template: Template) -> Path:
    """The template of these tests; its default is one worker."""
    return template(workers=1)


@pytest.fixture(scope="module")
def inside(window: Dashboard, people: dict[str, Project]) -> Dashboard:
    """Horizon, with the user in whose machines do nothing."""
    quiet = people["quiet"]
    window.log_in(quiet.name, quiet.environ["OS_PASSWORD"])
    return window


@pytest.fixture(scope="module", autouse=True)
def late(inside: Dashboard, people: dict[str, Project], path: Path) -> list[Field]:
    """A stack with a minute to be made in, of a user without a key pair; its form. It fails while the others are tested."""
    quiet = people["quiet"]
    public_key = quiet.connection.compute.get_keypair(KEY).public_key
    quiet.connection.compute.delete_keypair(KEY)
    try:
        fields = inside.open_form(path)
        assert inside.launch(LATE, workers=0, timeout_mins=1) is None
    finally:
        add_key(quiet, public_key)
    return fields


@pytest.fixture
def dashboard(inside: Dashboard) -> Dashboard:
    """The same, for one test."""
    return inside


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_value_is_refused_in_one_sentence(
    dashboard: Dashboard, path: Path, pictures: Pictures, case: str
) -> None:
    """Ranges and what must not be empty by the browser, at the field; the rest by Heat, in the words of the template."""
    values, refusal = REFUSED[case]
    dashboard.open_form(path)
    assert dashboard.launch("refused", **values) == refusal
    if case == "an address that is no range":
        pictures.take(dashboard.browser, "refused")
    assert "refused" not in dashboard.stacks()


def test_a_name_that_is_taken_is_refused(dashboard: Dashboard, path: Path) -> None:
    """Heat says which stack there is already."""
    dashboard.open_form(path)
    refusal = dashboard.launch(LATE)
    assert refusal == Refusal(by="heat", text=f"ERROR: The Stack ({LATE}) already exists.")


def test_a_workers_flavor_that_is_not_there_is_named_by_the_page(dashboard: Dashboard, path: Path) -> None:
    """Only the making of the workers finds it; an emptied number field becomes the template's default, without a word."""
    dashboard.open_form(path)
    assert dashboard.launch(WRONG, workers="", worker_flavor="m1.smal") is None
    dashboard.wait_for(WRONG, "Create Failed", FAILS_S)
    seen = dashboard.overview(WRONG)
    assert seen.status == "Create_Failed"
    assert "No Flavor matching {'name': 'm1.smal'}" in seen.reason
    assert seen.parameters["workers"] == "1"


def test_a_user_without_a_key_pair_gets_no_way_in(dashboard: Dashboard, late: list[Field]) -> None:
    """The list is empty, Horizon launches, and the page says how the files come home all the same."""
    key = next(field for field in late if field.name == "key_name")
    assert (key.kind, key.value, key.options) == ("choice", "", ())
    seen = dashboard.overview(LATE)
    assert seen.parameters["key_name"] == ""
    assert "without a key pair" in seen.outputs["files"]


def test_a_timeout_that_is_too_short_is_the_reason(dashboard: Dashboard) -> None:
    """Machines that had a minute to boot: the page says that the time was over."""
    dashboard.wait_for(LATE, "Create Failed", FAILS_S)
    seen = dashboard.overview(LATE)
    assert (seen.status, seen.reason) == ("Create_Failed", "Timed out")
