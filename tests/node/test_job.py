"""The job line is read as Heat wrote it."""

from __future__ import annotations

import json

import pytest

from cloud.node import job

LINE = {"repo": "https://example.org/x.git", "entrypoint": "main.py", "master": "10.8.0.5", "secret": "s"}


def test_numbers_may_be_strings_and_unset_values_null() -> None:
    """Heat hands numbers over as either, attributes of a switched-off signal as null."""
    found = job.read(
        json.dumps({**LINE, "boot_timeout_s": "3000", "schema": 1.0, "max_hours": "0.5", "signal": None})
    )

    assert (3000, 1, 0.5, "") == (found.boot_timeout_s, found.schema, found.max_hours, found.signal)


def test_strings_arrive_as_they_are() -> None:
    """Quotes, dollars, placeholders and emoji are just characters."""
    words = "--name 'a b' $(id) `id` %index% @@JOB@@ {get_param: x} \N{ROCKET} \\n"

    assert words == job.read(json.dumps({**LINE, "args": words})).args


def test_the_program_lies_in_the_requirements_directory() -> None:
    """The entrypoint is relative to the directory of the third answer."""
    assert (
        "ml/src/train.py"
        == job.read(json.dumps({**LINE, "requirements": "ml", "entrypoint": "src/train.py"})).program_path
    )


def test_an_incomplete_job_is_refused() -> None:
    """A job without a repository is none."""
    with pytest.raises(TypeError):
        job.read("{}")
