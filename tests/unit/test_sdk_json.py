"""Answers that the lab's cloud does not give: Blazar's leases, a Neutron without quota details, an old Nova, pages."""

from __future__ import annotations

import datetime as dt
from typing import Any

from cloud.stack.offers import Room
from cloud.stack.sdk.calls import Api
from cloud.stack.sdk.heat_json import stack_of
from cloud.stack.sdk.inventory import Survey
from cloud.stack.sdk.patience import Refusal
from cloud.stack.sdk.refused import cloud_error
from tests.unit.signalled import machine, stack

LEASE = {
    "id": "l1", "name": "digits", "status": "ACTIVE", "end_date": "2026-11-22T00:00:00.000000",
    "reservations": [
        {"id": "r1", "resource_type": "flavor:instance", "amount": 5},
        {"id": "r2", "resource_type": "physical:host", "min": 1, "max": 2},
    ],
}  # fmt: skip


class Answers(Survey):
    """Answers by path; what is not there is 404. Keeps what was asked."""

    def __init__(self, by_path: dict[str, Any], *services: str) -> None:
        self.by_path = by_path
        self.services = services
        self.asked: list[tuple[str, Any]] = []

    def _ask(self, method: str, service: str, path: str, doing: str, **more: Any) -> Any:
        self.asked.append((path, more))
        answer = self.by_path.get(path)
        if callable(answer):
            answer = answer(**more)
        if answer is None or isinstance(answer, int):
            raise cloud_error(Refusal(answer or 404, "no", service=service), doing)
        return answer

    def _project_id(self) -> str:
        return "p1"

    def _has_service(self, service: str) -> bool:
        return service in self.services


def test_leases_of_machines_and_hosts() -> None:
    """A flavor's reservation has an amount, a host's a least and a most; times are UTC."""
    flavor, host = Answers({"leases": {"leases": [LEASE]}}, "reservation").reservations() or []
    assert (flavor.id, flavor.lease_id, flavor.status, flavor.amount) == ("r1", "l1", "ACTIVE", 5)
    assert (host.resource_type, host.amount) == ("physical:host", 2)
    assert flavor.end == dt.datetime(2026, 11, 22, tzinfo=dt.UTC)


def test_machines_are_one_request_however_many() -> None:
    """Those of the stack out of the project's list, in their order; none is asked for before there is one."""
    cloud = Answers({"/servers/detail": {"servers": [_server("b"), _server("other"), _server("a")]}})
    resources = [machine("worker-1", identity="b"), machine("master", identity="a")]
    found = cloud.servers(stack(), resources)
    assert [server.id for server in found] == ["a", "b"]
    assert found[0].updated == dt.datetime(2026, 1, 1, 12, 5, tzinfo=dt.UTC)
    assert [path for path, _ in cloud.asked] == ["/servers/detail"]
    assert cloud.servers(stack(), []) == []
    assert len(cloud.asked) == 1


def _server(identity: str) -> dict[str, Any]:
    return {"id": identity, "name": identity, "status": "ACTIVE", "updated": "2026-01-01T12:05:00Z"}


def test_a_stack_has_its_time_out_and_its_change() -> None:
    """Minutes as a number or as text, none where Heat says nothing; no change is none."""
    told = {
        "id": "1",
        "stack_name": "digits",
        "stack_status": "CREATE_COMPLETE",
        "creation_time": "2026-01-01T12:00:00Z",
    }
    changed = {"updated_time": "2026-01-01T13:00:00Z", "timeout_mins": "90"}
    found = stack_of({**told, **changed})
    assert (found.timeout_min, found.updated) == (90, dt.datetime(2026, 1, 1, 13, tzinfo=dt.UTC))
    found = stack_of({**told, "updated_time": None, "timeout_mins": None})
    assert (found.timeout_min, found.updated) == (0, None)


def test_the_time_is_the_clouds() -> None:
    """This computer's clock may be wrong; what is no date changes nothing."""
    api = Api(None)  # type: ignore[arg-type]
    api._set_clock("Thu, 01 Jan 2026 12:00:00 GMT")
    api._set_clock("")
    api._set_clock("today")
    api._set_clock("Thu, 01 Jan 2026 12:00:00 -0000")
    assert f"{api.time():%Y-%m-%d}" == "2026-01-01"


def test_no_blazar_is_no_list() -> None:
    """None, and nobody is asked."""
    cloud = Answers({})
    assert cloud.reservations() is None
    assert cloud.asked == []


def test_quotas_without_details_are_counted() -> None:
    """Where Neutron has no usage, what the project has is counted; Nova that does not tell is left out."""
    limits = {"quota": {"port": 10, "network": -1}}
    ports = {"ports": [{"id": "a"}, {"id": "b"}]}
    cloud = Answers({"/quotas/p1": limits, "/ports": ports, "/networks": {"networks": []}})
    assert cloud.quotas() == {"ports": Room(limit=10, used=2), "networks": Room(limit=-1, used=0)}


def test_quotas_with_details_count_what_is_reserved() -> None:
    """Used is what is used and what is reserved."""
    details = {"quota": {"port": {"limit": 10, "used": 2, "reserved": 3}}}
    assert Answers({"/quotas/p1/details": details}).quotas() == {"ports": Room(limit=10, used=5)}


def test_an_old_nova_lists_flavors_without_extra_specs() -> None:
    """406 for the newer version of its API: asked again without."""
    tiny = {"id": "f1", "name": "m1.tiny", "vcpus": 1, "ram": 512, "disk": 3}

    def flavors(params: dict[str, str] | None = None, microversion: str | None = None, **_: Any) -> Any:
        if microversion:
            return 406
        return {"flavors": [] if params else [tiny]}

    (flavor,) = Answers({"/flavors/detail": flavors}).flavors()
    assert (flavor.name, flavor.ram_mib, dict(flavor.extra)) == ("m1.tiny", 512, {})


def test_lists_are_whole() -> None:
    """Pages are followed as Glance and Neutron link them, with the question's own words."""

    def ports(params: dict[str, Any], **_: Any) -> Any:
        assert params["network_id"] == "n1"
        if params.get("marker") == "a":
            return {"ports": [{"id": "b"}]}
        link = {"rel": "next", "href": "http://10.0.0.1:9696/v2.0/ports?limit=1&marker=a"}
        return {"ports": [{"id": "a"}], "ports_links": [link]}

    assert [port.id for port in Answers({"/ports": ports}).ports_on("n1")] == ["a", "b"]

    def images(params: dict[str, Any], **_: Any) -> Any:
        last = params.get("marker") == "i1"
        image = {"id": "i2" if last else "i1", "name": "x", "status": "active"}
        return {"images": [image]} | ({} if last else {"next": "/v2/images?marker=i1"})

    assert [image.id for image in Answers({"/images": images}).images()] == ["i1", "i2"]
