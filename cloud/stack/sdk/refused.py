"""What openstacksdk and keystoneauth raise -> Refusal -> CloudError with the cloud's own sentence.

Addresses, request ids and tokens are no part of a sentence. openstacksdk is imported when something failed.
"""

from __future__ import annotations

import re
from typing import Any

from cloud.errors import Problem
from cloud.stack.api import CloudError
from cloud.stack.sdk.patience import Refusal

NAMES = {  # service type of the catalogue -> what people call it
    "orchestration": "Heat", "compute": "Nova", "network": "Neutron", "image": "Glance",
    "identity": "Keystone", "reservation": "Blazar", "block-storage": "Cinder",
}  # fmt: skip


def refusal_of(error: Exception, service: str) -> Refusal | None:
    """The failure that an exception of openstacksdk or keystoneauth stands for; None for any other."""
    from keystoneauth1 import exceptions as ksa
    from openstack import exceptions as sdk

    name = name_of(service)
    if isinstance(error, sdk.HttpException):
        headers = error.response.headers if error.response is not None else {}
        sentence = plain(str(error.details or error.message))
        return Refusal(error.status_code or 0, sentence, service=name, retry_after_s=_seconds(headers))
    if isinstance(error, ksa.HttpError):  # from Keystone, while logging in again
        return Refusal(int(error.http_status or 0), plain(error.message or str(error)), service="Keystone")
    if isinstance(error, ksa.SSLError):
        return Refusal(
            495, plain(str(error)), service=name
        )  # nginx's number for it; trying again is of no use
    if isinstance(error, ksa.ConnectionError):
        return Refusal(0, unreached(str(error)) or plain(str(error)), service=name)
    if isinstance(error, (ksa.EndpointNotFound, sdk.ServiceDisabledException)):
        return Refusal(404, f"this cloud's catalogue has no {name}", service=name)
    if isinstance(error, (ksa.ClientException, sdk.SDKException)):
        return Refusal(400, plain(str(error)), service=name)
    return None


def name_of(service: str) -> str:
    """What people call a service type of the catalogue."""
    return NAMES.get(service, service)


def cloud_error(refusal: Refusal, doing: str) -> CloudError:
    """What a person reads of a failed call; `doing` completes `Heat refused to …`."""
    name, status, said = refusal.service or "the cloud", refusal.status, refusal.sentence
    if status == 0:
        what, code = f"{name} did not answer: {said}", "cloud-unreachable"
        fix = "look at the cloud's status page and this computer's network; then type the command again"
    elif status == 401:
        what, code = f"{name} does not accept this login any more: {said}", "login-over"
        fix = "log in anew (a new token, application credential or password), then type the command again"
    elif status == 403 and "quota" in said.lower():
        what, code = f"{name} refused to {doing}: {said}", "cloud-quota"
        fix = "free what is not needed, take fewer or smaller machines, or ask the cloud's people for more"
    elif status == 403:
        what, code = f"{name} does not let this login {doing}: {said}", "cloud-forbids"
        fix = "ask the project's owner for a role that may, for instance member"
    elif status in {429, 495} or status >= 500:
        what, code = f"{name} could not {doing} ({status}): {said}", "cloud-stumbles"
        fix = "it was tried again in vain; type the command again later, or tell the cloud's people"
    else:
        what, code, fix = f"{name} refused to {doing}: {said}", "cloud-refused", ""
    return CloudError(Problem(code=code, what=what, fix=fix), status=status)


def plain(text: str) -> str:
    """A sentence without addresses, request ids and class names around it."""
    for pattern, instead in _NOISE:
        text = pattern.sub(instead, text)
    return " ".join(text.split()) or "no reason was given"


def unreached(text: str) -> str:
    """Why nobody answered, in few words; empty for what this table does not know."""
    return next((words for pattern, words in _UNREACHED if pattern.search(text)), "")


_UNREACHED = (
    (
        re.compile(r"(?i)failed to resolve|name resolution|name or service not known"),
        "its name is unknown here",
    ),
    (re.compile(r"(?i)connection refused"), "the connection was refused"),
    (re.compile(r"(?i)timed? ?out"), "no answer in time"),
    (re.compile(r"(?i)no route to host|network is unreachable"), "there is no route to it"),
    (
        re.compile(r"(?i)connection (?:reset|aborted)|remote end closed|incomplete ?read"),
        "the connection broke",
    ),
)
_NOISE = (
    (re.compile(r"^\s*ERROR:\s*"), ""),
    (re.compile(r"\(Request-ID: [^)]*\)|Neutron server returns request_ids: \[[^\]]*\]"), ""),
    (re.compile(r"\(HTTP \d{3}\)"), ""),
    (re.compile(r"\b\w*(?:Exception|Error): \d{3}: (?:Client|Server) Error for url: \S+?,? "), ""),
    (re.compile(r"(?:HTTPS?Connection(?:Pool)?\([^)]*\)|<[\w.]*HTTPS?Connection[^>]*>)(?: at 0x\w+)?:?"), ""),
    (re.compile(r"Max retries exceeded with url: \S+ ?"), ""),
    (re.compile(r"Caused by (\w+)\(['\"]?:? ?"), r"\1: "),
    (re.compile(r"(https?://)[^/\s@]*@"), r"\1"),  # user name and password
    (re.compile(r"\bgAAAA[\w=-]{20,}"), "…"),  # a Fernet token
    (re.compile(r"(?i)(x-auth-token|x-subject-token|password|secret)(['\"]?\s*[:=]\s*)\S+"), r"\1\2…"),
)


def _seconds(headers: Any) -> float:
    """What `Retry-After` asks for; a date there is not read."""
    value = str(headers.get("Retry-After", "") if headers else "")
    return float(value) if value.isdigit() else 0.0
