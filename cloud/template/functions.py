"""Heat's functions, as far as what a node receives is written with them. Pure.

How Heat writes each value was read in its engine (heat/engine/hot/functions.py) and is compared with it in
tests/heat. What stands in the way is a problem with a name and a line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from cloud.errors import Problem, ProblemsFound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cloud.template.document import Path, Template

SIGNAL_ATTRIBUTES = ("signal", "endpoint", "token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What only a cloud, or whoever stands in for it, knows."""

    stack_name: str
    """Name of the stack."""
    addresses: tuple[str, ...]
    """Private address of each machine, master first."""
    secret: str
    """The stack's secret, made by Heat at launch."""
    signal: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of the signal handle: `signal`, `endpoint`, `token`; None for what a transport lacks."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A `get_resource`: an id that only a cloud knows."""

    resource: str


class Resolver:
    """Evaluates Heat's functions over one template."""

    def __init__(self, template: Template, parameters: Mapping[str, Any], facts: Facts) -> None:
        self.template, self.parameters, self.facts = template, parameters, facts
        self._conditions: list[str] = []  # those being evaluated, to see a circle

    def at(self, path: Path, otherwise: Any) -> Any:
        """Return what stands at a path, resolved."""
        found = self.template.at(*path)
        return otherwise if found is None else self.evaluate(found, path)

    def was_reference(self, path: Path) -> bool:
        """Whether a machine's user data is given by the id of a resource."""
        found = self.template.at(*path, "user_data")
        return isinstance(found, dict) and "get_resource" in found

    def evaluate(self, item: Any, path: Path) -> Any:
        """Return a part of the template with every function in it resolved."""
        if isinstance(item, list):
            return [self.evaluate(part, (*path, index)) for index, part in enumerate(item)]
        if not isinstance(item, dict):
            return item
        if len(item) == 1:
            ((name, arguments),) = item.items()
            if name in _FUNCTIONS:
                return _FUNCTIONS[name](self, arguments, (*path, name))
            if name in _OTHER_FUNCTIONS:
                self.refuse(f"{name} is a function that only Heat can resolve", (*path, name))
        return {key: self.evaluate(part, (*path, key)) for key, part in item.items()}

    def refuse(self, what: str, path: Path) -> NoReturn:
        """Raise the problem that keeps something at a path from being resolved."""
        raise ProblemsFound(
            Problem(
                code="cannot-resolve",
                what=f"what a machine receives can't be foreseen: {what}",
                where=self.template.where(*path),
                fix="write it with the functions that the generated template uses",
            )
        )

    def holds(self, condition: Any, path: Path) -> bool:
        """Return whether a condition, by name or written out, is true."""
        if isinstance(condition, bool):
            return condition
        if isinstance(condition, dict):
            found = self.evaluate(condition, path)
            if not isinstance(found, bool):
                self.refuse(f"a condition is true or false, not {found!r}"[:200], path)
            return found
        if not isinstance(condition, str) or self.template.at("conditions", condition) is None:
            self.refuse(f"there is no condition {condition!r}", path)
        if condition in self._conditions:
            self.refuse(f"the condition {condition} depends on itself", path)
        self._conditions.append(condition)
        found = self.holds(self.template.at("conditions", condition), ("conditions", condition))
        self._conditions.pop()
        return found


def _get_param(resolver: Resolver, arguments: Any, path: Path) -> Any:
    name, *keys = arguments if isinstance(arguments, list) and arguments else [arguments]
    if name == "OS::stack_name":
        return resolver.facts.stack_name
    if not isinstance(name, str) or name not in resolver.parameters:
        resolver.refuse(f"there is no value for the parameter {name!r}", path)
    found = resolver.parameters[name]
    return _inside(found, keys)


def _get_attr(resolver: Resolver, arguments: Any, path: Path) -> Any:
    facts = resolver.facts
    if not isinstance(arguments, list):
        resolver.refuse("get_attr takes a list", path)
    if arguments == ["master_port", "fixed_ips", 0, "ip_address"] and facts.addresses:
        return facts.addresses[0]
    if arguments == ["secret", "value"]:
        return facts.secret
    if len(arguments) == 2 and arguments[0] == "gate_handle" and arguments[1] in SIGNAL_ATTRIBUTES:
        return facts.signal.get(arguments[1])
    return resolver.refuse(f"the attribute {arguments} is only known in a cloud", path)


def _get_resource(resolver: Resolver, arguments: Any, path: Path) -> Any:
    if not isinstance(arguments, str) or arguments not in resolver.template.section("resources"):
        resolver.refuse(f"there is no resource {arguments!r}", path)
    return Reference(arguments)


