"""What stopped a login -> problems: one per cause, what was tried, and the ways that work."""

from __future__ import annotations

import difflib
import os
import sys
from typing import TYPE_CHECKING, Any

from cloud.errors import Problem
from cloud.stack.login.tried import Tried, tried
from cloud.stack.sdk.refused import plain, unreached

if TYPE_CHECKING:
    from openstack.connection import Connection

DO = "type `export OS_CLOUD=NAME`, or `source NAME-openrc.sh`"
WAYS = (
    "OS_CLOUD names a cloud of ~/.config/openstack/clouds.yaml (on Chameleon, ccauth writes that file);"
    " NAME-openrc.sh comes from your project's page (on Chameleon, with the CLI password of your user portal)"
)
PLUGINS = {  # auth_type -> what brings it
    "v3chameleonoidc": "Chameleon's ccauth",
    "v3oidc": "keystoneauth-oidc",
    "v3oidccode": "keystoneauth-oidc",
    "v3kerberos": "keystoneauth1[kerberos]",
    "v3fedkerb": "keystoneauth1[kerberos]",
    "v3oauth1": "keystoneauth1[oauth1]",
    "v3samlpassword": "keystoneauth1[saml2]",
}


def problems(error: Exception, cloud: str | None, connection: Connection | None) -> list[Problem]:
    """Causes of a failed login, a broken clouds.yaml first; empty for an error that is no login's."""
    from keystoneauth1 import exceptions as ksa
    from openstack import exceptions as sdk

    places = tried(_paths())
    known = (ksa.ClientException, sdk.SDKException, OSError)
    odd = connection is None or "required attribute" in str(error)  # entries that the libraries stumble over
    if not odd and not isinstance(error, known):
        return []
    broken = [
        Problem(code="clouds-yaml-broken", what=f"{found.path} can't be used: {found.fault}",
                fix="mend that line or move the file away; openstacksdk goes on with the next that it finds")
        for found in places.files if found.fault
    ]  # fmt: skip
    if connection is None:
        if broken and not isinstance(error, known):  # they stumbled over that file
            return broken
        return [
            *broken,
            _unconfigured(error, cloud or os.environ.get("OS_CLOUD") or "", places, bool(broken)),
        ]
    return [*broken, _refused(error, connection, places)]


def lacking(connection: Connection) -> list[Problem]:
    """What a login that Keystone took does not reach: a project, the region, Heat."""
    access = connection.session.auth.get_access(connection.session)
    places = tried(_paths()).lines()
    if not access.project_id:
        what = "the login names no project, so that the cloud shows no services"
        fix = "set OS_PROJECT_NAME and OS_PROJECT_DOMAIN_NAME, or the same keys below `auth` in clouds.yaml"
        return [Problem(code="no-project", what=what, fix=fix, log=places)]
    config = connection.config
    chosen = config.get_region_name("orchestration") or ""
    found = access.service_catalog.get_endpoints_data(
        service_type="orchestration", interface=config.get_interface("orchestration")
    )  # fmt: skip
    with_heat = sorted({str(entry.region_name or "") for entries in found.values() for entry in entries})
    everything = access.service_catalog.get_endpoints_data().values()
    regions = sorted({str(entry.region_name or "") for entries in everything for entry in entries})
    if chosen and regions and chosen not in regions:
        what = f"region {chosen} is not in this cloud's catalogue; it has {', '.join(regions)}"
        return [
            Problem(
                code="unknown-region", what=what, fix=_nearest(chosen, regions, "OS_REGION_NAME"), log=places
            )
        ]
    if not with_heat or (chosen and chosen not in with_heat):
        elsewhere = f"; {', '.join(with_heat)} has it" if any(with_heat) else ""
        what = f"{f'region {chosen}' if chosen else 'this cloud'} has no Heat in its catalogue{elsewhere}"
        fix = "choose another region or cloud; without Heat nothing can be made there"
        return [Problem(code="no-heat", what=what, fix=fix, log=places)]
    if not chosen and len(with_heat) > 1:
        what = f"this cloud has several regions, {', '.join(with_heat)}, and none was chosen"
        return [
            Problem(
                code="region-not-chosen", what=what, fix=f"export OS_REGION_NAME={with_heat[0]}", log=places
            )
        ]
    return []


