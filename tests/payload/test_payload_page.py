"""docs/payload.md against the payload: its tables of nets, flags and data, and the files that it names."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import torch

from tests.payload.pages import table

ROOT = Path(__file__).resolve().parents[2]
PAYLOAD = ROOT / "payload"
TEXT = (ROOT / "docs/payload.md").read_text()
COLOURS = (3, 32, 32)  # C, H, W of a data set for resnet
GREY = (1, 28, 28)


def _rows(head: str) -> list[list[str]]:
    """Cells of a table of the page, names without their marks."""
    return [[cell.strip("`") for cell in row] for row in table(TEXT, head)]


def _flags(column: int) -> set[str]:
    """Flags of one of the two programs."""
    return set(re.findall(r"--[\w.-]+", " ".join(row[column] for row in _rows("`main.py`"))))


def test_nets_and_recipes() -> None:
    """Each net with its parameters, and the recipe that it is trained by."""
    from nets import NETS
    from recipe import RECIPES

    rows = _rows("net")
    assert [row[0] for row in rows] == list(NETS) == list(RECIPES)
    for name, _, parameters, *numbers in rows:
        net, recipe = NETS[name](COLOURS if name == "resnet" else GREY, 10), RECIPES[name]
        assert f"{sum(weights.numel() for weights in net.parameters()):,}" == parameters
        assert [float(number) for number in numbers] == [
            recipe.batch_size,
            recipe.lr,
            recipe.epochs,
            recipe.weight_decay,
        ]


def _added(program: str) -> set[str]:
    """The first name of every flag that a program adds to its parser."""
    calls = [
        node for node in ast.walk(ast.parse((PAYLOAD / program).read_text())) if isinstance(node, ast.Call)
    ]
    names = [call.args[0].value for call in calls if call.args and isinstance(call.args[0], ast.Constant)]
    return {name for name in names if isinstance(name, str) and re.fullmatch(r"--[a-z-]+", name)}


def test_flags_of_the_plain_program() -> None:
    """The table has all flags of torch_ddp.py, and no others."""
    assert _flags(1) == _added("plain/options.py") | _added("flags.py")


def test_flags_of_the_lightning_program() -> None:
    """The table has main.py's own, all arguments of its model and data, and of Lightning's only what there is."""
    from lit.classifier import Classifier
    from lit.images import Images
    from pytorch_lightning import Trainer

    ours = _added("main.py") | {f"--data.{name}" for name in inspect.signature(Images).parameters}
    ours |= {
        f"--model.{name}" for name in inspect.signature(Classifier).parameters if name != "data"
    }  # linked
    lightnings = {f"--trainer.{name}" for name in inspect.signature(Trainer).parameters}

    assert ours - _flags(0) == set()
    assert _flags(0) - ours - lightnings == {"--seed_everything", "--ckpt_path"}


def test_data_sets_and_places() -> None:
    """The table has every data set that can be fetched, with its place below the root."""
    from data import SPECS
    from fetch import SOURCES

    assert [row[:2] for row in _rows("name")] == [[name, source[0].place] for name, source in SOURCES.items()]
    assert list(SPECS) == list(SOURCES)


def test_what_it_names_is_there() -> None:
    """Files of the repository that the page names exist, and constants that it tells have these values."""
    from ranks.order import JUDGED_AT_ONCE
    from recipe import BETAS
    from sources.mirrors import PROBE_S

    for name in re.findall(r"payload/(?:sources/)?\w+\.(?:py|txt)", TEXT) + re.findall(
        r"\]\(([\w./-]+)\)", TEXT
    ):
        assert any((base / name).exists() for base in (ROOT, ROOT / "docs")), name
    assert f"chunks of {JUDGED_AT_ONCE} " in TEXT
    assert f"betas {BETAS[0]} and {BETAS[1]}" in TEXT
    assert f"Mirrors get {PROBE_S:.0f} s" in TEXT
    assert torch.__version__.startswith(re.findall(r"torch (\d+\.\d+)\.", TEXT)[0])