def _str_replace(resolver: Resolver, arguments: Any, path: Path, *, strict: bool = False) -> str:
    """Replace longest keys first, never inside what was put in; a map or list becomes one line of JSON."""
    parts = resolver.evaluate(arguments, path) if isinstance(arguments, dict) else {}
    text, params = parts.get("template"), parts.get("params")
    if not isinstance(text, str) or not isinstance(params, dict):
        resolver.refuse("str_replace takes a template that is text and params that are a map", path)
    pieces = [text]
    order = sorted(sorted(str(key) for key in params), key=len, reverse=True)
    missing = [key for key in order if key not in text or not key]
    if strict and missing:
        resolver.refuse(f"the text does not contain {missing[0]!r}", path)
    return _replaced(pieces, order, {str(k): _inserted(resolver, v, path) for k, v in params.items()})[0]


def _replaced(pieces: list[str], order: list[str], texts: Mapping[str, str]) -> list[str]:
    if not order:
        return pieces
    first, *rest = order
    return [texts[first].join(_replaced(piece.split(first), rest, texts)) for piece in pieces]


def _inserted(resolver: Resolver, item: Any, path: Path) -> str:
    if item is None:
        return ""
    if isinstance(item, str | int | float):
        return str(item)
    return _json(resolver, item, path)


def _json(resolver: Resolver, item: Any, path: Path) -> str:
    def refuse(part: Any) -> NoReturn:
        resolver.refuse(f"the id of {getattr(part, 'resource', part)} is only known in a cloud", path)

    return json.dumps(item, default=refuse, sort_keys=True)


def _list_join(resolver: Resolver, arguments: Any, path: Path) -> str:
    parts = resolver.evaluate(arguments, path)
    if not isinstance(parts, list) or len(parts) < 2 or not isinstance(parts[0], str):
        resolver.refuse("list_join takes a text and lists", path)
    delimiter, *lists = parts
    items: list[str] = []
    for entry in lists:
        if entry and not isinstance(entry, list):
            resolver.refuse("list_join takes a text and lists", path)
        for item in entry or []:
            if isinstance(item, bool | int | float | Reference):
                resolver.refuse(f"list_join joins text, not {item!r}", path)
            items.append(
                item if isinstance(item, str) else "" if item is None else _json(resolver, item, path)
            )
    return str(delimiter).join(items)


def _if(resolver: Resolver, arguments: Any, path: Path) -> Any:
    if not isinstance(arguments, list) or len(arguments) != 3:
        resolver.refuse("if takes a condition and two values", path)
    chosen = 1 if resolver.holds(arguments[0], (*path, 0)) else 2
    return resolver.evaluate(arguments[chosen], (*path, chosen))


def _equals(resolver: Resolver, arguments: Any, path: Path) -> bool:
    parts = resolver.evaluate(arguments, path)
    if not isinstance(parts, list) or len(parts) != 2:
        resolver.refuse("equals takes two values", path)
    return bool(parts[0] == parts[1])


def _all_or_any(resolver: Resolver, arguments: Any, path: Path, *, fold: Callable[..., bool]) -> bool:
    if not isinstance(arguments, list) or len(arguments) < 2:
        resolver.refuse("and, or take two conditions or more", path)
    return fold(resolver.holds(item, (*path, index)) for index, item in enumerate(arguments))


def _inside(found: Any, keys: list[Any]) -> Any:
    for key in keys:
        if isinstance(found, list) and str(key).isdigit() and int(key) < len(found):
            found = found[int(key)]
        else:
            return ""  # as Heat does for a path that leads nowhere
    return found


_FUNCTIONS: dict[str, Callable[[Resolver, Any, Path], Any]] = {
    "get_param": _get_param,
    "get_attr": _get_attr,
    "get_resource": _get_resource,
    "str_replace": _str_replace,
    "str_replace_strict": lambda resolver, arguments, path: _str_replace(
        resolver, arguments, path, strict=True
    ),
    "list_join": _list_join,
    "if": _if,
    "equals": _equals,
    "not": lambda resolver, arguments, path: not resolver.holds(arguments, path),
    "and": lambda resolver, arguments, path: _all_or_any(resolver, arguments, path, fold=all),
    "or": lambda resolver, arguments, path: _all_or_any(resolver, arguments, path, fold=any),
}
_OTHER_FUNCTIONS = {
    "get_file",
    "digest",
    "repeat",
    "resource_facade",
    "map_merge",
    "map_replace",
    "str_split",
    "yaql",
    "contains",
    "str_replace_vstrict",
    "filter",
    "make_url",
    "list_concat",
    "list_concat_unique",
    "Ref",
    "Fn::Select",
    "Fn::GetAZs",
    "Fn::GetAtt",
    "Fn::Join",
    "Fn::Base64",
}
NAMES = (*_FUNCTIONS, *_OTHER_FUNCTIONS)
