"""Requests that can be met, with something changed, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloud import config, model
from cloud.errors import Problem, RequestError

if TYPE_CHECKING:
    from pathlib import Path

REQUIRED = {"repo": "https://github.com/you/digits.git", "workers": "2", "entrypoint": "main.py"}


def flags(**changes: Any) -> dict[str, Any]:
    """Flags of a request that can be met, with changes."""
    return {**REQUIRED, **changes}


def cluster(**changes: Any) -> model.Cluster:
    """The cluster of `flags`."""
    return config.cluster(config.request(flags(**changes)))


def problems(request: config.Request) -> tuple[Problem, ...]:
    """What is wrong with a request."""
    with pytest.raises(RequestError) as caught:
        config.cluster(request)
    return caught.value.problems


def refused(key: str, value: Any) -> Problem:
    """The one problem of a value."""
    (problem,) = problems(config.request(flags(**{key: value})))
    assert problem.what.startswith(f"{key} ")
    return problem


def written(directory: Path, text: str) -> Path:
    """A request file with `text`."""
    path = directory / "hotrun.yml"
    path.write_text(text, encoding="utf-8")
    return path
