"""`plan` against a real OpenStack: what is short, missing or taken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.openstack.planning import KEY, flags, planned, problems, run_line

if TYPE_CHECKING:
    from tests.openstack.conftest import Hotrun, Template
    from tests.openstack.projects import Project


def test_a_template_that_fits_is_clean(project: Project, hotrun: Hotrun, template: Template) -> None:
    """Every question has its answer, nothing is made, and the last line says so."""
    path = template(workers=4, master_flavor="m1.large", worker_flavor="m1.large")
    done = hotrun("plan", str(path))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "template accepted by Heat" in done.stdout
    assert "image tiny, network public" in done.stdout
    assert "flavor m1.large: 5 machines" in done.stdout
    assert done.stdout.rstrip().endswith("nothing was created")
    assert "ERROR" not in done.stdout
    assert project.openstack("stack", "list", "-f", "value") == ""


def test_quotas_one_short_say_what_would_fit(project: Project, hotrun: Hotrun, template: Template) -> None:
    """And what they advise does fit."""
    project.set_quota(instances=4, cores=100, ram=51_200, floating_ips=50, ports=50)
    path = template(workers=4)
    code, found = planned(hotrun, path)
    again, _ = planned(hotrun, path, "--parameter", "workers=3")

    assert (code, again) == (3, 0)
    assert list(problems(found)) == ["quota-too-small"]
    assert "5 instances needed, 4 free" in problems(found)["quota-too-small"]["what"]
    assert "--parameter workers=3" in problems(found)["quota-too-small"]["fix"]


def test_every_quota_that_is_short_is_found(project: Project, hotrun: Hotrun, template: Template) -> None:
    """Nova's and Neutron's, in one answer."""
    project.set_quota(cores=1, ram=1023, ports=3, floating_ips=0, routers=0)
    code, found = planned(hotrun, template(workers=1))

    assert code == 3
    assert [
        problem["what"].removeprefix("quota: ")
        for problem in found["problems"]
        if problem["level"] == "error"
    ] == [
        "2 cores needed, 1 free",
        "1 GiB of memory needed, 1,023 MiB free",
        "4 ports needed, 3 free (one for each machine, one for the router, one for DHCP)",
        "1 floating IP needed, 0 free",
        "1 router needed, 0 free",
    ]


def test_all_that_is_missing_is_found_at_once(project: Project, hotrun: Hotrun, template: Template) -> None:
    """Each with its near miss; Heat would name the first and stop."""
    project.connection.compute.create_keypair(name="laptop", public_key=KEY)
    wrong = {
        "image": "tinny", "master_flavor": "m1.tinny", "worker_flavor": "m1.smal", "key_name": "lap-top",
        "external_network": "publik",
    }  # fmt: skip
    code, found = planned(hotrun, template(), *flags(wrong))
    errors = [problem for problem in found["problems"] if problem["level"] == "error"]

    assert code == 3
    assert [(problem["code"], problem["fix"].split()[1]) for problem in errors] == [
        ("image-missing", "image=tiny"), ("key-missing", "key_name=laptop"), ("network-missing", "external_network=public"),
        ("flavor-missing", "master_flavor=m1.tiny"), ("flavor-missing", "worker_flavor=m1.small"),
    ]  # fmt: skip


def test_what_only_heat_refuses_is_shown_in_its_words(hotrun: Hotrun, template: Template) -> None:
    """A resource that somebody added, of a type that this cloud has not."""
    path = template()
    text = path.read_text().replace("resources:\n", "resources:\n  more:\n    type: OS::No::Such\n", 1)
    path.write_text(text)
    code, found = planned(hotrun, path)

    assert code == 3
    assert any("OS::No::Such" in problem["what"] for problem in found["problems"])


def test_a_parameter_out_of_range_is_said_once(hotrun: Hotrun, template: Template) -> None:
    """By us, with the line of the template's own constraint; the cloud's lists are read all the same."""
    code, found = planned(hotrun, template(), *flags({"workers": "300", "image": "tinny"}))

    assert code == 3
    told = [problem["what"] for problem in found["problems"] if problem["level"] == "error"]
    assert len(told) == 2, told
    assert told[0].startswith("workers is 300")
    assert told[1].startswith("image tinny")


def test_an_image_that_is_too_large_for_the_flavor(hotrun: Hotrun, template: Template) -> None:
    """Nova would refuse it at the first machine."""
    code, found = planned(hotrun, template(), *flags({"image": "big"}))

    assert code == 3
    assert "m1.tiny is too small for the image big" in problems(found)["flavor-too-small"]["what"]


def test_a_machine_with_gpus_wants_an_image_for_them(hotrun: Hotrun, template: Template) -> None:
    """A warning: it would boot and train on the processor."""
    _, found = planned(hotrun, template(), *flags({"master_flavor": "g1.a100", "worker_flavor": "g1.a100"}))

    assert "image-without-driver" in problems(found, "warning")


def test_addresses_of_ones_own_network_are_seen(project: Project, hotrun: Hotrun, template: Template) -> None:
    """And a range that meets none is offered."""
    network = project.connection.network.create_network(name="mine")
    project.connection.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.8.1.0/24")
    try:
        path = template()
        _, found = planned(hotrun, path)
        internal = planned(hotrun, path, *flags({"external_network": "mine"}))[1]
    finally:
        project.connection.network.delete_network(network.id)

    assert "10.8.1.0/24 of mine" in problems(found, "warning")["network-overlap"]["what"]
    assert "network-not-external" in problems(internal)


def test_a_stack_of_that_name_is_said(project: Project, hotrun: Hotrun, template: Template) -> None:
    """Ours is gone on with: a warning, and no quota is asked of again."""
    path = template(workers="0")
    line = planned(hotrun, path, "--name", "taken")[1]["command"]
    run_line(project, line, path.parent)
    project.set_quota(instances=1)
    code, found = planned(hotrun, path, "--name", "taken")

    assert code == 0, found
    assert "stack-exists" in problems(found, "warning")


def test_prices_make_a_sum(hotrun: Hotrun, template: Template) -> None:
    """From a table of one's own."""
    path = template(workers=2)
    (path.parent / "prices.yml").write_text("unit: EUR\nm1.tiny: 0.5\n")
    _, found = planned(hotrun, path, "--prices", "prices.yml")

    assert found["cost"][0] == (
        "price: 1 × 0.5 + 2 × 0.5 = 1.50 EUR per hour; at most 36.00 EUR until the deadline of 24 h"
    )


def test_no_login_is_no_traceback(hotrun: Hotrun, template: Template) -> None:
    """Exit 4, with what was tried."""
    done = hotrun("plan", str(template()), OS_PASSWORD="wrong")

    assert done.returncode == 4, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_an_application_credential_is_named_before_anything_is_made(
    project: Project, hotrun: Hotrun, template: Template
) -> None:
    """A warning: this cloud may take it, many don't."""
    made = project.connection.identity.create_application_credential(project.user_id, "ci")
    login = {name: "" for name in project.environ if name not in ("OS_AUTH_URL", "OS_REGION_NAME")}
    login |= {
        "OS_AUTH_TYPE": "v3applicationcredential", "OS_APPLICATION_CREDENTIAL_ID": made.id,
        "OS_APPLICATION_CREDENTIAL_SECRET": made.secret, "OS_IDENTITY_API_VERSION": "3",
    }  # fmt: skip
    done = hotrun("plan", str(template()), "--json", **login)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "application-credential-may-fail" in problems(json.loads(done.stdout), "warning")
    assert made.secret not in done.stdout + done.stderr
