"""clouds.yaml, OS_* -> a Cloud, or NoAccess with what was tried.

openstacksdk and its plugins read all credentials, nothing is read by us; they are imported when first used.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING, Any

from cloud.errors import NoAccess, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openstack.connection import Connection

    from cloud.stack.api import Cloud
    from cloud.stack.sdk.patience import Patience

LOGIN_S = (10.0, 60.0)  # to connect, to read: of each request while logging in
LOGIN_LIMIT_S = 15.0  # a wrong address is more likely than a Keystone that restarts


def require_sdk() -> None:
    """Return where openstacksdk can be imported; in a checkout start this command again where it can.

    Every command that asks a cloud calls it first. Raises NoAccess where that can't be done, with the one
    command that helps.
    """
    from cloud.setup import openstack
    from cloud.setup.command import CannotMake

    if openstack.has_sdk():
        return
    code = "no-openstacksdk"
    if not openstack.is_checkout():
        what = "openstacksdk, by which a cloud is asked, is not installed beside hotrun"
        raise NoAccess(Problem(code=code, what=what, fix=f"type: {openstack.PIP_LINE}"))
    try:
        openstack.go_on_with_sdk()
    except CannotMake as error:
        said = str(error).splitlines()[0]
        fix = "mend that and type the command again; all that makes or rehearses a template works without"
        raise NoAccess(Problem(code=code, what=said, fix=fix)) from error


def connect(cloud: str | None = None, note: Callable[[str], None] | None = None) -> Cloud:
    """Log in and return the project's cloud; `cloud` names one of clouds.yaml, else OS_CLOUD or OS_*.

    `note` gets a sentence when the cloud makes us wait. Raises NoAccess (exit code 4) with every cause.
    """
    from cloud.stack.login import no_access
    from cloud.stack.sdk import Sdk
    from cloud.stack.sdk.patience import Patience, silent

    with _quiet():
        connection: Connection | None = None
        patience = Patience(limit_s=LOGIN_LIMIT_S, note=note or silent)
        try:
            connection = _connection(cloud)
            _log_in(connection, patience)
        except Exception as error:
            problems = no_access.problems(error, cloud, connection)
            if not problems:
                raise
            raise NoAccess(*problems) from None  # the cause may show an address with a password
    lacking = no_access.lacking(connection)
    if lacking:
        raise NoAccess(*lacking)
    return Sdk(connection, Patience(note=note or silent))


def _connection(cloud: str | None) -> Connection:
    import openstack

    connection = openstack.connect(cloud=cloud, app_name="hotrun")
    if connection.session.timeout is None:  # `api_timeout` of clouds.yaml is the user's own wish
        connection.session.timeout = LOGIN_S
    return connection


def _log_in(connection: Connection, patience: Patience) -> None:
    """Ask Keystone for a token, a little patiently; raises what keystoneauth raised last."""
    from cloud.stack.sdk.patience import Refusal
    from cloud.stack.sdk.refused import refusal_of

    last: list[Exception] = []

    def once() -> Any:
        try:
            return connection.session.auth.get_access(connection.session)
        except Exception as error:
            last[:] = [error]
            refusal = refusal_of(error, "identity")
            if refusal is None:
                raise
            raise refusal from None

    try:
        patience.done(once)
    except Refusal:
        raise last[0] from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No warnings of openstacksdk about itself, and no log lines: they quote clouds.yaml."""
    loggers = [logging.getLogger(name) for name in ("openstack", "keystoneauth", "stevedore")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
