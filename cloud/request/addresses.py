"""Addresses of repositories, files and networks as typed -> as used, or `Refused`. Pure."""

from __future__ import annotations

import ipaddress
import posixpath
import re

from cloud.request.rules import Refused, filled, shown, text

MAX_PATH_CHARACTERS = 200
MAX_REPO_CHARACTERS = 1000
NETWORK_OVERHEAD = 6  # network, broadcast, gateway and up to three DHCP ports
_ENDINGS = "com|org|net|edu|io|dev|eu|de|uk|ch|fr"


def torch_index(value: str) -> str:
    """auto, cpu, or the address of a package index."""
    if value in ("auto", "cpu"):
        return value
    if not value.startswith("https://"):
        raise Refused(
            "choice-unknown",
            f"is {shown(value)}, but auto, cpu or an https:// address is needed",
            "write auto",
        )
    return https(value)


def repo(value: str) -> str:
    """An https address as it is, or a path of this machine (still relative)."""
    filled(value)
    if "://" not in value and "::" not in value and not re.match(r"[^/\s]+@[^/\s]*:|[\w.-]{2,}:", value):
        if value.startswith("-"):
            raise Refused(
                "repo-malformed", f"is {shown(value)}, but nothing that begins with - is an address"
            )
        if re.match(rf"(www\.)?[\w-]+(\.[\w-]+)*\.({_ENDINGS})/", value):
            raise Refused(
                "repo-not-https",
                f"is {shown(value)}, but an address begins with https://",
                f"write https://{value}",
            )
        return text(value, MAX_REPO_CHARACTERS)
    if value.startswith("https://"):
        return https(value)
    host_path = re.fullmatch(r"(?:ssh://)?(?:git@)([\w.-]+)[:/]([\w./-]+)", value)
    fix = (
        f"write https://{host_path[1]}/{host_path[2]}"
        if host_path
        else "write the address that begins with https://"
    )
    if "::" in value.split("://", maxsplit=1)[0]:
        raise Refused("repo-not-https", "names a transport helper (::), which would run a command", fix)
    if value.startswith("http://"):
        raise Refused("repo-not-https", "begins with http://, which anybody on the way can change", fix)
    if value.startswith("file://"):
        raise Refused("repo-not-https", "begins with file://", "write the path alone")
    raise Refused(
        "repo-not-https", f"is {shown(value)}, but the machines have no key for it: only https:// works", fix
    )


def https(value: str) -> str:
    """An https address without user, password, query or fragment."""
    text(value, MAX_REPO_CHARACTERS)
    host, _, path = value.removeprefix("https://").partition("/")
    if "@" in host:
        raise Refused(
            "repo-has-credentials",
            "holds a user name or password, and everybody who sees the template could read it",
            "use an address that anybody may read",
        )
    if re.search(r"\s", value):
        raise Refused("repo-malformed", "holds a blank", "remove it; a blank in a path is written %20")
    if "?" in value or "#" in value:
        raise Refused(
            "repo-malformed", "holds ? or #, which no address of a repository needs", "end it before that"
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?", host):
        raise Refused("repo-malformed", "has no host after https://", "write https://HOST/PATH")
    if not re.fullmatch(r"[A-Za-z0-9._~/+%-]+", path):
        raise Refused(
            "repo-malformed", "has no path, or one with unusual characters", "write https://HOST/PATH"
        )
    return value


def https_form(origin: str) -> str:
    """Return an origin as an https address without credentials; empty for one that has no such form.

    >>> https_form("git@github.com:you/digits.git")
    'https://github.com/you/digits.git'
    """
    short = re.fullmatch(r"(?:[\w.-]+@)([\w.-]+):(?!/)(.+)", origin)
    long = re.fullmatch(r"(?:ssh|https)://(?:[^/@]*@)?([^/:@]+)(?::[0-9]+)?/(.+)", origin)
    found = short or long
    if not found:
        return ""
    kept = re.match(r"https://(?:[^/@]*@)?([^/@]+)/", origin)  # an https address keeps its port
    address = f"https://{kept[1] if kept else found[1]}/{found[2]}"
    try:
        return https(address)
    except Refused:
        return ""


def ref(value: str) -> str:
    """Branch, tag or commit by git's own rules for names; empty for the default branch."""
    text(value, 200)
    refused = re.search(r"[\s~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|^[-/.]|[/.]$|^@$", value)
    refused = refused or re.search(r"[^\w./+#@=-]|^[^\w]", value)
    if refused:
        part = refused[0].strip() or "a blank"
        raise Refused(
            "ref-malformed", f"is {shown(value)}, but {part} can't stand there in a branch, tag or commit"
        )
    return value


def directory(value: str) -> str:
    """A directory inside the repository; `.` for its top."""
    found = _inside(value)
    if posixpath.basename(found) == "requirements.txt":
        parent = posixpath.dirname(found) or "."
        raise Refused(
            "path-refused", f"is the file {shown(found)}, but its directory is needed", f"write {parent}"
        )
    return found


def python_file(value: str) -> str:
    """A Python file, relative to the requirements directory."""
    found = _inside(value)
    if not found.endswith(".py") or posixpath.basename(found) == ".py":
        raise Refused("entrypoint-not-python", f"is {shown(value)}, but a file that ends in .py is needed")
    return found


def _inside(value: str) -> str:
    """A relative path that stays inside the repository, in its shortest spelling."""
    text(filled(value), MAX_PATH_CHARACTERS)
    if "\\" in value:
        raise Refused(
            "path-refused", f"is {shown(value)}, but paths in a repository have no \\", "write / instead"
        )
    if value.startswith("/"):
        raise Refused(
            "path-refused", f"is {shown(value)}, but it is inside the repository", "leave out the first /"
        )
    if value.startswith(("-", "~")):
        raise Refused("path-refused", f"is {shown(value)}, but no path here begins with {value[0]}")
    if ".." in value.split("/"):
        raise Refused("path-refused", f"is {shown(value)}, but .. would leave the repository")
    return posixpath.normpath(value)


def ipv4_range(value: str) -> str:
    """An IPv4 range like 10.8.0.0/23."""
    try:
        network = ipaddress.IPv4Network(filled(value), strict=False)
    except ValueError as error:
        raise Refused(
            "address-malformed", f"is {shown(value)}, but a range like 10.8.0.0/23 is needed"
        ) from error
    if "/" not in value or str(network) != value:
        raise Refused("address-malformed", f"is {shown(value)}, but a range is needed", f"write {network}")
    return value


def holds_machines(network: ipaddress.IPv4Network, machines: int) -> None:
    """Refuse a range with fewer addresses than the machines and what stands beside them need."""
    needed = machines + NETWORK_OVERHEAD
    if needed > network.num_addresses:
        has = f"with {network.num_addresses} addresses, but {machines} machines need {needed}"
        prefix = 32 - (needed - 1).bit_length()
        raise Refused("network-too-small", f"is {network} {has}", f"write a /{prefix} or a larger range")


def ipv4_address(value: str) -> str:
    """An IPv4 address."""
    try:
        return str(ipaddress.IPv4Address(filled(value)))
    except ValueError as error:
        raise Refused(
            "address-malformed", f"is {shown(value)}, but an address like 8.8.8.8 is needed"
        ) from error
