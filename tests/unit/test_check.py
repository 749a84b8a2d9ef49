"""Each finding about a template: its code, its line, and that nothing makes `check` raise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud import check, explain, hot, plan, userdata
from cloud.errors import ProblemsFound
from tests.unit.clusters import AWKWARD, cluster
from tests.unit.edits import PLACES, VALUES, edited

TEXT = hot.text(cluster(network={"ssh_cidr": "129.114.0.0/16"}))
BARE_METAL = hot.text(
    replace(
        cluster(network={"security_group": False, "ssh_cidr": "10.0.0.0/8"}), profile="chameleon-baremetal"
    )
)


def line_of(text: str, words: str) -> int:
    """Return the number of the first line with these words."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if words in line)


def test_generated_template_has_no_problems() -> None:
    """What the generator makes, `check` accepts, with odd strings too."""
    assert check.problems(TEXT) == []
    assert check.problems(hot.text(cluster(args=AWKWARD, network={"ssh_cidr": "10.0.0.0/8"}))) == []


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("heat_template_version: '2018-08-31'", "heat_template_version: '2016-10-14'", "heat-version"),
        ("\nconditions:\n", "\ncondition:\n", "unknown-key"),
        ("    label: Git repository", "    lable: Git repository", "unknown-key"),
        ("    depends_on: [master, worker_group]", "    depends_on: [master, workers]", "resource-undefined"),
        ("    condition: has_security_group\n", "    condition: has_security_groups\n", "condition-undefined"),
        ("{if: [has_key, {get_param: key_name}", "{if: [has_a_key, {get_param: key_name}", "condition-undefined"),
        ("image: {get_param: image}", "image: {get_param: imag}", "parameter-undefined"),
        ("network: {get_resource: network}", "network: {get_resource: net}", "resource-undefined"),
        ("value: {get_attr: [gate, data]}", "value: {get_attr: [gates, data]}", "resource-undefined"),
        ("parameters: [external_network, ssh_cidr]", "parameters: [external_network, ssh]", "parameter-undefined"),
        ("parameters: [external_network, ssh_cidr]", "parameters: [external_network, repo]", "parameter-twice"),
        ("  secret:\n    type: OS::Heat", "  workers:\n    type: OS::Heat", "name-twice"),
        ("custom_constraint: nova.keypair", "custom_constraint: glance.image", "custom-constraint"),
        ("    label: SSH key pair", "    label: The SSH key pair that every machine of the cluster gets", "label-too-long"),
        ("    type: comma_delimited_list", "    type: json", "parameter-type"),
        ("allowed_pattern: '[0-9A-Za-z-]*'", "allowed_pattern: '[0-9A-Za-z-'", "pattern-invalid"),
        ("default: 129.114.0.0/16", "default: 129.114.0.0", "parameter-invalid"),
        ("default: 129.114.0.0/16", "default: 129.114.0.1/16", "address-malformed"),
        ("default: 8.8.8.8,8.8.4.4", "default: 8.8.8.8,dns", "address-malformed"),
        ("default: 10.8.0.0/23", "default: 10.8.0.0/29", "network-too-small"),
        ("default: 3000", "", "parameter-missing"),
        ("      user_data_format: RAW", "      user_data_format: HEAT_CFNTOOLS", "user-data-format"),
        ("        port_range_max: 22", "        port_range_max: 8888", "ports-open"),
        ("- {remote_mode: remote_group_id}", "- {protocol: tcp}", "ports-open"),
        ("- {remote_mode: remote_group_id}", "- {protocol: tcp, remote_ip_prefix: '0.0.0.0/0'}", "ports-open"),
        ("            @@JOB@@\n", "            @@JOB @@\n", "job-token"),
        ("            set -Eeuo pipefail\n", "            set -Eeuo pipefail # @@JOB@@\n", "job-token"),
        ("hotrun_rank: '0'", "hotrun_rank: '1'", "machine-metadata"),
        ("removal_policies: [{resource_list: ['0']}]", "removal_policies: []", "machine-metadata"),
        ("secret: {get_attr: [secret, value]}", "secret: {digest: ['sha512', x]}", "cannot-resolve"),
        ("torch_index: auto", "torch_index: https://me:hunter2@example.org/simple", "secret-in-url"),
        ("default: m1.medium", "default: baremetal", "reservation-missing"),
        ("\noutputs:\n", "\noutputs: []\nx:\n", "wrong-shape"),
        ("\nparameters:\n", "\nparameters: []\nconditions:\n", "wrong-shape"),
        ("    - range: {min: 0, max: 254}", "    - rnge: {min: 0, max: 254}", "wrong-shape"),
    ],
)  # fmt: skip
def test_each_mistake_is_found(old: str, new: str, code: str) -> None:
    """An edit by hand is named by its code, and the place lies within the file."""
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    found = {problem.code: problem for problem in check.problems(text)}
    assert code in found
    assert 1 <= int(found[code].where.removeprefix("template.yml:")) <= len(text.splitlines())


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("\n  master:\n", "\n  mastr:\n", "resource-undefined", "rename mastr to master"),
        ("\n  worker_group:\n", "\n  workers_x:\n", "resource-undefined", "resources has no worker_group"),
        ("type: OS::Nova::Server\n", "type: OS::Nova::Sever\n", "wrong-shape", "resources.master.type must be OS::Nova"),
        ("        str_replace_strict:\n", "        str_replace_strct:\n", "wrong-shape", "must be str_replace_strict of"),
        ("\nresources:\n", "\nresource:\n", "unknown-key", "did you mean resources?"),
    ],
)  # fmt: skip
def test_a_template_of_ours_that_was_broken_by_hand_is_still_ours(
    old: str, new: str, code: str, said: str
) -> None:
    """The mark of the first line decides; the problem is named precisely, and explained around."""
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    found = check.problems(text)
    assert code in {problem.code for problem in found}
    assert any(said in f"{problem.what} {problem.fix}" for problem in found)
    assert not {"not-a-hotrun-template", "job-token", "node-program-damaged"} & {item.code for item in found}
    assert "network" in explain.explain(plan.make(text))


