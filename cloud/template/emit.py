"""Plain dicts -> YAML text as a person would write it. Pure.

Keys in the given order, long text as it is, small maps and lists on one line, no aliases, and strings
that look like another type quoted.
"""

from __future__ import annotations

from typing import Any

import yaml

_FLOW_COLUMNS = 90
_ONE_PER_LINE = {"type", "properties", "update_policy"}


def sections(document: dict[str, Any]) -> str:
    """Return a mapping as YAML, with an empty line between its top keys."""
    return "\n".join(_dump(_Section({key: value})) for key, value in document.items())


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
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


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
