"""One request to one service of a cloud -> plain JSON: patient, logged in again, never longer than its time.

keystoneauth itself logs in again, once, when a service answers 401; `_logged_in` once more.
"""

from __future__ import annotations

import datetime as dt
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from cloud.stack.api import CloudError
from cloud.stack.sdk.patience import Patience, Refusal
from cloud.stack.sdk.refused import NAMES, cloud_error, name_of, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from keystoneauth1.adapter import Adapter
    from openstack.connection import Connection

AFTER_REVOKED_S = 1.5
CONNECT_S, READ_S = 10.0, 65.0  # heat-api gives up on its engine after 60 s (rpc_response_timeout)


class Api:
    """A connection of openstacksdk, asked by path; what goes wrong is a CloudError."""

    def __init__(self, connection: Connection, patience: Patience | None = None) -> None:
        self._connection = connection
        self._patience = patience or Patience()
        self._ahead = dt.timedelta()  # of this computer's clock, against the cloud's

    def time(self) -> dt.datetime:
        """What time it is for the cloud, by its last answer."""
        return dt.datetime.now(dt.UTC) - self._ahead

    @property
    def connection(self) -> Connection:
        """The connection of openstacksdk, for what the Protocol does not have."""
        return self._connection

    def _get(self, service: str, path: str, doing: str, **params: Any) -> Any:
        return self._ask("GET", service, path, doing, params=params)

    def _found(self, service: str, path: str, doing: str, **params: Any) -> Any:
        """As `_get`; None for 404."""
        try:
            return self._get(service, path, doing, **params)
        except CloudError as error:
            if error.status == 404:
                return None
            raise

    def _ask(
        self, method: str, service: str, path: str, doing: str, *,
        body: Any = None, params: Mapping[str, Any] | None = None, microversion: str | None = None,
    ) -> Any:  # fmt: skip
        """The JSON that a service answers; for requests that may be made twice."""
        return self._patiently(
            lambda: self._once(method, service, path, body=body, params=params, microversion=microversion),
            doing,
        )

    def _patiently(self, call: Callable[[], Any], doing: str, *, is_repeatable: bool = True) -> Any:
        try:
            return self._patience.done(lambda: self._logged_in(call), is_repeatable=is_repeatable)
        except Refusal as refusal:
            raise cloud_error(refusal, doing) from None  # the cause has addresses and headers

    def _logged_in(self, call: Callable[[], Any]) -> Any:
        """Call; where a service refuses even the token that keystoneauth has just renewed, call with another.

        Keystone's revocations count whole seconds: a token of the same second is revoked too.
        """
        try:
            return call()
        except Refusal as refusal:
            if refusal.status != 401 or refusal.service == NAMES["identity"]:
                raise
        self._connection.session.invalidate()
        self._patience.sleep(AFTER_REVOKED_S)
        return call()

    def _once(
        self, method: str, service: str, path: str, *,
        body: Any = None, params: Mapping[str, Any] | None = None, microversion: str | None = None,
    ) -> Any:  # fmt: skip
        """One request; raises Refusal."""
        from keystoneauth1.adapter import Adapter
        from openstack.exceptions import raise_from_response

        extra: dict[str, Any] = {"microversion": microversion} if microversion else {}
        if body is not None:
            extra["json"] = body
        try:
            response = Adapter.request(  # not the proxy's own: it has a cache
                self._adapter(service), path, method, raise_exc=False, timeout=(CONNECT_S, READ_S),
                params={key: value for key, value in (params or {}).items() if value is not None}, **extra,
            )  # fmt: skip
            self._set_clock(response.headers.get("date", ""))
            raise_from_response(response)
            is_json = "json" in response.headers.get("content-type", "")
            return response.json() if is_json or method == "GET" else None  # PATCH says: 202 Accepted
        except ValueError:  # a proxy's page instead of JSON
            raise Refusal(502, "the answer is no JSON", service=name_of(service)) from None
        except Exception as error:
            refusal = refusal_of(error, service)
            if refusal is None:
                raise
            raise refusal from None

    def _set_clock(self, date: str) -> None:
        """Take the time of an answer; what is no date changes nothing."""
        try:
            told = parsedate_to_datetime(date)
        except (TypeError, ValueError):  # none, or no date
            return
        if told.tzinfo is not None:
            self._ahead = dt.datetime.now(dt.UTC) - told

    def _adapter(self, service: str) -> Adapter:
        """The proxy of a service; unknown to openstacksdk: an adapter through the catalogue."""
        name = service.replace("-", "_")
        if hasattr(type(self._connection), name):
            return getattr(self._connection, name)
        return self._connection.config.get_session_client(service)

    def _pages(self, service: str, path: str, key: str, doing: str, **params: Any) -> Iterator[Any]:
        """All items of a list, page after page as the service links them."""
        following: dict[str, Any] = dict(params)
        while True:
            page = self._get(service, path, doing, **following) or {}
            yield from page.get(key, ())
            links = page.get(f"{key}_links") or ()
            link = page.get("next") or next((link["href"] for link in links if link.get("rel") == "next"), "")
            query = parse_qsl(urlsplit(link).query)
            marker = dict(query).get("marker")
            if not marker or marker == following.get("marker"):
                return
            following = {**params, **{name: value for name, value in query if name in {"marker", "limit"}}}