def test_without_the_mark_a_template_must_have_what_ours_have() -> None:
    """A template of somebody else is refused, not explained."""
    text = TEXT.replace("\n  master:\n", "\n  mastr:\n", 1)
    with pytest.raises(ProblemsFound, match="was not made by hotrun"):
        plan.make(text.partition("\n")[2])


def test_a_mark_alone_is_no_template() -> None:
    """Nothing below it can be explained."""
    (problem,) = check.problems(TEXT.partition("\n")[0] + "\n")
    assert (problem.code, problem.where) == ("wrong-shape", "template.yml:1")


def test_place_is_the_line_of_the_mistake() -> None:
    """The user's own line, and the word that was probably meant."""
    text = TEXT.replace("image: {get_param: image}", "image: {get_param: imag}", 1)
    (problem,) = check.problems(text, name="my.yml")
    assert f"my.yml:{line_of(text, 'imag}')}" == problem.where
    assert problem.fix == "did you mean image?"


def test_problems_come_in_the_order_of_the_file() -> None:
    """Overrides first, then line by line."""
    text = TEXT.replace("format: RAW", "format: HEAT", 1).replace("'2018-08-31'", "'2013-05-23'")
    text = text.replace("port_range_max: 22", "port_range_max: 99")
    codes = [problem.code for problem in check.problems(text)]
    assert ["heat-version", "ports-open", "user-data-format"] == codes
    assert check.problems(text, {"nope": 1})[0].code == "unknown-parameter"


def test_hand_edited_program_is_found() -> None:
    """A program that the machines would refuse is refused here."""
    sha256 = userdata.program_sha256(userdata.boot_text())
    (problem,) = check.problems(TEXT.replace(sha256, "0" * 64))
    assert problem.code == "node-program-damaged"


