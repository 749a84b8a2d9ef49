"""The node's voice to Heat: one body, the transport that the job's line names, patient with the API.

HEAT_SIGNAL gives a user and password (a fresh token each time, so results can come hours later);
TOKEN_SIGNAL a URL and a token; NO_SIGNAL nothing.
"""

from __future__ import annotations

import http.client
import json
import math
import random
import time
import urllib.error
import urllib.request
from typing import Any, Callable, Sequence

from . import page
from .job import Job

MAX_REASON_CHARACTERS = 500  # Heat 19 hangs on reasons that its database column can't hold
_TRIES = 8
_TIMEOUT_S = 30


def send(
    job: Job, signal_id: str, *, ok: bool, reason: str, data: Any, note: Callable[[str], None],
    tries: int = _TRIES,
) -> bool:  # fmt: skip
    """Send one signal, trying again with growing pauses; whether Heat took it, or is not to be told.

    Never raises.
    """
    body = {"status": "SUCCESS" if ok else "FAILURE", "id": signal_id, "reason": plain(reason), "data": data}
    for attempt in range(tries):
        try:
            _send_once(job, json.dumps(body).encode(), note)
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            note(f"signal {signal_id}: {error}")
            if attempt + 1 < tries:
                time.sleep(random.uniform(0.5, 1.5) * 2**attempt)
        else:
            return True
    return False


def numbered(signal_id: str, rerun: int) -> str:
    """The id of a later run's signal: `gate-2`."""
    return f"{signal_id}-{rerun}" if rerun else signal_id


def gate(
    job: Job, verdict: dict[str, Any] | None, *, server: str, run: str, note: Callable[[str], None],
    rerun: int = 0, machines: Sequence[Any] = (), signal_id: str = "gate", off_at: float = math.inf,
) -> bool:  # fmt: skip
    """Tell Heat once how the gate was decided: None when every machine passed it.

    `machines`: name, address and host key of each that is known. `signal_id`: only the master's is `gate`.
    `off_at`: as the context has it.
    """
    reason = (
        f"{verdict['node']}: {verdict['stage']}: {verdict['what']}"
        if verdict
        else "master: every machine is ready"
    )
    state, problems = ("failed", [verdict]) if verdict else ("running", [])
    how = f"{len(machines)} machines as one" if len(machines) > 1 else "1 machine"
    told = page.page(
        page.failed(verdict) if verdict else f"training: {how}",
        page.table([("machine", "address"), *(each[:2] for each in machines)]) if machines else "",
        until=page.until(off_at), rerun=rerun,
    )  # fmt: skip
    data = {
        "state": state, "server": server, "run": run, "rerun": rerun, "problems": problems,
        "machines": machines, "page": told,
    }  # fmt: skip
    return send(job, numbered(signal_id, rerun), ok=verdict is None, reason=reason, data=data, note=note)


def plain(reason: str) -> str:
    """ASCII, one line, short: anything else can hang a stack."""
    return " ".join(reason.encode("ascii", "replace").decode().split())[:MAX_REASON_CHARACTERS]


def _send_once(job: Job, body: bytes, note: Callable[[str], None]) -> None:
    credentials = json.loads(job.signal) if job.signal.startswith("{") else None
    if credentials:
        url, token = credentials["alarm_url"], _token(credentials)
    elif job.signal_url and job.signal_token:
        url, token = job.signal_url, job.signal_token
    else:
        note("nothing is reported to Heat: the template's signal transport is off")
        return
    _post(url, body, {"X-Auth-Token": token})


def _token(credentials: dict[str, Any]) -> str:
    """A token of the stack's own user, who may only signal."""
    request = {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"id": credentials["user_id"], "password": credentials["password"]}},
            },
            "scope": {"project": {"id": credentials["project_id"]}},
        }
    }
    base = credentials["auth_url"].rstrip("/")
    base = base if base.endswith("/v3") else base + "/v3"
    return str(_post(base + "/auth/tokens", json.dumps(request).encode(), {})["X-Subject-Token"])


def _post(url: str, body: bytes, headers: dict[str, str]) -> Any:
    request = urllib.request.Request(
        url, body, {"Content-Type": "application/json", **headers}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            answer.read()
            return answer.headers
    except urllib.error.HTTPError as error:
        detail = error.read(500).decode("utf-8", "replace")
        raise OSError(f"{url.partition('?')[0]} answered {error.code} {detail}".strip()) from error
