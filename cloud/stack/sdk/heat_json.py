"""Heat's JSON -> plain data. Pure."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from cloud.stack.api import Event, Resource, Stack

if TYPE_CHECKING:
    from collections.abc import Mapping


def stack_of(told: Mapping[str, Any]) -> Stack:
    """One stack of Heat's JSON; a list has neither parameters nor outputs."""
    return Stack(
        id=str(told["id"]),
        name=str(told["stack_name"]),
        status=str(told["stack_status"]),
        reason=str(told.get("stack_status_reason") or ""),
        created=moment(told["creation_time"]),
        updated=moment(told["updated_time"]) if told.get("updated_time") else None,
        timeout_min=_minutes(told.get("timeout_mins")),
        parameters={key: text_of(value) for key, value in (told.get("parameters") or {}).items()},
        outputs={entry["output_key"]: entry.get("output_value") for entry in told.get("outputs") or ()},
        tags=tuple(told.get("tags") or ()),
        description=str(told.get("description") or ""),
    )


def resource_of(told: Mapping[str, Any]) -> Resource:
    """One resource of Heat's JSON; `parent_resource` is there in what is nested."""
    return Resource(
        name=str(told["resource_name"]),
        type=str(told["resource_type"]),
        status=str(told["resource_status"]),
        reason=str(told.get("resource_status_reason") or ""),
        id=str(told.get("physical_resource_id") or ""),
        parent=str(told.get("parent_resource") or ""),
    )


def event_of(told: Mapping[str, Any]) -> Event:
    """One event of Heat's JSON."""
    return Event(
        id=str(told["id"]),
        time=str(told["event_time"]),
        resource=str(told["resource_name"]),
        status=str(told["resource_status"]),
        reason=str(told.get("resource_status_reason") or ""),
    )


def text_of(value: Any) -> str:
    """A parameter's value as Heat shows it: True, ["a"], text."""
    return (
        value
        if isinstance(value, str)
        else json.dumps(value)
        if isinstance(value, (list, dict))
        else str(value)
    )


def moment(text: str) -> dt.datetime:
    """A service's time, UTC: `2026-11-21T19:52:01Z`, `…01.000000`."""
    found = dt.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _minutes(value: Any) -> int:
    """None, or text in some answers."""
    try:
        return max(0, int(value or 0))
    except (TypeError, ValueError):
        return 0
