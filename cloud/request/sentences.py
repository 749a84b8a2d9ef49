"""The sentence under each field of the model, as data: help, docs and the form show it. Pure."""

from __future__ import annotations

import ast
import functools
from types import MappingProxyType
from typing import TYPE_CHECKING

from cloud import assets

if TYPE_CHECKING:
    from collections.abc import Iterator


@functools.cache
def sentences() -> MappingProxyType[str, str]:
    """Return `Class.field` -> its sentence, in the order of cloud/model.py."""
    tree = ast.parse(assets.MODEL.read_text(encoding="utf-8"))
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return MappingProxyType({f"{cls.name}.{field}": text for cls in classes for field, text in _fields(cls)})


def _fields(cls: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, sentence in zip(cls.body, cls.body[1:], strict=False):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(sentence, ast.Expr) and isinstance(sentence.value, ast.Constant):
            yield field.target.id, " ".join(str(sentence.value.value).split())
