"""At a terminal: image, flavors, key and network picked from the cloud's lists, and kept in a file.

Only what is missing or wrong is asked. Flavors too small for the image are not offered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloud.by_hand import text
from cloud.errors import Problem, RequestError
from cloud.model import RESERVED
from cloud.stack.judge.case import BARE_METAL, gib, plural, profile
from cloud.stack.judge.machines import gpus, too_small_for
from cloud.stack.launch import environment_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from cloud.plan import Plan
    from cloud.stack.api import Cloud
    from cloud.stack.offers import Flavor, Image
    from cloud.ui import Ui

MAX_SHOWN = 20
NONE = "none"
_WHOM = {("master",): "the master", ("worker",): "the workers", ("master", "worker"): "every machine"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One line of a list."""

    value: str
    """What the parameter becomes."""
    told: str = ""
    """What tells it from the others: sizes."""


def choose(
    cloud: Cloud, plan: Plan, ui: Ui, path: Path, *,
    given: Collection[str] = (), known: Mapping[str, Any] = {},
) -> dict[str, str]:  # fmt: skip
    """Ask for what is missing or wrong and return it; empty when nothing is, or nobody can be asked.

    `given` names parameters that somebody set on purpose: an empty key among them stays empty. What is
    chosen is written to `path`, beside `known`: the parameters of an environment file, which may be another,
    the person's own. Raises CloudError, and RequestError when the input ends.
    """
    if not ui.is_interactive or ui.is_json:
        return {}
    chosen: dict[str, str] = {}
    image = _image(cloud, plan, ui, chosen)
    _flavors(cloud, plan, ui, chosen, image)
    _key(cloud, plan, ui, chosen, given)
    _network(cloud, plan, ui, chosen)
    if chosen:
        environment_file.write(path, {**known, **chosen})
        ui.say(f"kept in {path}; for another time: -e {path}")
    return chosen


def pick(ui: Ui, question: str, options: Sequence[Option], default: str = "") -> str:
    """Show a numbered list and return the value that was picked, by its number or its name.

    An empty line means `default` where there is one. Raises RequestError when the input ends.
    """
    width = max((len(option.value) for option in options), default=0)
    for number, option in enumerate(options[:MAX_SHOWN], 1):
        ui.result(f"  {number:>3}  {option.value:<{width}}  {option.told}".rstrip())
    if len(options) > MAX_SHOWN:
        ui.result(f"       and {len(options) - MAX_SHOWN} more, by name")
    while True:
        line = ui.ask(f"{question} (number or name)" + (f" [{default}]" if default else ""))
        if line is None:
            what = f"{question}: no answer, the input ended"
            raise RequestError(Problem(code="answer-missing", what=what, fix="--parameter NAME=VALUE"))
        if found := _picked(line.strip() or default, options):
            return found
        ui.explain(f"{line.strip() or 'an empty line'} is none of these")


def _picked(answer: str, options: Sequence[Option]) -> str:
    by_name = {option.value: option.value for option in options}
    if answer in by_name:
        return answer
    if answer.isdecimal() and 1 <= int(answer) <= len(options):
        return options[int(answer) - 1].value
    return ""


def _image(cloud: Cloud, plan: Plan, ui: Ui, chosen: dict[str, str]) -> Image | None:
    images = [one for one in cloud.images() if one.status == "active" and one.name]
    wanted = _value(plan, "image")
    found = [one for one in images if wanted in (one.name, one.id)]
    if len(found) == 1:
        return found[0]
    if not images:
        return None  # the survey says so
    ui.result(_why(f"image {wanted}", bool(found)))
    chosen["image"] = pick(ui, "image", _by_name((one.name, one.id) for one in images))
    return next(one for one in images if chosen["image"] in (one.name, one.id))


def _by_name(things: Iterable[tuple[str, str]]) -> list[Option]:
    """Return (name, id) pairs as options in the order of their names; those with one name by their ids."""
    listed = sorted(things, key=lambda thing: (thing[0].lower(), thing[1]))
    names = [name for name, _ in listed]
    return [
        Option(value=name) if names.count(name) == 1 else Option(value=identity, told=name)
        for name, identity in listed
    ]


