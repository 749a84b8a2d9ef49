"""One value as typed -> the value that is meant, or `Refused` with the reason. Pure.

A rule gets text and returns what model.py wants. Its words complete a sentence that begins with the
user's own key: `workers` + `is 300, but at most 254 are possible`.
"""

from __future__ import annotations

import math
import re
import shlex
import unicodedata
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

from cloud import model

Rule = Callable[[str], Any]

MAX_NAME_CHARACTERS = 255  # names of images, flavors, networks and keys in OpenStack's databases
MAX_SHOWN_CHARACTERS = 60
MIN_SWAP_MIB, MAX_SWAP_MIB = 64, 256 * 1024

_RESERVED = (
    "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK",
    "LOCAL_WORLD_SIZE", "TF_CONFIG", "RAY_ADDRESS", "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME",
)  # fmt: skip
_RESERVED_PREFIXES = ("HOTRUN_", "TORCHELASTIC_", "SLURM_")
_SECRET_WORDS = {"TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS", "APIKEY"}
_SECRET_KEY = re.compile(r"(^|_)(API|ACCESS|SECRET|PRIVATE|AUTH|SSH|AWS)(_.*)?_KEY(_ID)?$|^AWS_.*KEY")


class Refused(ValueError):
    """A value that can't be taken: `code` is a heading of docs/errors.md, `why` goes on after the key."""

    def __init__(self, code: str, why: str, fix: str = "") -> None:
        super().__init__(why)
        self.code, self.why, self.fix = code, why, fix


def shown(value: str) -> str:
    """Return a value as a message may quote it: short, printable, and without what stands before an `@`."""
    if "@" in value:
        value = re.sub(r"(//|^)[^/\s]*@", r"\1…@", value)
    printable = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in value)
    return printable if len(printable) <= MAX_SHOWN_CHARACTERS else printable[:MAX_SHOWN_CHARACTERS] + "…"


def text(value: str, longest: int = MAX_NAME_CHARACTERS) -> str:
    """One line of printable text, which may be empty."""
    for position, char in enumerate(value, start=1):
        if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp"):
            name = f"U+{ord(char):04X}"
            raise Refused(
                "characters-refused",
                f"holds a control character ({name} at character {position})",
                "remove it",
            )
    if len(value) > longest:
        raise Refused(
            "value-too-long", f"has {len(value):,} characters, but at most {longest:,} are possible"
        )
    return value


def line(value: str) -> str:
    """One line for the job, whose bytes are limited as well as its characters."""
    beyond = sum(not char.isascii() for char in text(value, model.MAX_ARGS_CHARACTERS))
    if beyond > model.MAX_BEYOND_ASCII:
        raise Refused(
            "value-too-long",
            f"has {beyond:,} characters beyond ASCII, but at most {model.MAX_BEYOND_ASCII:,} are possible",
        )
    return value


def name(value: str) -> str:
    """A name that must not be empty."""
    return filled(text(value))


def whole_number(low: int, high: int, code: str = "number-out-of-range") -> Rule:
    """Return a rule for whole numbers from `low` to `high`."""

    def rule(value: str) -> int:
        filled(value)
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
            raise Refused(
                "not-a-number", f"is {shown(value)}, but a whole number is needed", f"write {low} to {high}"
            )
        number = int(value)
        if number < low:
            raise Refused(code, f"is {number}, but at least {low} is needed", f"write {low} to {high}")
        if number > high:
            raise Refused(code, f"is {number}, but at most {high} are possible", f"write {low} to {high}")
        return number

    return rule


def hours(value: str) -> float:
    """Hours, at most a year."""
    try:
        number = float(filled(value))
    except ValueError as error:
        raise Refused(
            "not-a-number", f"is {shown(value)}, but a number of hours is needed", "write 24"
        ) from error
    if not math.isfinite(number) or not 0.001 <= number <= 8760:
        raise Refused("number-out-of-range", f"is {shown(value)}, but 0.001 to 8760 are possible")
    return number


def yes_or_no(value: str) -> bool:
    """Yes or no, in any of YAML's words."""
    word = filled(value).lower()
    if word in ("yes", "true", "on"):
        return True
    if word in ("no", "false", "off"):
        return False
    raise Refused("choice-unknown", f"is {shown(value)}, but it is yes or no", "write yes or no")


def choice(*words: str) -> Rule:
    """Return a rule for one of `words`."""

    def rule(value: str) -> str:
        if filled(value) in words:
            return value
        near = get_close_matches(value, words, 1)
        allowed = ", ".join(words[:-1]) + f" and {words[-1]}"
        fix = f"did you mean {near[0]}?" if near else f"write {', '.join(words[:-1])} or {words[-1]}"
        raise Refused("choice-unknown", f"is {shown(value)}, but {allowed} are possible", fix)

    return rule


def ranks(value: str) -> str:
    """auto, or a number of ranks on each machine."""
    return value if value == "auto" else str(whole_number(1, 128)(value))


def swap(value: str) -> str:
    """A size like 4G or 512M, or empty."""
    if not text(value).strip():
        return ""
    matched = re.fullmatch(r"([0-9]{1,6})([MGmg])", value.strip(), re.ASCII)
    if matched is None:
        raise Refused("size-malformed", f"is {shown(value)}, but a size is needed", "write 4G or 512M")
    mebibytes = int(matched[1]) * (1024 if matched[2] in "gG" else 1)
    if not MIN_SWAP_MIB <= mebibytes <= MAX_SWAP_MIB:
        raise Refused("number-out-of-range", f"is {shown(value)}, but 64M to 256G are possible")
    return f"{int(matched[1])}{matched[2].upper()}"


def words(value: str) -> str:
    """Shell words, kept as text."""
    line(value)
    try:
        shlex.split(value)
    except ValueError as error:
        reason = str(error)[:1].lower() + str(error)[1:]
        raise Refused(
            "words-unbalanced", f"can't be split into words: {reason}", "close the quotation mark"
        ) from error
    return value


def pair(value: str) -> str:
    """NAME=VALUE for the program's environment; nothing secret, nothing that the launcher sets."""
    key, equals, rest = value.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
        raise Refused("env-malformed", f"is {shown(key)}, but NAME=VALUE is needed", "write --env NAME=VALUE")
    if key in _RESERVED or key.startswith(_RESERVED_PREFIXES):
        raise Refused(
            "env-reserved", f"sets {key}, which every machine gets its own value of", "leave it out"
        )
    if set(key.upper().split("_")) & _SECRET_WORDS or _SECRET_KEY.search(key.upper()):
        raise Refused(
            "env-secret",
            f"sets {shown(key)}, which looks like a secret: everybody who sees the template could read it",
            "let the program read it from a file on the machine",
        )
    line(rest)
    return value


def reservation(value: str) -> str:
    """The id of a reservation, or empty."""
    if not re.fullmatch(r"[0-9A-Za-z-]*", text(value)):
        raise Refused(
            "choice-unknown",
            f"is {shown(value)}, but the id of a reservation is needed",
            "copy it from the lease",
        )
    return value


def near(value: str, possible: Sequence[str]) -> str:
    """Return `did you mean …?` for the nearest of `possible`, or empty."""
    found = get_close_matches(value, possible, 1)
    return f"did you mean {found[0]}?" if found else ""


def filled(value: str) -> str:
    """Text that is more than blanks."""
    if not value.strip():
        raise Refused(
            "value-empty", "is empty, but a value is needed", "write one, or leave it out for its default"
        )
    return value
