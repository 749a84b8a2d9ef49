"""docs/payload-contract.md against the node program and against the payload."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from cloud.node.engines import Place, torchrun_environment

ROOT = Path(__file__).resolve().parents[2]
PAYLOAD = ROOT / "payload"
TEXT = (ROOT / "docs/payload-contract.md").read_text()
OURS = re.compile(r"HOTRUN_[A-Z_]+")


def _table() -> dict[str, str]:
    """Variable -> who sets it."""
    rows = re.findall(r"^\| (`[A-Z].*?) \| (node|you) \|", TEXT, re.MULTILINE)
    return {name: setter for names, setter in rows for name in re.findall(r"`([A-Z_]+)`", names)}


def _environment_reads(source: str) -> set[str]:
    """Names that a module reads from os.environ or a copy of it: "X" in e, e["X"], e.get("X")."""
    words = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return {word for word in words if isinstance(word, str) and re.fullmatch(r"[A-Z]+(_[A-Z]+)+|RANK", word)}


def _set_for_ranks(path: Path) -> set[str]:
    """Our names among the keys of dict displays: what a stage puts into an environment."""
    displays = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Dict))
    names = (key.value for node in displays for key in node.keys if isinstance(key, ast.Constant))
    return {name for name in names if isinstance(name, str) and OURS.fullmatch(name)}


def test_the_table_is_what_a_node_sets() -> None:
    """A node sets for every rank exactly the variables that the table says it sets."""
    place = Place(node_rank=1, nnodes=3, nproc=2, master_address="10.8.0.10", master_port=29501, run="r",
                  attempt=1, has_gpu=False, threads=2, interface="ens3")  # fmt: skip
    stages = (ROOT / "cloud/node/stages").glob("*.py")
    ours = {name for path in stages for name in _set_for_ranks(path)}

    assert {name for name, setter in _table().items() if setter == "node"} == ours | set(
        torchrun_environment(place, 1)
    )


def test_the_payload_reads_what_the_table_has() -> None:
    """Every variable that the payload reads is in the table."""
    read = {name for path in PAYLOAD.glob("*.py") for name in _environment_reads(path.read_text())}

    assert "HOTRUN_RUN_DIR" in read
    assert read <= set(_table())


def test_the_payload_does_not_import_the_tool() -> None:
    """What they share is the table: no module of the payload imports `cloud`."""
    for path in PAYLOAD.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "cloud"], path


def test_requirements_are_exact_and_used() -> None:
    """Each requirement is pinned, and a package that the payload imports, or that a LightningCLI needs."""
    rows = (PAYLOAD / "requirements.txt").read_text().splitlines()
    imported = " ".join(path.read_text() for path in PAYLOAD.glob("*.py"))

    for row in (row for row in rows if row[:1] not in {"", "#"}):
        project, _, version = row.partition("==")
        module = project.partition("[")[0].replace("-", "_")
        assert version, row
        imports = re.search(rf"^\s*(import|from) {module}\b", imported, re.MULTILINE)
        assert imports or module == "jsonargparse", row
