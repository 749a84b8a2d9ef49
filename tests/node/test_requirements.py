"""What uv says and writes is understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud.node import requirements, uv
from cloud.node.failure import StageFailed
from cloud.node.requirements import Lock


@pytest.mark.parametrize(
    ("lines", "code", "what"),
    [
        (
            ["  × No solution found when resolving dependencies:", "  ╰─▶ Because torchh was not found in the package",
             "      registry and you require torchh, we can conclude that your", "      requirements are unsatisfiable."],
            "requirement-not-found", "torchh: no such package on the index",
        ),
        (
            ["  ╰─▶ Because there is no version of torch==99 and you require torch==99, we can"],
            "requirement-not-found", "torch==99: the index has no such version",
        ),
        (
            ["  ╰─▶ Because the current Python version (3.9.2) does not satisfy Python>=3.10 and torch depends"],
            "python-too-old", "this image's Python is not what the requirements need: Python>=3.10",
        ),
        (["error: Failed to fetch", "Caused by: dns error"], "index-unreachable", "the package index does not answer: dns error"),
        (["something new"], "environment-failed", "something new"),
    ],
)  # fmt: skip
def test_uvs_words_become_a_cause(lines: list[str], code: str, what: str) -> None:
    """The requirement at fault is named where uv names it."""
    found = uv.explained(lines).problem

    assert (code, what) == (found["code"], found["what"])


def test_an_engines_own_file_comes_first(tmp_path: Path) -> None:
    """requirements-lightning.txt is taken when Lightning runs, requirements.txt otherwise, and one must be there."""
    with pytest.raises(StageFailed, match=r"no requirements\.txt"):
        requirements.file(tmp_path, "torch")
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "requirements-lightning.txt").touch()

    assert ["requirements-lightning.txt", "requirements.txt"] == [
        requirements.file(tmp_path, engine).name for engine in ("lightning-cli", "torch")
    ]


def test_local_requirements_are_installed_from_the_checkout(tmp_path: Path) -> None:
    """Editable ones and paths are kept apart from what the index has."""
    path = tmp_path / "requirements.txt"
    path.write_text("torch\n-e .\n./pkg  # ours\n.[extra]\nnumpy>=1\n")

    assert [["-e", "."], ["./pkg"], [".[extra]"]] == requirements.local(path)


def test_a_lock_keeps_what_has_hashes() -> None:
    """Local lines go, versions from git are kept apart, the index words travel with it."""
    text = "-e file:///x/src\nnumpy==2 \\\n    --hash=sha256:aa\npkg @ git+https://example.org/p@0f\n"
    kept, unhashed = requirements._split(text)
    lock = Lock.read(f"# index: --torch-backend cpu\n# without hashes: {unhashed[0]}\n{kept}")

    assert "numpy==2 \\\n    --hash=sha256:aa\n" == kept
    assert (("--torch-backend", "cpu"), ("pkg @ git+https://example.org/p@0f",)) == (
        lock.index_words,
        lock.unhashed,
    )
