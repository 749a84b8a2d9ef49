"""Findings about sizes and about what a machine would receive. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cloud import userdata
from cloud.errors import Problem, ProblemsFound
from cloud.model import MAX_ARGS_CHARACTERS, MAX_BEYOND_ASCII
from cloud.resolve import Facts, node, value, workers
from cloud.template import placeholders

if TYPE_CHECKING:
    from cloud.template.document import Path, Template

MAX_TEMPLATE_BYTES = 524_288  # Heat's max_template_size
LARGE_TEMPLATE_BYTES = 73_728  # our own: what a person still uploads and reads
_JOB: Path = ("resources", "boot", "properties", "config", "str_replace_strict")

Values = Mapping[str, Any]


def problems(template: Template, values: Values) -> Iterator[Problem]:
    """Yield every finding about effects; `values` are all parameters, or those that have a value."""
    for look in _LOOKS:
        try:
            yield from look(template, values)
        except ProblemsFound as found:
            yield from found.problems


def sizes(template: Template, values: Values) -> dict[str, int]:
    """Return what each part of the user data takes, in bytes; jobs that can't be resolved count as empty."""
    worst = '"' * (MAX_ARGS_CHARACTERS - MAX_BEYOND_ASCII) + "\U0001f642" * MAX_BEYOND_ASCII
    longest = {**values, "args": worst, "setup": worst}
    return userdata.sizes(
        template.boot,
        _job_line(template, values, placeholders.facts(values)),
        _job_line(template, longest, placeholders.worst_facts(values)),
    )


def _job_line(template: Template, values: Values, facts: Facts) -> str:
    try:
        found = value(template, values, facts, *_JOB, "params", userdata.JOB_TOKEN)
        return json.dumps(found, sort_keys=True)
    except (ProblemsFound, TypeError):
        return ""


def _size(template: Template, _: Values) -> Iterator[Problem]:
    found = len(template.text.encode(errors="surrogatepass"))
    if found > MAX_TEMPLATE_BYTES:
        what = f"{template.name} has {found:,} bytes, but Heat takes at most {MAX_TEMPLATE_BYTES:,}"
        yield Problem(code="template-too-large", what=what, where=template.name)
    elif found > LARGE_TEMPLATE_BYTES:
        what = f"{template.name} has {found:,} bytes, more than the {LARGE_TEMPLATE_BYTES:,} it should have"
        yield Problem(code="template-large", level="warning", what=what, where=template.name)


def _boot(template: Template, _: Values) -> Iterator[Problem]:
    if not template.boot:
        return  # a finding about form
    where = template.where(*_JOB, "template")
    count = template.boot.count(userdata.JOB_TOKEN)
    if count != 1 or f"<<'HOTRUN_JOB'\n{userdata.JOB_TOKEN}\nHOTRUN_JOB\n" not in template.boot:
        yield Problem(
            code="job-token",
            where=where,
            fix="generate the template again",
            what=f"the boot script holds {userdata.JOB_TOKEN} {count} times, not once alone on its line",
        )
    try:
        userdata.require_node_program(template.boot)
    except ValueError as error:
        what = f"the boot script would refuse to start: {error}"
        yield Problem(code="node-program-damaged", what=what, where=where, fix="generate the template again")


def _formats(template: Template, _: Values) -> Iterator[Problem]:
    master = ("resources", "master", "properties")
    worker = ("resources", "worker_group", "properties", "resource_def", "properties")
    for path in (master, worker):
        found = template.at(*path, "user_data_format")
        if found != "RAW":
            yield Problem(
                code="user-data-format",
                where=template.where(*path, "user_data_format"),
                fix="write RAW",
                what=f"user_data_format is {found}; Heat then wraps the boot script in another, which fails",
            )


def _machines(template: Template, values: Values) -> Iterator[Problem]:
    """Both kinds of machine can be resolved, and each is told its rank and how many there are."""
    count = workers(values)
    if values.get("workers") != count:
        return  # more than there can be: a finding of its own
    for rank in sorted({0, min(1, count), count}):
        found = node(template, values, rank, placeholders.facts(values)).metadata
        expected = {"hotrun_rank": str(rank), "hotrun_workers": str(count)}
        wrong = [f"{key} {found.get(key)}" for key, text in expected.items() if found.get(key) != text]
        if wrong:
            resource = "worker_group" if rank else "master"
            yield Problem(
                code="machine-metadata",
                where=template.where("resources", resource),
                what=f"the machine of rank {rank} of {count} would be told {' and '.join(wrong)}",
                fix="restore metadata, index_var and removal_policies as they were generated",
            )


def _user_data(template: Template, values: Values) -> Iterator[Problem]:
    longest = len(node(template, values, 0, placeholders.worst_facts(values)).user_data)
    body = len(userdata.with_job(template.boot, "").encode())
    limit, where = userdata.MAX_USER_DATA_BYTES, template.where(*_JOB)
    if longest > limit:
        yield Problem(
            code="user-data-too-large",
            where=where,
            fix="shorten args, setup or env",
            what=f"the user data can take {longest:,} bytes, but OpenStack takes {limit:,}; "
            "the stack would fail and could not be deleted",
        )
    elif body > userdata.MAX_BODY_BYTES:
        most = userdata.MAX_BODY_BYTES
        what = f"the boot script takes {body:,} bytes, more than the {most:,} that leave room for any job"
        yield Problem(code="user-data-large", level="warning", what=what, where=where)


_LOOKS = (_size, _boot, _formats, _machines, _user_data)