def _flavors(cloud: Cloud, plan: Plan, ui: Ui, chosen: dict[str, str], image: Image | None) -> None:
    known = cloud.flavors()
    roles = ["master", "worker"] if plan.workers else ["master"]
    usable = {one.name for one in known} | {one.id for one in known}
    if any(name.startswith(RESERVED) for name in usable) and profile(plan.text) == "chameleon-kvm":
        usable = {name for name in usable if name.startswith(RESERVED)}  # it starts no others
    missing = [role for role in roles if _value(plan, f"{role}_flavor") not in usable]
    fitting = [one for one in known if image is None or not too_small_for(one, image)]
    if not missing or not fitting:
        return
    asked: dict[str, list[str]] = {}
    for role in missing:
        asked.setdefault(_value(plan, f"{role}_flavor"), []).append(role)
    ordered = sorted(fitting, key=_size)
    options = [Option(value=one.name, told=_flavor_told(one)) for one in ordered]
    for wanted, of in asked.items():
        ui.result(_why(f"flavor {wanted}", False))
        whom = _WHOM[tuple(of)]
        picked = pick(ui, f"flavor of {whom}", options)
        chosen.update({f"{role}_flavor": picked for role in of})


def _size(flavor: Flavor) -> tuple[bool, int, int, int, str]:
    """Reserved ones first, as they are there to be used; then the smallest."""
    return (not flavor.name.startswith(RESERVED), gpus(flavor), flavor.ram_mib, flavor.cores, flavor.name)


def _flavor_told(flavor: Flavor) -> str:
    if flavor.name == BARE_METAL:
        return "a whole machine, with a lease"
    parts = [plural(flavor.cores, "core"), gib(flavor.ram_mib)]
    parts += [f"{flavor.disk_gib:,} GiB of disk"] if flavor.disk_gib else []
    parts += [plural(gpus(flavor), "GPU")] if gpus(flavor) else []
    return ", ".join(parts)


def _key(cloud: Cloud, plan: Plan, ui: Ui, chosen: dict[str, str], given: Collection[str]) -> None:
    wanted = _value(plan, "key_name")
    if not wanted and "key_name" in given:
        return
    names = cloud.key_names()
    if wanted in names:
        return
    if not names:
        if not wanted:
            ui.result("no key pair on this cloud: nobody will be able to log in")
            ui.result("  make one: openstack keypair create --public-key ~/.ssh/id_ed25519.pub NAME")
        return  # a wrong name is the survey's
    if len(names) == 1 and not wanted:
        chosen["key_name"] = names[0]
        ui.result(f"key {names[0]}: your only key pair on this cloud")
        return
    if wanted:
        ui.result(_why(f"key pair {wanted}", False))
    options = [*(Option(value=one) for one in sorted(names)), Option(value=NONE, told="nobody can log in")]
    picked = pick(ui, "key pair", options)
    chosen["key_name"] = "" if picked == NONE and NONE not in names else picked


def _network(cloud: Cloud, plan: Plan, ui: Ui, chosen: dict[str, str]) -> None:
    wanted = _value(plan, "external_network")
    if not wanted:
        return  # empty on purpose: no router, no address
    external = [one for one in cloud.networks() if one.is_external]
    found = [one for one in external if wanted in (one.name, one.id)]
    if len(found) == 1 or not external:
        return
    if len(external) == 1:
        chosen["external_network"] = external[0].name
        ui.result(f"network {external[0].name}: the only external one of this cloud ({wanted} is not there)")
        return
    ui.result(_why(f"external network {wanted}", bool(found)))
    options = _by_name((one.name, one.id) for one in external)
    chosen["external_network"] = pick(ui, "external network", options)


def _why(what: str, is_ambiguous: bool) -> str:
    return (
        f"{what} is the name of several here:" if is_ambiguous else f"{what} is not on this cloud; there is"
    )


def _value(plan: Plan, parameter: str) -> str:
    found = plan.parameters.get(parameter, "")
    return "" if found is None else text(found)
