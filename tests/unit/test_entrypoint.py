"""What the files of a commit say of the program that is to train."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloud.errors import Problem
from cloud.git.entrypoint import examine
from tests.unit.repositories import FILES, job

if TYPE_CHECKING:
    from collections.abc import Mapping


def examined(files: Mapping[str, str], nnodes: int = 3, modes: Mapping[str, str] | None = None, **changes: Any
             ) -> list[Problem]:  # fmt: skip
    """Problems of a commit with these files."""
    listing = dict.fromkeys(files, "100644") | dict(modes or {})
    read = {name: text.encode() for name, text in files.items()}.get
    return examine(job("https://h/x", **changes), listing, read, nnodes)[1]


@pytest.mark.parametrize(
    ("changes", "code", "fix"),
    [
        ({"entrypoint": "trian.py"}, "entrypoint-missing", "did you mean train.py?"),
        ({"entrypoint": "go.py"}, "entrypoint-missing", "did you mean ray/go.py?"),
        ({"requirements": "rya"}, "requirements-missing", "did you mean ray?"),
        ({"requirements": "docs", "entrypoint": "a.py"}, "requirements-missing", "directories that have one: ., ray"),
        ({"requirements": "ray", "entrypoint": "train.py"}, "entrypoint-missing",
         "train.py exists: paths are relative to the requirements directory"),
    ],
)  # fmt: skip
def test_missing_files_come_with_what_is_there(changes: dict[str, str], code: str, fix: str) -> None:
    """One mistake is one problem."""
    found = [
        problem for problem in examined({**FILES, "docs/a.py": ""}, **changes) if problem.level == "error"
    ]

    assert [(problem.code, problem.fix) for problem in found] == [(code, fix)]


def test_an_engines_own_requirements_are_enough() -> None:
    """`requirements-ray.txt` beside a program that uses Ray is no problem."""
    assert examined(FILES, requirements="ray", entrypoint="go.py") == []


@pytest.mark.parametrize(
    ("engine", "files", "fix"),
    [("torch", {"requirements": "ray", "entrypoint": "go.py"}, "--engine ray"), ("ray", {}, "--engine lightning"),
     ("tensorflow", {"requirements": "ray", "entrypoint": "go.py"}, "--engine ray")],
)  # fmt: skip
def test_an_engine_that_the_program_is_not_written_for_is_refused(
    engine: str, files: dict[str, str], fix: str
) -> None:
    """Ray and TensorFlow start in ways of their own: the one that fits is named, with the line that shows it."""
    found = [each for each in examined(FILES, engine=engine, **files) if each.code == "engine-differs"]

    assert [(each.level, each.fix, bool(each.where)) for each in found] == [("error", fix, True)]


@pytest.mark.parametrize(
    ("source", "code", "level"),
    [
        ("x = 1\n", "engine-unknown", "warning"),
        ("def (\n", "entrypoint-not-parsed", "warning"),
        ("x = '\0'\n", "entrypoint-not-parsed", "warning"),
        ("from lightning import Trainer\nTrainer(num_nodes=2)\n", "hard-coded", "warning"),
        ("from lightning import Trainer\nTrainer(num_nodes=3)\n", "launch-setting", "note"),
        ("from lightning import Trainer\nTrainer(devices=4)\n", "hard-coded", "warning"),
        ("from lightning import Trainer\nTrainer(devices=1)\n", "launch-setting", "note"),
        ("from lightning import Trainer\nTrainer(strategy='ddp')\n", "launch-setting", "note"),
        ("import os, torch\nos.environ['MASTER_ADDR'] = 'x'\ntorch.distributed.init_process_group()\n",
         "hard-coded", "warning"),
    ],
)  # fmt: skip
def test_what_a_program_fixes_is_named(source: str, code: str, level: str) -> None:
    """With the file and line, and as serious as it is for three machines."""
    (problem,) = examined({"train.py": source, "requirements.txt": ""})

    assert (problem.code, problem.level) == (code, level)
    assert problem.where.startswith("train.py:")


HIDDEN = {
    "train.py": "from ours.run import main\nmain()\n", "requirements.txt": "",
    "ours/run.py": "import lightning as L\nfrom os import environ\n\ndef main():\n    L.Trainer(num_nodes=1, devices=4)\n",
}  # fmt: skip


def test_a_warning_names_the_edit_and_the_refusal() -> None:
    """In the file where it stands; machines whose kind is not known here may be right."""
    nodes, devices = examined(HIDDEN)

    assert nodes.where == devices.where == "ours/run.py:5"
    assert nodes.what == "num_nodes=1 is set, but there are 3 machines: they would refuse to train"
    assert nodes.fix == "leave num_nodes= out: the launcher sets it; or generate with --adapt"
    assert devices.what == "devices=4 is set: machines with another number of GPUs would refuse to train"
    assert [] == [each for each in examined(HIDDEN, nnodes=1, nproc_per_node="4") if each.level == "warning"]


def test_what_was_asked_for_is_no_warning() -> None:
    """--adapt overrules, and says by what; with --allow-single nobody refuses."""
    adapted, single = examined(HIDDEN, adapt=True), examined(HIDDEN, allow_single=True)

    assert {"note"} == {each.level for each in [*adapted, *single]}
    assert adapted[0].what == "num_nodes=1 will be overruled: 3"
    assert adapted[1].what == "devices=4 will be overruled: the launcher's"


@pytest.mark.parametrize(("mode", "word"), [("120000", "symbolic link"), ("160000", "submodule")])
def test_links_and_submodules_are_left_to_the_machines(mode: str, word: str) -> None:
    """They have the whole clone."""
    (note,) = examined({}, modes={"sub": mode}, requirements="sub")

    assert (note.code, note.level) == ("files-not-read", "note")
    assert word in note.what


def test_a_single_machine_may_run_any_program() -> None:
    """Nothing has to meet."""
    assert examined({"train.py": "x = 1\n", "requirements.txt": ""}, nnodes=1) == []
