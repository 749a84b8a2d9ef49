"""Values of #SBATCH lines as typed -> as written there, or `Refused`. Pure.

Nothing that a shell or sbatch would read as more than a value gets through: the lines are not quoted.
"""

from __future__ import annotations

import re

from cloud.request.rules import Refused, filled, shown, text

MAX_CHARACTERS = 200
_TIMES = (  # sbatch(1), --time
    r"[0-9]{1,7}", r"[0-9]{1,7}:[0-5]?[0-9]", r"[0-9]{1,5}:[0-5]?[0-9]:[0-5]?[0-9]", r"[0-9]{1,4}-[0-9]{1,2}",
    r"[0-9]{1,4}-[0-9]{1,2}:[0-5]?[0-9]", r"[0-9]{1,4}-[0-9]{1,2}:[0-5]?[0-9]:[0-5]?[0-9]",
)  # fmt: skip
_TIME_FIX = "write minutes (90), hours:minutes:seconds (12:00:00), or days-hours (1-12)"


def name(value: str) -> str:
    """An account, a quality of service; empty for none."""
    return _matching(value, r"[A-Za-z0-9_.@+-]*", "a name of letters, digits and _ . @ + - is needed")


def names(value: str) -> str:
    """A partition, or several with commas between."""
    return _matching(
        value, r"([A-Za-z0-9_.+-]+(,[A-Za-z0-9_.+-]+)*)?", "names with commas between are needed", "gpu"
    )


def time(value: str) -> str:
    """A time limit in one of Slurm's six forms."""
    if not any(re.fullmatch(form, filled(text(value)).strip()) for form in _TIMES):
        raise Refused(
            "time-malformed", f"is {shown(value)}, but a time limit as Slurm writes it is needed", _TIME_FIX
        )
    if not re.search("[1-9]", value):
        raise Refused("time-malformed", f"is {shown(value)}, which is no time at all", _TIME_FIX)
    return value.strip()


def memory(value: str) -> str:
    """Memory of a node: a number with K, M, G or T behind it, megabytes without; 0 for all."""
    return _matching(
        filled(value),
        r"[0-9]{1,9}[KMGT]?",
        "a size like 64G is needed",
        "64G, or 0 for all of a node's memory",
    )


def gpus(value: str) -> str:
    """GPUs of a node: a number, or with a type."""
    return _matching(
        filled(value),
        r"([A-Za-z0-9_.-]+:)?[1-9][0-9]{0,2}",
        "a number is needed, or a type and a number",
        "4 or a100:4",
    )


def constraint(value: str) -> str:
    """Features with Slurm's own operators between."""
    return _matching(
        value,
        r"[A-Za-z0-9_.:=*&|,()\[\]-]*",
        "features with & or | between are needed, without blanks",
        "ib&gpu80",
    )


def nodelist(value: str) -> str:
    """Names of nodes as Slurm shortens them."""
    some = r"[0-9]+(-[0-9]+)?"
    part = rf"[A-Za-z0-9_](?:[A-Za-z0-9_.-]|\[{some}(?:,{some})*\])*"
    return _matching(value, rf"({part}(,{part})*)?", "names of nodes are needed", "node[01-04],gpu7")


def module(value: str) -> str:
    """An environment module: a name, often with a version."""
    example = "python/3.11"
    return _matching(value, r"[A-Za-z0-9_][A-Za-z0-9_.+/@=:-]*", "the name of a module is needed", example)


def _matching(value: str, pattern: str, needed: str, example: str = "") -> str:
    if not re.fullmatch(pattern, text(value, MAX_CHARACTERS)):
        fix = f"write {example}" if example else ""
        raise Refused("value-malformed", f"is {shown(value)}, but {needed}", fix)
    return value
