"""Plain dicts -> YAML text as a person would write it. Pure.

Keys in the given order, long text as it is, small maps and lists on one line, no aliases, and strings
that look like another type quoted. Comments may stand above sections and above what is directly in one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Comments = Mapping[tuple[str | int, ...], Sequence[str]]

_FLOW_COLUMNS = 90
_ONE_PER_LINE = {"type", "properties", "update_policy"}


_NO_COMMENTS: Comments = {}
_ITEM, _KEY = re.compile("- "), re.compile(r"  [^\s-]")  # directly in a section; all else is deeper


def sections(document: dict[str, Any], comments: Comments = _NO_COMMENTS) -> str:
    """Return a mapping as YAML, with an empty line between its top keys.

    `comments`: lines, # first, by the place that they stand above: (key,), (key, key) or (key, index).
    """
    return "\n".join(
        "".join(f"{line}\n" for line in _commented(key, value, comments)) for key, value in document.items()
    )


def _commented(section: str, value: Any, comments: Comments) -> Iterator[str]:
    """Yield the lines of a section, each entry's comment before it."""
    yield from comments.get((section,), ())
    is_map = isinstance(value, dict)
    begins, indent = (_KEY, "  ") if is_map else (_ITEM, "")
    entries = iter(value if is_map else range(len(value)))
    for line in _dump(_Section({section: value})).split("\n")[:-1]:
        if begins.match(line):
            yield from (indent + each for each in comments.get((section, next(entries)), ()))
        yield line


class _Section(dict[str, Any]):
    """A mapping that always takes a line per key."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _dump(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)


def _represent_section(dumper: yaml.SafeDumper, value: _Section) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=False)


def _represent_str(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = (
        "|" if "\n" in value.strip("\n") else '"' if "\n" in value else None
    )  # a lone line end has no block
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _represent_dict(dumper: yaml.SafeDumper, value: dict[str, Any]) -> yaml.MappingNode:
    small = (len(value) == 1 and not _ONE_PER_LINE & set(value)) or set(value) <= {"min", "max"}
    flow = small and _fits_one_line(value)
    return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=flow)


def _represent_list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.SequenceNode:
    small = all(not isinstance(item, dict) or len(item) == 1 for item in value)
    return dumper.represent_sequence(
        "tag:yaml.org,2002:seq", value, flow_style=small and _fits_one_line(value)
    )


def _fits_one_line(value: Any) -> bool:
    shown = str(value)
    return len(shown) <= _FLOW_COLUMNS and "\\n" not in shown


_Dumper.add_representer(_Section, _represent_section)
_Dumper.add_representer(str, _represent_str)
_Dumper.add_representer(dict, _represent_dict)
_Dumper.add_representer(list, _represent_list)
