"""A plan against what a cloud has, without a cloud: names, quotas, networks, and the sentence that mends each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud.stack.api import Stack
from cloud.stack.judge import judge
from cloud.stack.offers import Room
from tests.unit.judged import ELSEWHERE, NOW, case, found, image, network, room


def test_a_cloud_where_everything_fits_has_no_problem() -> None:
    """And says so in a few sentences."""
    well, problems = judge(case(quotas=room(instances=10, cores=20, ram_mib=51_200)))

    assert problems == []
    assert well == [
        "image ubuntu-24.04, key laptop, network public",
        "flavor m1.medium: 3 machines, each 2 cores, 4 GiB, 40 GiB of disk",
        "quota: 3 instances of 10, 6 cores of 20, 12 GiB of memory of 50 GiB that are free",
    ]


@pytest.mark.parametrize(
    ("overrides", "code", "what", "fix"),
    [
        ({"image": "ubuntu-2404"}, "image-missing", "image ubuntu-2404 is not on this cloud", "--parameter image=ubuntu-24.04"),
        ({"key_name": "lap-top"}, "key-missing", "key_name lap-top is none", "--parameter key_name=laptop"),
        ({"external_network": "pubic"}, "network-missing", "external_network pubic", "--parameter external_network=public"),
        ({"worker_flavor": "m1.mdium"}, "flavor-missing", "worker_flavor m1.mdium", "--parameter worker_flavor=m1.medium"),
        ({"worker_flavor": "reservation:9"}, "lease-missing", "no leases", "--parameter worker_flavor=FLAVOR"),
    ],
)  # fmt: skip
def test_a_name_that_is_not_there_gets_its_near_miss(
    overrides: dict[str, str], code: str, what: str, fix: str
) -> None:
    """The user's own key first, then what to type."""
    problem = found(ELSEWHERE, overrides)[code]

    assert what in problem.what
    assert problem.fix.startswith(fix)
    assert (problem.level, problem.where) == ("error", f"--parameter {next(iter(overrides))}")


def test_everything_is_found_at_once() -> None:
    """Heat itself names one wrong value at a time."""
    wrong = {"image": "x", "key_name": "y", "external_network": "z", "master_flavor": "v"}

    assert set(found(ELSEWHERE, wrong)) == {
        "image-missing",
        "key-missing",
        "network-missing",
        "flavor-missing",
    }


def test_ids_are_names_too() -> None:
    """Heat takes both."""
    ids = {"image": "id-ubuntu-24.04", "external_network": "id-public", "master_flavor": "id-m1.large"}

    assert found(ELSEWHERE, ids) == {}


def test_two_images_of_one_name_are_told_apart() -> None:
    """Heat refuses to choose."""
    twice = (image(identity="a"), image(identity="b"))

    assert found(images=twice)["name-ambiguous"].fix == "--parameter image=ID, one of a, b"


def test_an_image_must_be_active() -> None:
    """One that is still being loaded boots nothing."""
    assert "queued" in found(images=(image(status="queued"),))["image-missing"].what


def test_an_internal_network_is_no_way_out() -> None:
    """Heat's own preview does not see it."""
    networks = (network(external=False), network("outside"))

    assert found(networks=networks)["network-not-external"].fix.startswith(
        "--parameter external_network=outside"
    )


def test_no_key_is_a_warning() -> None:
    """It works, but nobody can log in."""
    problem = found(ELSEWHERE, {"key_name": ""})["no-key"]

    assert problem.level == "warning"
    assert "laptop" in problem.fix


@pytest.mark.parametrize(
    ("free", "what", "fix"),
    [
        ({"instances": 2}, "3 instances needed, 2 free", "--parameter workers=1"),
        ({"cores": 5}, "6 cores needed, 5 free", "--parameter workers=1"),
        ({"ram_mib": 4096}, "12 GiB of memory needed, 4 GiB free", "--parameter workers=0"),
        ({"ports": 4}, "5 ports needed, 4 free", "--parameter workers=1"),
        ({"instances": 0}, "3 instances needed, 0 free", "delete what is not used"),
        ({"routers": 0}, "1 router needed, 0 free", "delete what is not used"),
        ({"floating_ips": 0}, "1 floating IP needed, 0 free", "external_network="),
    ],
)
def test_a_quota_one_short_says_what_would_fit(free: dict[str, int], what: str, fix: str) -> None:
    """The number in the fix is one that all quotas leave room for."""
    problem = found(quotas=room(**free))["quota-too-small"]

    assert what in problem.what
    assert fix in problem.fix


def test_the_number_that_fits_counts_all_quotas() -> None:
    """Following the advice for one must not end at the next."""
    problems = judge(case(ELSEWHERE, {"workers": 9}, quotas=room(instances=6, cores=6)))[1]

    assert [problem.fix.rpartition(" ")[2] for problem in problems] == ["workers=2", "workers=2"]


def test_no_limit_is_room_enough() -> None:
    """Neutron says -1."""
    assert found(quotas={"ports": Room(limit=-1, used=400)}) == {}


def test_idle_addresses_are_named_before_more_are_asked_for() -> None:
    """Heat always takes a new one, so an old one has to go."""
    problem = found(quotas=room(floating_ips=0), free_floating_ips=2)["quota-too-small"]

    assert "2 of yours are bound to nothing" in problem.fix


def test_addresses_that_meet_are_named_with_others() -> None:
    """One's own network is a warning, the way out an error: the router joins the two."""
    own = found(networks=(network(), network("mine", False, True, "10.8.1.0/24")))["network-overlap"]
    out = found(networks=(network("public", True, False, "10.0.0.0/8"),))["network-overlap"]
    others = found(networks=(network(), network("theirs", False, False, "10.8.0.0/16")))

    assert (own.level, out.level, others) == ("warning", "error", {})
    assert own.fix == "--parameter network_cidr=10.9.0.0/23"


def test_a_taken_name_is_said() -> None:
    """Ours is gone on with; somebody else's is in the way."""
    stack = Stack(id="1", name="digits", status="CREATE_COMPLETE", reason="", created=NOW, tags=("hotrun",))
    problems = found(stack=stack, quotas=room(instances=0))

    assert list(problems) == ["stack-exists"]
    assert found(stack=replace(stack, tags=()))["stack-name-taken"].level == "error"


def test_an_application_credential_is_said_before_anything_is_made() -> None:
    """Heat would fail with a sentence about trusts."""
    assert found(is_application_credential=True)["application-credential-may-fail"].level == "warning"
