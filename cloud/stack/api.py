"""What this program asks of a cloud, as plain data and one Protocol. No OpenStack library is imported here.

`sdk.py` is the real one. Its calls are tried again when an API stumbles, log in again when a token is over,
and raise `CloudError` with the cloud's own sentence; no other module sees an exception of openstacksdk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cloud.errors import HotrunError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from cloud.stack.offers import Flavor, Image, NetworkInfo, Reservation, Room

TAG = "hotrun"  # of every stack that `up` makes; those made in Horizon are known by their description
DESCRIPTION = "One master and its workers train a git repository together. Made by hotrun."


class CloudError(HotrunError):
    """A cloud refused or could not do something; `status` is the HTTP status, 0 when it did not answer."""

    def __init__(self, *problems: Any, status: int = 0) -> None:
        super().__init__(*problems)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One stack as Heat tells it."""

    id: str
    name: str
    status: str
    """`CREATE_IN_PROGRESS`, `CREATE_COMPLETE`, `UPDATE_FAILED` …"""
    reason: str
    created: dt.datetime
    """With its time zone, UTC."""
    updated: dt.datetime | None = None
    """When its newest change began; None before the first."""
    timeout_min: int = 0
    """After so many minutes Heat gives up what it is doing; 0 where it does not say."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Values as text; empty in a list of stacks."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """Empty in a list of stacks; `status` is JSON text as Heat gives it."""
    tags: tuple[str, ...] = ()
    description: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether this program made its template."""
        return TAG in self.tags or self.description == DESCRIPTION

    @property
    def workers(self) -> int:
        """Machines beside the master."""
        return self._number("workers")

    @property
    def rerun(self) -> int:
        """How many reruns were asked for."""
        return self._number("rerun")

    @property
    def is_silent(self) -> bool:
        """Whether its machines are asked to tell Heat nothing."""
        return self.parameters.get("signal_transport") == "NO_SIGNAL"

    @property
    def action(self) -> str:
        """`CREATE`, `UPDATE`, `DELETE` …"""
        return self.status.partition("_")[0]

    @property
    def is_settled(self) -> bool:
        """Whether Heat is done with it, well or not."""
        return not self.status.endswith("_IN_PROGRESS")

    @property
    def doing(self) -> str:
        """What Heat does with one that is not settled, `being made`; empty for what has no word here."""
        words = {"CREATE": "being made", "UPDATE": "being changed", "DELETE": "being deleted"}
        return words.get(self.action, "")

    @property
    def has_failed(self) -> bool:
        """Whether Heat gave up."""
        return self.status.endswith("_FAILED")

    def _number(self, parameter: str) -> int:
        """A parameter, which Heat tells as text, as a whole number; 0 for none."""
        try:
            return int(float(self.parameters.get(parameter, "0")))
        except (ValueError, OverflowError):
            return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource, of the stack itself or of the group inside it."""

    name: str
    """`master`; members of the group are `1`, `2` …"""
    type: str
    status: str
    reason: str
    id: str
    """The physical id; empty before there is one."""
    parent: str = ""
    """`worker_group` for its members, empty at the top."""

    @property
    def machine(self) -> str:
        """`master`, `worker-3`, or empty for what is no machine."""
        if self.type != "OS::Nova::Server":
            return ""
        return f"worker-{self.name}" if self.parent else self.name


def machine_ids(resources: Iterable[Resource]) -> dict[str, str]:
    """Name -> physical id of each machine that has one."""
    return {one.machine: one.id for one in resources if one.machine and one.id}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that Heat did, oldest first in a list."""

    id: str
    time: str
    resource: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A machine as Nova tells it."""

    id: str
    name: str
    status: str
    """`BUILD`, `ACTIVE`, `SHUTOFF`, `ERROR` …"""
    fault: str
    """Nova's sentence for `ERROR`, else empty."""
    metadata: Mapping[str, str]
    addresses: tuple[str, ...]
    """Fixed addresses first, floating ones after."""
    updated: dt.datetime | None = None
    """When Nova last changed something of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port on a network, with who uses it."""

    id: str
    name: str
    """Often empty."""
    device_id: str
    """The machine or the router that it belongs to; empty for none."""
    device_owner: str
    """`compute:nova`, `network:dhcp`, `network:router_interface` …"""


