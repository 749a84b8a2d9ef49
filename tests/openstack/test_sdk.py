"""openstacksdk behind our Protocol, against the real thing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cloud.stack.api import CloudError, machine_ids
from cloud.stack.sdk import Sdk
from tests.openstack import ending, stumbling
from tests.openstack.stumbling import Stumbling, sdk_through
from tests.unit import cloud_rules
from tests.unit.cloud_rules import RULES, VALUES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloud.stack.api import Cloud, Stack
    from tests.openstack.conftest import Template
    from tests.openstack.projects import Project

LOOK_S = 240.0


@pytest.fixture
def text(template: Template) -> str:
    """The template that the rules are about."""
    return template(workers=1).read_text(encoding="utf-8")


@pytest.fixture
def api(project: Project) -> Iterator[Stumbling]:
    """Heat's API behind a proxy that stumbles when told to."""
    with Stumbling(project.cloud.connection.orchestration.get_endpoint()) as stumbling:
        yield stumbling


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_real_cloud_follows(rule: Callable[[Cloud, str], None], project: Project, text: str) -> None:
    """A real cloud answers as the Protocol says."""
    rule(project.cloud, text)


def test_a_stack_lives(project: Project, text: str) -> None:
    """Made, signalled, grown in place and gone with all that it made."""
    cloud_rules.a_stack_lives(project.cloud, text, looking(project.cloud))


def test_a_create_whose_answer_was_lost_counts_as_made(project: Project, text: str, api: Stumbling) -> None:
    """Heat makes the stack, the answer is lost: there is one stack, its id is returned, and we said that we wait."""
    said: list[str] = []
    cloud = sdk_through(project, api, said)
    api.loses_answers = 1
    stack_id = cloud.create("lost", text, VALUES, timeout_min=60, tags=["hotrun", "once"])
    assert [stack.id for stack in project.cloud.stacks()] == [stack_id]
    assert api.seen.count("POST") == 1


def test_a_create_whose_request_was_lost_is_sent_again(project: Project, text: str, api: Stumbling) -> None:
    """The API breaks off before Heat hears of it, then asks to wait: sent until it is taken, once."""
    cloud = sdk_through(project, api, [])
    api.next_statuses = [0, 429, 503, 502]
    stack_id = cloud.create("again", text, VALUES, timeout_min=60, tags=["hotrun"])
    assert [stack.id for stack in project.cloud.stacks()] == [stack_id]


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503, 504])
def test_a_stumbling_api_is_asked_again(project: Project, api: Stumbling, status: int) -> None:
    """A broken connection, 429 and 5xx pass unnoticed, but for a word when it takes long."""
    cloud = sdk_through(project, api, [])
    api.next_statuses = [status, status]
    assert cloud.stacks() == []
    assert len(api.seen) >= 3


def test_a_start_whose_answer_was_lost_counts_as_done(project: Project, template: Template) -> None:
    """Nova starts the machine, the answer is lost, and it refuses to do so twice."""
    stack = ending.made(project.cloud, template(workers=0))
    (master,) = machine_ids(project.cloud.resources(stack.id)).values()
    project.connection.compute.stop_server(master)
    ending.until_so(lambda: _status(project, master) == "SHUTOFF")
    with Stumbling(project.connection.compute.get_endpoint()) as nova:
        nova.loses_answers = 1
        sdk_through(project, nova, [], service="compute").start_server(master)
        assert nova.seen.count("POST") == 2
    ending.until_so(lambda: _status(project, master) == "ACTIVE")


def test_an_api_that_stays_away_ends_in_a_sentence(project: Project, api: Stumbling) -> None:
    """After the time that was given the error names Heat and its status; waiting was said."""
    said: list[str] = []
    cloud = sdk_through(project, api, said, limit_s=8.0)  # three pauses, by chance 3.5 to 7 s
    api.next_statuses = [503] * 50
    with pytest.raises(CloudError) as failed:
        cloud.stacks()
    assert failed.value.status == 503
    assert failed.value.problems[0].code == "cloud-stumbles"
    assert said
    assert said[0].startswith("Heat answers 503; asking again for")


def test_a_token_that_ends_is_replaced(project: Project) -> None:
    """Tokens that Keystone takes back in the middle of the work are replaced without a word."""
    assert project.cloud.stacks() == []
    project.expire_tokens()
    assert project.cloud.stacks() == []
    project.expire_tokens()
    assert "m1.tiny" in {flavor.name for flavor in project.cloud.flavors()}


def test_a_wrong_password_in_the_middle_is_said(project: Project) -> None:
    """When the login itself is over, the sentence says so, without the password."""
    cloud = Sdk(stumbling.with_password(project))  # not the one that tidies up
    assert cloud.stacks() == []
    login = cloud.connection.session.auth
    login._password, login._plugin = "changed-since", None
    project.expire_tokens()
    with pytest.raises(CloudError) as failed:
        cloud.stacks()
    assert failed.value.status == 401
    assert failed.value.problems[0].code == "login-over"
    assert "changed-since" not in str(failed.value)


def test_application_credentials_are_known_and_their_500_is_translated(project: Project, text: str) -> None:
    """An application credential is recognised; where Keystone lets it make no stack, the error says what to do."""
    made = project.connection.identity.create_application_credential(user=project.user_id, name="robot")
    cloud = Sdk(stumbling.with_credential(project, made.id, made.secret))
    assert cloud.is_application_credential
    cloud.preview("robot", text, VALUES)
    try:
        cloud.create("robot", text, VALUES, timeout_min=60, tags=["hotrun"])
    except CloudError as error:
        assert error.problems[0].code == "application-credential"  # noqa: PT017 - older Keystones let it
        assert project.cloud.stacks() == []


def test_a_stack_of_horizon_is_ours_by_its_description(project: Project, text: str) -> None:
    """A stack that was launched without our tags is listed; a foreign one is not."""
    foreign = (
        "heat_template_version: 2018-08-31\ndescription: Other.\nresources: {r: {type: OS::Heat::None}}\n"
    )
    ours = foreign.replace(
        "Other.", "One master and its workers train a git repository together. Made by hotrun."
    )
    project.cloud.create("foreign", foreign, {}, timeout_min=5, tags=[])
    project.cloud.create("horizon", ours, {}, timeout_min=5, tags=[])
    assert [stack.name for stack in project.cloud.stacks()] == ["horizon"]


def looking(cloud: Cloud) -> Callable[[str, Callable[[Stack], bool]], Stack]:
    """Look every two seconds until a stack is so."""

    def look(name: str, is_so: Callable[[Stack], bool]) -> Stack:
        until = time.monotonic() + LOOK_S
        while True:
            found = cloud.stack(name)
            if found is not None and is_so(found):
                return found
            assert found is not None
            assert not found.has_failed, found.reason
            assert time.monotonic() < until, found
            time.sleep(2)

    return look


def _status(project: Project, server_id: str) -> str:
    found = project.cloud.server(server_id)
    return found.status if found else ""
