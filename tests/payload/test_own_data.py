"""docs/own-data.md, followed to the letter in a copy of the repository: a data set and a net of a reader's own."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/own-data.md").read_text()
BLOCK = re.compile(r"^(?:`([\w/.]+)`, ([^\n]+):\n\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COPIED = ("payload", "cloud", "templates", "requirements", "pyproject.toml")
DEADLINE_S = 600
CHANCE = 1 / 3
TESTED = 1000  # images


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of the page, with the line above it."""

    file: str
    """Empty for commands."""
    place: str
    """`new`, `with the imports`, ``above `NAME` `` or ``a row of `NAME` ``."""
    content: str


def blocks(title: str) -> list[Block]:
    """Those of a section, by the beginning of its title."""
    section = TEXT.partition(f"\n## {title}")[2].partition("\n## ")[0]
    return [
        Block(file=match[1] or "", place=match[2] or "", content=match[4])
        for match in BLOCK.finditer(section)
    ]


def follow(title: str, directory: Path) -> str:
    """Do what a section's blocks say, in order; what its commands printed."""
    said = ""
    for block in blocks(title):
        if block.file:
            edit(directory / block.file, block)
        else:
            said += run(block.content, directory)
    return said


def edit(path: Path, block: Block) -> None:
    """Put a block into its file, where the line above it says."""
    if block.place == "new":
        assert not path.exists(), path
        path.write_text(block.content)
        return
    name = re.sub(r"^.*`(\w+)`$", r"\1", block.place)
    above: dict[str, tuple[str, Callable[[re.Match[str]], str]]] = {
        "with the imports": (r"^from sources import .*\n", lambda match: match[0] + block.content),
        f"a row of `{name}`": (rf"^{name}\b.*{{\n", lambda match: match[0] + block.content),
        f"above `{name}`": (rf"^{name}\b", lambda match: block.content + match[0]),
    }
    pattern, replaced = above[block.place]
    text, count = re.subn(pattern, replaced, path.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1, f"{path.name} has no place for: {block.place}"
    path.write_text(text)


def run(commands: str, directory: Path) -> str:
    """Lines of a shell, with this Python and nobody's variables; what they printed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOTRUN_", "TORCHEL", "PL_", "GIT_"))
            and k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")}  # fmt: skip
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    author = {
        f"GIT_{who}_{what}": "reader@localhost"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    environment = {
        **kept, **author, "OMP_NUM_THREADS": "1", "HOTRUN_CACHE_DIR": str(directory / ".cache"),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), kept.get("PATH", os.defpath))),
    }  # fmt: skip
    done = subprocess.run(["bash", "-ec", commands], cwd=directory, env=environment, text=True, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE_S)  # fmt: skip
    assert done.returncode == 0, f"{commands}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fork of this repository whose owner has followed the steps 1 to 3."""
    directory = tmp_path_factory.mktemp("fork")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(ROOT / name, directory)
    (directory / ".gitignore").write_text("/data/\n/runs/\n/.cache/\n/template.yml\n__pycache__/\n")
    run("git init --quiet . && git add --all && git commit --quiet --message upstream", directory)
    said = [follow(f"{number}.", directory) for number in (1, 2, 3)]

    printed = [float(number) for number in re.findall(r"\d+\.\d+", said[1])]
    row = blocks("2.")[-1].content
    spoken = [float(number) for number in re.findall(r"\d+\.\d+", row)]
    assert printed == pytest.approx(spoken, abs=0.06)  # the page's numbers are what its command prints
    yield directory
    shutil.rmtree(directory)  # the machines' environments: gigabytes where they can't be linked


def result(run_dir: Path) -> dict[str, object]:
    """result.json, beside predictions of every image."""
    content = json.loads((run_dir / "result.json").read_text())
    rows = list(csv.DictReader((run_dir / "predictions.csv").read_text().splitlines()))
    assert [int(row["index"]) for row in rows] == list(range(TESTED))
    assert {row["label"] for row in rows} == {"0", "1", "2"}
    correct = sum(row["label"] == row["prediction"] for row in rows)
    assert content["test_accuracy"] == correct / TESTED > 2 * CHANCE
    assert (content["net"], content["data"]) == ("tiny", "shapes")
    return dict(content)


def test_every_block_says_where_it_goes() -> None:
    """A block is a shell command, or has a line above it with its file and the place in it."""
    found = [match for number in "12345" for match in blocks(f"{number}.")]

    assert len(found) == TEXT.count("\n```") // 2
    languages = [match[3] for match in BLOCK.finditer(TEXT)]
    assert [language == "sh" for language in languages] == [not block.file for block in found]


@pytest.mark.payload
def test_alone_and_as_two_ranks(fork: Path) -> None:
    """Steps 1 to 4: the new net learns the new images, alone and as two ranks to the same loss."""
    follow("4.", fork)

    alone, together = (result(fork / f"runs/shapes-tiny-{number}") for number in (1, 2))
    assert (alone["world_size"], together["world_size"]) == (1, 2)
    assert alone["global_batch_size"] == together["global_batch_size"] == 64
    assert float(str(alone["test_accuracy"])) > 0.9
    assert alone["train_loss"] == pytest.approx(together["train_loss"], abs=1e-3)
    assert (fork / "runs/shapes-tiny-1/mistakes.png").exists()


@pytest.mark.rehearsal
def test_the_template_trains_it(fork: Path) -> None:
    """Step 5: what was committed is rehearsed as two machines, each with images that it drew itself."""
    said = follow("5.", fork)

    assert "2 machines trained as one" in said
    results = sorted(fork.glob("runs/fork*/results"))
    assert [result(path)["world_size"] for path in results] == [2]
