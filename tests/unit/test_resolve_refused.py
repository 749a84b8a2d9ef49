"""What can't be resolved: values that break a constraint, and text that is no template of ours."""

from __future__ import annotations

from typing import Any

import pytest

from cloud import resolve
from cloud.errors import ProblemsFound
from tests.unit.test_resolve import TEXT


@pytest.mark.parametrize(
    ("overrides", "code", "said"),
    [
        (
            {"workers": "300"},
            "parameter-invalid",
            "workers is 300: workers is a whole number from 0 to 254, like 4.",
        ),
        ({"workers": 2.5}, "parameter-invalid", "workers is 2.5"),
        ({"workers": "inf"}, "parameter-invalid", "workers is inf"),
        ({"workers": "two"}, "parameter-invalid", "must be a number"),
        ({"image": ""}, "parameter-invalid", "must not be empty"),
        ({"args": "x" * 561}, "parameter-invalid", "at most 560 characters"),
        ({"engine": "torchh"}, "parameter-invalid", "engine is one of auto"),
        ({"entrypoint": "main.py\n"}, "parameter-invalid", "entrypoint is 'main.py\\n'"),
        ({"image": {"a": 1}}, "parameter-invalid", "must be text"),
        ({"wrkers": 1}, "unknown-parameter", "wrkers is not a parameter"),
    ],
)
def test_values_that_break_a_constraint_are_refused_in_its_own_words(
    overrides: dict[str, Any], code: str, said: str
) -> None:
    """The sentence is the template's, the value is shown, and only once."""
    with pytest.raises(ProblemsFound) as found:
        resolve.parameters(resolve.load(TEXT), overrides)
    (problem,) = found.value.problems
    assert code == problem.code
    assert said in problem.what
    assert problem.where == f"--parameter {next(iter(overrides))}"


def test_near_miss_of_a_parameter_is_named() -> None:
    """A typing error gets its word."""
    with pytest.raises(ProblemsFound) as found:
        resolve.parameters(resolve.load(TEXT), {"wrkers": 1})
    assert found.value.problems[0].fix == "did you mean workers?"


def test_credentials_never_enter_a_message() -> None:
    """A refused address is shown without its user name and password."""
    with pytest.raises(ProblemsFound) as found:
        resolve.parameters(resolve.load(TEXT), {"repo": "https://me:hunter2@example.org/x"})
    assert "hunter2" not in str(found.value.problems)


@pytest.mark.parametrize(
    ("text", "code", "where"),
    [
        ("a: [1\nb: 2", "yaml-invalid", "template.yml:2"),
        ("a: 'x\n", "yaml-invalid", "template.yml:2"),
        ("\tx", "yaml-invalid", "template.yml:1"),
        ("{[1]: 2}", "yaml-invalid", "template.yml:1"),
        ("a: &x 1\nb: *x\n", "yaml-alias", "template.yml:1"),
        ("a: &x [*x]\n", "yaml-alias", "template.yml:1"),
        ("", "not-a-hotrun-template", "template.yml:1"),
        ("hello", "not-a-hotrun-template", "template.yml:1"),
        ("[1, 2]", "not-a-hotrun-template", "template.yml:1"),
        (
            "heat_template_version: 2018-08-31\n\nresources:\n  boot: {type: x}\n",
            "not-a-hotrun-template",
            "template.yml:4",
        ),
    ],
)
def test_text_that_is_no_template_of_ours_is_refused_with_its_line(text: str, code: str, where: str) -> None:
    """One sentence, a line and what to do; never a traceback."""
    with pytest.raises(ProblemsFound) as found:
        resolve.load(text)
    problem = found.value.problems[0]
    assert (code, where) == (problem.code, problem.where)
    assert problem.fix


def test_nested_too_deeply_is_a_problem() -> None:
    """A file made to break its reader does not."""
    with pytest.raises(ProblemsFound):
        resolve.load("[" * 100_000)
