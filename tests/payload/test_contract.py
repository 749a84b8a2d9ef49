"""docs/payload-contract.md against the node program and against the payload."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from cloud.node.engines import Place, ray, tensorflow, torchrun_environment
from cloud.node.job import Job
from cloud.node.recognise import Recognition
from tests.payload.pages import table

ROOT = Path(__file__).resolve().parents[2]
PAYLOAD = ROOT / "payload"
MODULES = sorted(PAYLOAD.rglob("*.py"))
TEXT = (ROOT / "docs/payload-contract.md").read_text()
OURS = re.compile(r"HOTRUN_[A-Z_]+")
# Not imported by name: LightningCLI's arguments; what torch.utils.tensorboard writes with.
BEHIND_OTHERS = {"jsonargparse", "tensorboard"}


def _table() -> dict[str, str]:
    """Variable -> who sets it."""
    rows = re.findall(r"^\| (`[A-Z].*?) \| (node|you) \|", TEXT, re.MULTILINE)
    return {name: setter for names, setter in rows for name in re.findall(r"`([A-Z_]+)`", names)}


def _keys(head: str) -> list[str]:
    """Names in the first column of that table."""
    return [name for row in table(TEXT, head) for name in re.findall(r"`(\w+)`", row[0])]


def _environment_reads(source: str) -> set[str]:
    """Names that a module may take from an environment: all words like them, but {"X": …} and getattr(…, "X")."""
    tree = list(ast.walk(ast.parse(source)))
    others = {id(key) for node in tree if isinstance(node, ast.Dict) for key in node.keys}
    for node in tree:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            others |= {id(argument) for argument in node.args}
    words = (node.value for node in tree if isinstance(node, ast.Constant) and id(node) not in others)
    return {word for word in words if isinstance(word, str) and re.fullmatch(r"[A-Z]+(_[A-Z]+)+|RANK", word)}


def _set_for_ranks(path: Path) -> set[str]:
    """Our names among the keys of dict displays: what a stage puts into an environment."""
    displays = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Dict))
    names = (key.value for node in displays for key in node.keys if isinstance(key, ast.Constant))
    return {name for name in names if isinstance(name, str) and OURS.fullmatch(name)}


def _run() -> Any:
    from recipe import Run

    return Run(trainer="torch", net="mlp-100", data="mnist", validation=5000, seed=1, epochs=1, world=1, batch_size=4,
               lr=0.1, weight_decay=0.0, precision="32-true", device="cpu", threads=1)  # fmt: skip


def test_the_table_is_what_a_node_sets() -> None:
    """A node sets for every rank exactly the variables that the table says it sets."""
    place = Place(node_rank=1, nnodes=3, nproc=2, addresses=("10.8.0.10", "10.8.0.11", "10.8.0.12"),
                  master_port=29501, run="r", attempt=1, has_gpu=False, threads=2, interface="ens3")  # fmt: skip
    job = Job(repo="", entrypoint="main.py", master="10.8.0.10", secret="s")
    launches = [launch(job, Recognition("", 1, ""), place) for launch in (ray.launch, tensorflow.launch)]
    theirs = {name for launch in launches for name in launch.environment}
    stages = (ROOT / "cloud/node/stages").glob("*.py")
    ours = {name for path in stages for name in _set_for_ranks(path)}

    assert {name for name, setter in _table().items() if setter == "node"} == ours | theirs | set(
        torchrun_environment(place)
    )


def test_the_payload_reads_what_the_table_has() -> None:
    """Every variable that the payload reads is in the table, and those that are for it are read."""
    read = {name for path in MODULES for name in _environment_reads(path.read_text())}

    assert {"HOTRUN_RUN_DIR", "HOTRUN_DATA_DIR", "HOTRUN_CHECKPOINT_DIR", "HOTRUN_RESUME_FROM"} <= read
    assert read - {"STRICT_SPREAD"} <= set(_table())  # how Ray calls one of its placements
    assert {name for name, setter in _table().items() if setter == "you"} <= read


def test_the_keys_of_a_result() -> None:
    """result.json has the keys of its table, in that order."""
    from ranks.predictions import Predictions
    from show.report import Journal
    from show.result import Training, summary

    ones = np.ones(2, np.int64)
    predictions = Predictions(labels=ones, classes=ones, probabilities=ones.astype(np.float32), loss=0.0)
    training = Training(steps=1, images=4, start_seconds=1.0)
    result = summary(_run(), training, Journal(Path(), 1), predictions, "0" * 64)

    assert _keys("key of `result.json`") == list(result)


def test_the_columns_of_the_epochs() -> None:
    """epochs.jsonl has the keys of its table, metrics.csv those that say so, in that order."""
    from show.report import COLUMNS, Epoch

    assert _keys("key of `epochs.jsonl`") == [field.name for field in dataclasses.fields(Epoch)]
    in_csv = [row[0].strip("`") for row in table(TEXT, "key of `epochs.jsonl`") if row[1] == "yes"]
    assert in_csv == list(COLUMNS)


def test_the_columns_of_the_predictions() -> None:
    """predictions.csv has the columns that its row names, in that order."""
    from ranks.predictions import Predictions

    none = np.ones(0, np.int64)
    found = Predictions(labels=none, classes=none, probabilities=none.astype(np.float32), loss=0.0)
    header = found.csv().decode().strip()
    row = next(row for row in table(TEXT, "file") if row[0] == "`predictions.csv`")

    assert re.findall(r"`(\w+)`", row[1]) == header.split(",")


def test_the_keys_of_a_manifest(tmp_path: Path) -> None:
    """A manifest has the keys of its table, and knows of its run what the table's text says."""
    from keep.checkpoints import save

    saved = save(tmp_path, {}, step=1, epoch=1, run=_run().fingerprint, keep=1)
    manifest = json.loads(saved.path.with_suffix(".json").read_text())
    sentence = TEXT.partition("`run` holds ")[2].partition(". ")[0]

    assert _keys("key of a manifest") == list(manifest)
    assert re.findall(r"`(\w+)`", sentence) == list(manifest["run"])


def test_the_payload_does_not_import_the_tool() -> None:
    """What they share is the table: no module of the payload imports `cloud`."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "cloud"], path


def test_requirements_are_exact_and_used() -> None:
    """Each requirement is pinned, and a package that the payload imports, or that one of these needs."""
    rows = (PAYLOAD / "requirements.txt").read_text().splitlines()
    imported = " ".join(path.read_text() for path in MODULES)

    for row in (row for row in rows if row[:1] not in {"", "#"}):
        project, _, version = row.partition("==")
        module = project.partition("[")[0].replace("-", "_")
        assert version, row
        imports = re.search(rf"^\s*(import|from) {module}\b", imported, re.MULTILINE)
        assert imports or module in BEHIND_OTHERS, row