class Cloud(Protocol):
    """One project on one cloud. Every method may raise CloudError; lists are whole, whatever the paging."""

    @property
    def label(self) -> str:
        """`chameleon / RegionOne / project demo`, for people."""

    @property
    def is_application_credential(self) -> bool:
        """Whether the login is an application credential, which some clouds let make no stacks."""

    def time(self) -> dt.datetime:
        """What time it is for the cloud: this computer's clock, set by the last answer. Asks nothing."""

    def heat_version(self) -> str:
        """Heat's version as it tells it (`build_info`), or empty."""

    def validate(self, template: str) -> None:
        """Let Heat read a template; CloudError with its sentence."""

    def preview(self, name: str, template: str, parameters: Mapping[str, Any]) -> int:
        """Let Heat go through all but the making; how many resources there would be."""

    def create(
        self, name: str, template: str, parameters: Mapping[str, Any], *, timeout_min: int,
        tags: Sequence[str],
    ) -> str:  # fmt: skip
        """Begin to make a stack, without rollback; its id. A stack that a lost answer had made counts."""

    def update(self, stack: Stack, parameters: Mapping[str, Any]) -> None:
        """Begin to change parameters; all others, the template and the tags stay (PATCH)."""

    def signal(self, stack: Stack, resource: str, details: Mapping[str, Any]) -> None:
        """Tell a resource something, as the stack's owner; a wait condition's handle keeps it by its `id`."""

    def delete(self, stack_id: str) -> None:
        """Begin to delete; a stack that is gone is no error."""

    def stack(self, name_or_id: str) -> Stack | None:
        """A stack with parameters and outputs, None when there is none (a deleted one is none)."""

    def stacks(self) -> list[Stack]:
        """The project's stacks that are ours, newest first."""

    def template(self, stack_id: str) -> str:
        """The template of a stack as YAML text."""

    def resources(self, stack_id: str) -> list[Resource]:
        """All resources, those of the group too."""

    def events(self, stack_id: str) -> list[Event]:
        """All events, those of the group too, oldest first."""

    def server(self, server_id: str) -> Server | None:
        """A machine, None when it is gone."""

    def servers(self, stack: Stack, resources: Sequence[Resource] | None = None) -> list[Server]:
        """The machines of a stack, master first, then workers in their order.

        `resources`: those of the stack, where they are known already.
        """

    def console(self, server_id: str, lines: int = 200) -> str:
        """The end of a machine's console, empty where the cloud has none."""

    def start_server(self, server_id: str) -> None:
        """Start a machine that is shut off; one that runs, or is being started, is no error."""

    def ports_of(self, server_ids: Sequence[str]) -> list[str]:
        """Ids of the ports of machines, whoever made them."""

    def ports_on(self, network_id: str) -> list[Port]:
        """Ports on a network, whoever made them; none when the network is gone."""

    def exists(self, resource_type: str, physical_id: str) -> bool:
        """Whether a physical resource is still there (types of Heat; `OS::Neutron::Port` for ports)."""

    def flavors(self) -> list[Flavor]:
        """All flavors that the project may use."""

    def images(self) -> list[Image]:
        """All images that the project may use."""

    def key_names(self) -> list[str]:
        """Names of the user's key pairs."""

    def networks(self) -> list[NetworkInfo]:
        """All networks that the project sees."""

    def free_floating_ips(self, network_id: str) -> int:
        """Floating addresses of the project on a network that are bound to nothing."""

    def quotas(self) -> Mapping[str, Room]:
        """Room by name: instances, cores, ram_mib, ports, floating_ips, security_groups, networks …

        What a cloud does not tell is missing.
        """

    def reservations(self) -> list[Reservation] | None:
        """Parts of the project's leases; None where the cloud has no Blazar."""
