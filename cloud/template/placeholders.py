"""Facts that only a cloud knows, stood in for by values of the same form and length. Pure."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any

from cloud.resolve import Facts, workers

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = "x" * 32  # as long as the one that Heat makes
WORST_SIGNAL_CHARACTERS = 800  # seen: 460 to 500; long host names make the rest


def facts(parameters: Mapping[str, Any]) -> Facts:
    """Return facts to show a person: addresses in order, names that say what they stand for."""
    return Facts(
        stack_name="STACK", addresses=_addresses(parameters), secret=SECRET, signal=signal(parameters)
    )


def worst_facts(parameters: Mapping[str, Any]) -> Facts:
    """Return facts that take as many bytes in the user data as a cloud's can."""
    found = {
        name: "x" * WORST_SIGNAL_CHARACTERS if name == "signal" or value else value
        for name, value in signal(parameters).items()
    }
    return Facts(stack_name="STACK", addresses=("255.255.255.255",), secret=SECRET, signal=found)


def signal(parameters: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the signal handle's attributes as Heat gives them for each transport."""
    transport = parameters.get("signal_transport")
    if transport == "TOKEN_SIGNAL":
        return {"signal": "null", "endpoint": "https://HEAT/v1/PROJECT/stacks/STACK/signal", "token": "TOKEN"}
    if transport == "NO_SIGNAL":
        return {"signal": "{}", "endpoint": None, "token": None}
    user = {
        "alarm_url": "https://HEAT/v1/PROJECT/stacks/STACK/ID/resources/gate_handle/signal",
        "auth_url": "https://KEYSTONE/v3",
        "domain_id": "DOMAIN",
        "password": "PASSWORD",
        "project_id": "PROJECT",
        "region_name": "REGION",
        "user_id": "USER",
        "username": "STACK-gate_handle",
    }
    return {"signal": json.dumps(user), "endpoint": None, "token": None}


def _addresses(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        first = ipaddress.IPv4Network(str(parameters.get("network_cidr"))).network_address + 10
        return tuple(str(first + rank) for rank in range(workers(parameters) + 1))
    except ValueError:
        return tuple("ADDRESS" for _ in range(workers(parameters) + 1))