def _unconfigured(error: Exception, name: str, places: Tried, is_broken: bool) -> Problem:
    """What is wrong before anybody is asked."""
    from keystoneauth1 import exceptions as ksa

    said, log = plain(str(error)), places.lines()
    if isinstance(error, ksa.NoMatchingPlugin):
        return _no_plugin(str(getattr(error, "name", "") or said), log)
    is_unknown = name and name not in places.clouds and "OS_AUTH_URL" not in places.variables
    if is_unknown or ("was not found" in said and said.startswith("Cloud ")):
        what = f"cloud {name} is in no clouds.yaml"
        fix = _nearest(name, list(places.clouds), "OS_CLOUD") if places.clouds else f"{DO}; {WAYS}"
        return Problem(code="unknown-cloud", what=what, fix=fix, log=log)
    if "is not a valid region name" in said:
        return Problem(code="unknown-region", what=said, fix="set OS_REGION_NAME or `region_name`", log=log)
    missing = [str(option.name) for option in getattr(error, "options", ())]
    has_login = name or {"OS_AUTH_URL", "OS_AUTH_TYPE", "OS_USERNAME", "OS_TOKEN"} & set(places.variables)
    if missing and has_login:
        what = f"the login is incomplete: {', '.join(missing)} is missing"
        variables = ", ".join("OS_" + option.upper().replace("-", "_") for option in missing)
        return Problem(
            code="login-incomplete", what=what, fix=f"set {variables}, or the same in clouds.yaml", log=log
        )
    if missing and len(places.clouds) > 1:
        what = f"clouds.yaml names several clouds, {', '.join(places.clouds)}, and none was chosen"
        return Problem(code="cloud-not-chosen", what=what, fix=f"export OS_CLOUD={places.clouds[0]}", log=log)
    if missing:
        what = "no other cloud is configured" if is_broken else "no cloud is configured"
        return Problem(code="no-cloud", what=f"{what}: {DO}", fix=WAYS, log=log)
    what = f"the login can't be put together: {said}"
    fix = "look at the entry in clouds.yaml and the OS_* variables: some of them contradict each other"
    return Problem(code="login-incomplete", what=what, fix=fix, log=log)


def _refused(error: Exception, connection: Connection, places: Tried) -> Problem:
    """What Keystone, or the way to it, said."""
    from keystoneauth1 import exceptions as ksa

    url = _address(connection)
    said, log = plain(str(error)), places.lines()
    status = getattr(error, "http_status", 0)
    if "required attribute" in said:  # `password is a required attribute`, a bare Exception
        missing = said.partition(" ")[0]
        what, fix = (
            f"the login is incomplete: {missing} is missing",
            f"set OS_{missing.upper()}, or the same in clouds.yaml",
        )
        return Problem(code="login-incomplete", what=what, fix=fix, log=log)
    if status == 401 or (status == 404 and "Could not" in said):  # an unknown credential or token
        what = f"{url} does not accept this login: {said}"
        return Problem(code="login-refused", what=what, fix=_what_may_be_wrong(connection), log=log)
    if isinstance(error, ksa.MissingRequiredOptions):
        missing = ", ".join("OS_" + str(option.name).upper().replace("-", "_") for option in error.options)
        what = "the login is incomplete"
        return Problem(
            code="login-incomplete", what=what, fix=f"set {missing}, or the same in clouds.yaml", log=log
        )
    if isinstance(error, ksa.SSLError):
        what = f"the certificate of {url} is not trusted: {said}"
        fix = "name the cloud's own authority with OS_CACERT or `cacert`; never switch the check off"
        return Problem(code="keystone-unreachable", what=what, fix=fix, log=log)
    if status and status < 500 and status != 404:
        return Problem(
            code="login-refused", what=f"{url} refused the login: {said}", fix=f"{DO}; {WAYS}", log=log
        )
    if isinstance(error, ksa.AuthPluginException):
        what = f"the login did not come about: {said}"
        return Problem(
            code="login-refused", what=what, fix="log in anew; then type the command again", log=log
        )
    if status == 404 or isinstance(error, ksa.DiscoveryFailure):
        what = f"{url} is no Keystone: {said}"
        return Problem(
            code="keystone-unreachable", what=what, fix="look at OS_AUTH_URL or `auth_url`", log=log
        )
    what = f"Keystone at {url} does not answer: {unreached(str(error)) or said}"
    fix = "look at OS_AUTH_URL or `auth_url`, at this computer's network (a VPN?), at the cloud's status page"
    return Problem(code="keystone-unreachable", what=what, fix=fix, log=log)


def _what_may_be_wrong(connection: Connection) -> str:
    """Keystone says the same of all of them."""
    kind = str(connection.config.config.get("auth_type") or "password")
    if "applicationcredential" in kind:
        return "the application credential is wrong, expired or deleted: make a new one"
    if "token" in kind:
        return "the token is over: get a new one, or log in with a password or an application credential"
    if "oidc" in kind:
        return "the browser login is over: log in again"
    return (
        "user name, password, project or one of their domains is wrong; Keystone does not say which. On"
        " Chameleon the CLI password is another one than that of the website"
    )


def _no_plugin(kind: str, log: tuple[str, ...]) -> Problem:
    package = PLUGINS.get(kind, "")
    what = f"auth_type {kind} needs a plugin that this Python does not have"
    place = f"python3 -m pip --python {sys.executable} install"
    fix = f"type: {place} '{package}'" if package else f"type: {place} with the package that brings {kind}"
    if " " in package:
        fix = f"install {package} beside openstacksdk: {place} with its address, as its documentation says"
    return Problem(code="login-plugin", what=what, fix=fix, log=log)


def _nearest(name: str, known: list[str], variable: str) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}? export {variable}={near[0]}"
    return f"export {variable}=NAME with one of: {', '.join(known)}"


def _address(connection: Connection) -> str:
    """Where Keystone is said to be, without user name and password."""
    return plain(str(getattr(connection.session.auth, "auth_url", "") or "Keystone"))


def _paths() -> list[str]:
    """Where openstacksdk looks for clouds.yaml, in its order."""
    from openstack.config import loader

    own: Any = os.environ.get("OS_CLIENT_CONFIG_FILE")
    return [*([own] if own else []), *loader.CONFIG_FILES]
