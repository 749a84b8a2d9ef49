"""A template with any value in any place, for rules about what no edit by hand may cause."""

from __future__ import annotations

import copy
from typing import Any

import yaml
from hypothesis import strategies as st

from cloud import hot
from tests.unit.clusters import cluster


def edited(place: tuple[Any, ...], value: Any) -> str:
    """Return the template with a value in a place, its first line kept."""
    document = copy.deepcopy(_DOCUMENT)
    parent: Any = document
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    return _TEXT.partition("\n")[0] + "\n" + yaml.dump(document, Dumper=_Dumper, allow_unicode=True)


def _places(item: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
    return [path, *(place for key, part in inner for place in _places(part, (*path, key)))]


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    def ignore_aliases(self, _data: Any) -> bool:
        return True


_TEXT = hot.text(cluster())
_DOCUMENT = yaml.load(_TEXT, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
PLACES = _places(_DOCUMENT)[1:]
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
    st.sampled_from([[], {}, [[]], {"get_param": []}, {"get_param": {}}, {"if": []}, {"get_attr": [[]]}, {"": None},
        {"str_replace": {}}, {"list_join": [1, 2]}, {"get_resource": ["a"]}, {1: 2}, {"get_param": None},
        [{"parameters": 3}], [{"resource_list": 3}], [{"resource_list": [[]]}]]),
)  # fmt: skip
