from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from cloud.rehearse.standins import Server, StandIns

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def services() -> Iterator[StandIns]:
    """Stand-ins with one machine."""
    stand_ins = StandIns("127.0.0.1", "digits")
    metadata = {"hotrun_rank": "1", "hotrun_workers": "2"}
    stand_ins.serve(
        Server(name="worker-1", address="127.9.9.3", metadata=metadata, user_data=b"#!x", uuid="u-1")
    )
    yield stand_ins
    stand_ins.close()


def post(url: str, body: bytes, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of an answer, errors included."""
    request = urllib.request.Request(
        url, body, {key.replace("_", "-"): value for key, value in headers.items()}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def credentials(services: StandIns, **changed: str) -> tuple[dict[str, Any], bytes]:
    """The signal attribute and the body that asks for a token with it."""
    told = json.loads(services.signal_attributes("HEAT_SIGNAL")["signal"] or "")
    user = {"id": told["user_id"], "password": told["password"], **changed}
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"id": told["project_id"]}}
    return told, json.dumps({"auth": {"identity": identity, "scope": scope}}).encode()


def test_metadata_is_openstacks(services: StandIns) -> None:
    """A machine finds uuid, metadata, address and user data where Nova puts them."""
    base = services.metadata_url("worker-1")
    found = {}
    for path in (
        "openstack/latest/meta_data.json",
        "latest/meta-data/local-ipv4",
        "openstack/latest/user_data",
    ):
        with urllib.request.urlopen(f"{base}/{path}") as answer:
            found[path.rpartition("/")[2]] = answer.read()
    meta = json.loads(found["meta_data.json"])
    assert (meta["uuid"], meta["meta"]) == ("u-1", {"hotrun_rank": "1", "hotrun_workers": "2"})
    assert (found["local-ipv4"], found["user_data"]) == (b"127.9.9.3", b"#!x")


def test_a_token_needs_the_right_user_and_password(services: StandIns) -> None:
    """Wrong credentials get 401 without a token, right ones 201 with one."""
    told, right = credentials(services)
    url = told["auth_url"] + "/auth/tokens"
    for wrong in ({"password": "x"}, {"id": "x"}):
        status, _, headers = post(url, credentials(services, **wrong)[1])
        assert (status, "X-Subject-Token" in headers) == (401, False)
    status, _, headers = post(url, right)
    assert (status, bool(headers["X-Subject-Token"])) == (201, True)


def test_heat_signal_with_a_token_is_recorded(services: StandIns) -> None:
    """The way of a machine: a token from Keystone, then the alarm URL, which answers null."""
    told, right = credentials(services)
    token = post(told["auth_url"] + "/auth/tokens", right)[2]["X-Subject-Token"]
    body = json.dumps({"id": "gate", "status": "SUCCESS", "data": {"a": 1}, "reason": "ready"}).encode()
    status, answer, _ = post(told["alarm_url"], body, X_Auth_Token=token)
    assert (status, answer) == (200, b"null")
    assert (services.condition.state, services.condition.data) == ("complete", {"gate": {"a": 1}})


@pytest.mark.parametrize("token", [{}, {"X_Auth_Token": "stolen"}])
def test_signals_without_a_known_token_are_refused(services: StandIns, token: dict[str, str]) -> None:
    """A missing or an unknown token is 401 and nothing is recorded."""
    told, _ = credentials(services)
    assert post(told["alarm_url"], b"{}", **token)[0] == 401
    assert services.condition.data == {}


def test_a_bad_body_is_answered_200_and_dropped(services: StandIns) -> None:
    """The machine can't know; only who listens here does."""
    heard = []
    services.on_signal = lambda recorded, body: heard.append((recorded, body))
    told = services.signal_attributes("TOKEN_SIGNAL")
    status, answer, _ = post(str(told["endpoint"]), b'{"status": "DONE"}', X_Auth_Token=str(told["token"]))
    assert (status, answer, heard) == (200, b"null", [(False, {"status": "DONE"})])


def test_a_body_beyond_heats_limit_is_400(services: StandIns) -> None:
    """1,048,576 bytes are taken, one more is refused with Heat's own sentence."""
    told = services.signal_attributes("TOKEN_SIGNAL")
    frame = len(b'{"data": ""}')
    for size, expected in ((1_048_576, 200), (1_048_577, 400)):
        body = b'{"data": "' + b"x" * (size - frame) + b'"}'
        status, answer, _ = post(str(told["endpoint"]), body, X_Auth_Token=str(told["token"]))
        assert (len(body), status) == (size, expected)
    assert b"exceeds maximum allowed size (1048576 bytes)" in answer


@pytest.mark.parametrize(
    ("transport", "expected"), [("NO_SIGNAL", ("{}", False)), ("TOKEN_SIGNAL", ("null", True))]
)
def test_attributes_follow_the_transport(
    services: StandIns, transport: str, expected: tuple[str, bool]
) -> None:
    """Each transport fills its own attributes and leaves the others as Heat does."""
    told = services.signal_attributes(transport)
    assert (told["signal"], bool(told["endpoint"] and told["token"])) == expected
