"""The node's voice to Heat: one body, the transport that the job's line names, patient with the API.

HEAT_SIGNAL gives a user and password (a fresh token each time, so results can come hours later);
TOKEN_SIGNAL a URL and a token; NO_SIGNAL nothing.
"""

from __future__ import annotations

import json
import random
import time
import urllib.error
import urllib.request
from typing import Any, Callable

from .job import Job

MAX_REASON_CHARACTERS = 500  # Heat 19 hangs on reasons that its database column can't hold
_TRIES = 8
_TIMEOUT_S = 30


def send(job: Job, signal_id: str, *, ok: bool, reason: str, data: Any, note: Callable[[str], None]) -> bool:
    """Send one signal, trying again with growing pauses; whether Heat took it. Never raises."""
    body = {"status": "SUCCESS" if ok else "FAILURE", "id": signal_id, "reason": plain(reason), "data": data}
    for attempt in range(_TRIES):
        try:
            return _send_once(job, json.dumps(body).encode(), note)
        except (OSError, ValueError, KeyError) as error:
            note(f"signal {signal_id}: {error}")
            if attempt + 1 < _TRIES:
                time.sleep(random.uniform(0.5, 1.5) * 2**attempt)
    return False


def gate(
    job: Job, verdict: dict[str, Any] | None, *, server: str, run: str, note: Callable[[str], None]
) -> bool:
    """Tell Heat once how the gate was decided: None when every machine passed it."""
    reason = (
        f"{verdict['node']}: {verdict['stage']}: {verdict['what']}"
        if verdict
        else "master: every machine is ready"
    )
    state, problems = ("failed", [verdict]) if verdict else ("running", [])
    data = {"state": state, "server": server, "run": run, "problems": problems}
    return send(job, "gate", ok=verdict is None, reason=reason, data=data, note=note)


def plain(reason: str) -> str:
    """ASCII, one line, short: anything else can hang a stack."""
    return " ".join(reason.encode("ascii", "replace").decode().split())[:MAX_REASON_CHARACTERS]


def _send_once(job: Job, body: bytes, note: Callable[[str], None]) -> bool:
    credentials = json.loads(job.signal) if job.signal.startswith("{") else None
    if credentials:
        url, token = credentials["alarm_url"], _token(credentials)
    elif job.signal_url and job.signal_token:
        url, token = job.signal_url, job.signal_token
    else:
        note("nothing is reported to Heat: the template's signal transport is off")
        return False
    _post(url, body, {"X-Auth-Token": token})
    return True


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
