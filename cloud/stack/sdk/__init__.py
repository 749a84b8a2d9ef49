"""A real OpenStack behind the Protocol of api.py, by openstacksdk. Nothing is printed here.

calls.py ─► stacks.py ─► machines.py ─► inventory.py ─► Sdk
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud.stack.sdk.inventory import Survey
from cloud.stack.sdk.refused import refusal_of

if TYPE_CHECKING:
    from openstack.connection import Connection

    from cloud.stack.api import Cloud
    from cloud.stack.sdk.patience import Patience


class Sdk(Survey):
    """One project on one cloud."""

    def __init__(self, connection: Connection, patience: Patience | None = None) -> None:
        super().__init__(connection, patience)
        self._names = {}

    @property
    def label(self) -> str:
        """`chameleon / RegionOne / project demo`, for people."""
        config = self._connection.config
        region = config.get_region_name()
        project = self._access().project_name or self._project_id()
        name = config.name if config.name not in {"", "defaults", "envvars"} else _host(self._auth_url())
        return " / ".join(part for part in (name, region, f"project {project}") if part)

    @property
    def is_application_credential(self) -> bool:
        """Whether the login is an application credential, which some clouds let make no stacks."""
        if self._connection.config.config.get("auth_type") == "v3applicationcredential":
            return True
        token = getattr(self._access(), "_data", {}).get("token", {})  # a token made by one is one
        return "application_credential" in token.get("methods", ())

    def _project_id(self) -> str:
        return str(self._access().project_id or "")

    def _has_service(self, service: str) -> bool:
        config = self._connection.config
        interface, region = config.get_interface(service), config.get_region_name(service)
        found = self._access().service_catalog.get_endpoints_data(
            service_type=service, interface=interface, region_name=region
        )
        return any(found.values())

    def _auth_url(self) -> str:
        return str(getattr(self._connection.session.auth, "auth_url", "") or "")

    def _access(self) -> Any:
        """What Keystone told at login; raises CloudError when it does not let us in any more."""

        def once() -> Any:
            try:
                return self._connection.session.auth.get_access(self._connection.session)
            except Exception as error:
                refusal = refusal_of(error, "identity")
                if refusal is None:
                    raise
                raise refusal from None

        return self._patiently(once, "log in")


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).hostname or ""


if TYPE_CHECKING:

    def _follows(sdk: Sdk) -> Cloud:
        """Mypy's proof that nothing of the Protocol is missing."""
        return sdk
