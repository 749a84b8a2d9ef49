"""The job line is read as Heat wrote it."""

from __future__ import annotations

import json

import pytest

from cloud.node import job

LINE = {"repo": "https://example.org/x.git", "entrypoint": "main.py", "master": "10.8.0.5", "secret": "s"}


def test_numbers_may_be_strings_and_unset_values_null() -> None:
    """Heat hands numbers over as either, attributes of a switched-off signal as null."""
    numbers = {"boot_timeout_s": "3000", "schema": 1.0, "max_hours": "0.5", "restarts": "3"}
    found = job.read(json.dumps({**LINE, **numbers, "signal": None}))

    assert (3000, 1, 0.5, "", 3) == (
        found.boot_timeout_s, found.schema, found.max_hours, found.signal, found.restarts,
    )  # fmt: skip


def test_an_older_template_restarts_once_and_overrules_nothing() -> None:
    """Its job line has no such keys."""
    assert (1, "no") == (job.read(json.dumps(LINE)).restarts, job.read(json.dumps(LINE)).adapt)


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


def test_secrets_are_known_by_their_names() -> None:
    """The stack's own word, and variables that are named like one; short values would blacken every line."""
    made = job.read(
        '{"repo": "r", "entrypoint": "e", "master": "m", "secret": "stack-word",'
        ' "env": ["HF_TOKEN=hf_abcdef", "EPOCHS=3", "MY_KEY=ab", "WANDB_API_KEY=0123456"]}'
    )

    assert ["hf_abcdef", "0123456", "stack-word"] == made.secrets