def test_user_data_beyond_the_limit_is_an_error() -> None:
    """A stack that could not be deleted is never made: the worst case of this job counts."""
    env = tuple(f"A{number}={'ü' * 200}" for number in range(20))
    (problem,) = [found for found in check.problems(hot.text(cluster(env=env))) if found.level == "error"]
    assert problem.code == "user-data-too-large"
    assert "49,149" in problem.what


def test_overrides_are_judged_like_defaults() -> None:
    """What is typed at launch can break what the file alone does not."""
    codes = {
        problem.code for problem in check.problems(TEXT, {"workers": "254", "network_cidr": "10.0.0.0/24"})
    }
    assert codes == {"network-too-small"}
    assert [problem.where for problem in check.problems(TEXT, {"workers": "300"})] == ["--parameter workers"]


def test_open_ssh_is_a_note_and_a_local_repository_a_warning() -> None:
    """Both are possible, and said."""
    found = {
        problem.code: problem.level for problem in check.problems(hot.text(cluster(repo="/home/me/digits")))
    }
    assert found == {"ssh-open": "note", "repository-local": "warning"}


def test_bare_metal_without_reservations_is_a_warning() -> None:
    """It starts only with a lease; with a security group it would fail."""
    flavors = {"master_flavor": "baremetal", "worker_flavor": "baremetal"}
    found = [problem.code for problem in check.problems(BARE_METAL, flavors)]
    assert found == ["reservation-missing"] * 2
    alone = [problem.what for problem in check.problems(BARE_METAL, flavors | {"workers": "0"})]
    assert alone == ["master_reservation is empty, and bare metal starts only with a lease"]
    given_ids = flavors | {"master_reservation": "a", "worker_reservation": "b", "security_groups": "yes"}
    assert [problem.code for problem in check.problems(BARE_METAL, given_ids)] == [
        "security-groups-on-bare-metal"
    ]


def test_credentials_are_found_and_never_repeated() -> None:
    """Not in the file, not in an override, and no message shows them."""
    text = TEXT.replace("torch_index: auto", "torch_index: https://me:hunter2@example.org/simple")
    found = check.problems(text, {"image": "http://me:hunter2@x/y"})
    assert ["secret-in-url", "secret-in-url"] == [problem.code for problem in found]
    assert "hunter2" not in str(found)


def test_large_templates_are_found() -> None:
    """Heat's limit is an error, our own a warning."""
    codes = {
        size: {(p.code, p.level) for p in check.problems(TEXT + "# x\n" * (size // 4))}
        for size in (20_000, 600_000)
    }
    assert codes == {20_000: {("template-large", "warning")}, 600_000: {("template-too-large", "error")}}


@pytest.mark.parametrize(
    "text", ["", "\x00", "a: [", "[" * 5000, "- 1", "resources: 3", "\ud800", "1: 2", "a: !!python/x y"]
)
def test_no_text_makes_it_raise(text: str) -> None:
    """Whatever the text is, there is a list of problems."""
    assert [problem.level for problem in check.problems(text)][:1] == ["error"]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.sampled_from(PLACES), value=VALUES)
def test_no_edit_makes_it_raise(place: tuple[Any, ...], value: Any) -> None:
    """Any value in any place of a template gives a list of problems, never an exception."""
    assert isinstance(check.problems(edited(place, value)), list)


@pytest.mark.parametrize("wrong", ["get_parm", "get_resorce", "list_joins"])
def test_a_misspelt_function_is_found(wrong: str) -> None:
    """Heat would take it for a plain map and refuse the stack."""
    text = hot.text(cluster())
    right = {"get_parm": "get_param", "get_resorce": "get_resource", "list_joins": "list_join"}[wrong]
    at = text.index("\nresources:")
    text = text[:at] + text[at:].replace(f"{right}:", f"{wrong}:", 1)

    (found,) = [problem for problem in check.problems(text) if problem.level == "error"]

    assert (found.code, found.fix) == ("unknown-key", f"did you mean {right}?")
