"""What is judged: a plan, what it takes, and what the cloud answered. Plain data, and words for sentences."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloud.by_hand import text
from cloud.errors import Problem
from cloud.request.profiles import DEFAULT_PROFILE
from cloud.template import provenance
from cloud.template.parameters import redacted

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from cloud.plan import Plan
    from cloud.stack.api import Stack
    from cloud.stack.judge.needs import Group, Needs
    from cloud.stack.offers import Flavor, Image, NetworkInfo, Reservation, Room

BARE_METAL = "baremetal"  # Chameleon's only flavor for machines without a hypervisor
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a cloud said; None for what it did not answer."""

    heat_version: str | None = None
    resources: int | None = None
    """How many resources Heat's preview counted."""
    flavors: tuple[Flavor, ...] | None = None
    images: tuple[Image, ...] | None = None
    key_names: tuple[str, ...] | None = None
    networks: tuple[NetworkInfo, ...] | None = None
    quotas: Mapping[str, Room] | None = None
    free_floating_ips: int | None = None
    """Addresses of the project on the external network that are bound to nothing."""
    reservations: tuple[Reservation, ...] | None = None
    """None also where the cloud has no Blazar."""
    has_blazar: bool = False
    stack: Stack | None = None
    """The stack that has the name already."""
    is_application_credential: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Everything that a judge may look at."""

    plan: Plan
    name: str
    """The stack's name."""
    needs: Needs | None
    answers: Answers
    now: dt.datetime
    """With its time zone."""

    def value(self, parameter: str) -> str:
        """Return a parameter's value as text, empty when it has none."""
        found = self.plan.parameters.get(parameter, "")
        return "" if found is None else text(found)

    def where(self, parameter: str) -> str:
        """Return where a parameter got its value: the template's line, or the flag."""
        default = self.plan.template.at("parameters", parameter, "default")
        if default is not None and text(default) != self.value(parameter):
            return f"--parameter {parameter}"
        return self.plan.template.where("parameters", parameter, "default")

    @property
    def profile(self) -> str:
        """The kind of cloud that the template was made for."""
        return profile(self.plan.text)

    @property
    def is_chameleon(self) -> bool:
        """Whether this is Chameleon: it has leases and images of Chameleon's, and the template wants them."""
        is_meant = self.profile.startswith("chameleon") or self.value("image").startswith("CC-")
        images = self.answers.images
        return (
            self.answers.has_blazar
            and is_meant
            and (images is None or any(_is_theirs(one) for one in images))
        )

    @property
    def max_hours(self) -> float:
        """Hours after which the machines power off."""
        try:
            return float(self.value("max_hours"))
        except ValueError:  # one that is no number is a problem of its own
            return DEFAULT_HOURS

    @property
    def groups(self) -> tuple[Group, ...]:
        """The kinds of machine, none when the parameters don't say."""
        return self.needs.groups if self.needs else ()

    def flavor(self, name: str) -> Flavor | None:
        """Return a flavor by name or id."""
        return next((one for one in self.answers.flavors or () if name in (one.name, one.id)), None)

    def image(self) -> Image | None:
        """Return the image by name or id."""
        wanted = self.value("image")
        return next((one for one in self.answers.images or () if wanted in (one.name, one.id)), None)


def _is_theirs(image: Image) -> bool:
    return image.name.startswith("CC-")


DEFAULT_HOURS = 24.0  # of a template that does not say

Finding = Problem | str
"""A problem, or a sentence about what is well."""
Judge = Callable[[Case], Iterator[Finding]]


def profile(template: str) -> str:
    """Return the kind of cloud that a template's first lines say it was made for."""
    if not provenance.is_ours(template):
        return "openstack"
    command = template.split("\n", 2)[1]
    found = re.search(r" --profile (\S+)", command)
    return found[1] if found else DEFAULT_PROFILE


def nearest(wanted: str, names: Iterable[str], parameter: str) -> str:
    """Return the fix for a name that is not there: the near misses, else the first few names that are."""
    known = sorted(set(names))
    if not known:
        return ""
    lower = {name.lower(): name for name in known}
    near = [lower[name] for name in difflib.get_close_matches(wanted.lower(), lower, n=3, cutoff=0.5)]
    if near:
        others = f" ({', '.join(near[1:])} is near too)" if near[1:] else ""
        return f"--parameter {parameter}={near[0]}{others}"
    if len(known) == 1:
        return f"--parameter {parameter}={known[0]}, the only one"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"--parameter {parameter}=NAME; there are {', '.join(known[:_SHOWN])}{more}"


def named(groups: Sequence[Group], what: str) -> str:
    """Return the parameters of some groups: `master_flavor and worker_flavor`."""
    return " and ".join(f"{group.role}_{what}" for group in groups)


def setting(groups: Sequence[Group], what: str, value: str) -> str:
    """Return what gives the groups' parameters a value: `--parameter master_flavor=m1.large …`."""
    return " ".join(f"--parameter {group.role}_{what}={value}" for group in groups)


def quoted(value: str) -> str:
    """Return a value for a sentence: short, without a password in an address."""
    return redacted(value)


def gib(mib: int) -> str:
    """Return an amount of memory: `0.5 GiB`, `1,024 GiB`, and `1,023 MiB` where rounding would lie."""
    if round(mib / 1024, 1) * 1024 != mib:
        return f"{mib:,} MiB"
    return f"{mib / 1024:,.1f}".removesuffix(".0") + " GiB"


def plural(count: int, word: str) -> str:
    """Return `1 machine`, `3 machines`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
