"""What the project's files must not say, and what its pages must."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = [  # in pieces, as this file is read as well
    "py" + "pi.org", "python" + "hosted.org", "download.py" + "torch.org", "registry.npm" + "js.org",
    "deb.de" + "bian.org",
    "/wo" + "rk/", "/ro" + "ot/", "/home/" + "user",
]  # fmt: skip
NOT_OURS = {".git", ".venv", ".build", "runs", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
FIRST_ARGUMENT_IS_A_CODE = {"Refused", "StageFailed", "Failure", "Unresolvable"}


def committed() -> list[Path]:
    """The project's files: git's list where there is one, else all that is not built."""
    if (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, capture_output=True, text=True, check=False)
        if listed.returncode == 0 and listed.stdout:
            return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not NOT_OURS & set(path.relative_to(ROOT).parts)
    ]


@pytest.mark.process
def test_nothing_names_a_registry_or_a_place_of_one_machine() -> None:
    """Indexes come from the user's configuration; paths are relative or the user's."""
    found = []
    for path in committed():
        text = path.read_bytes().decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            found += [f"{path.relative_to(ROOT)}:{number}: {word}" for word in FORBIDDEN if word in line]
    assert found == []


@pytest.mark.process
def test_no_line_ends_in_blanks() -> None:
    """YAML would fall back to one quoted line for a boot script with them; elsewhere they are noise."""
    found = []
    for path in committed():
        if path.suffix in {".py", ".j2", ".yml", ".yaml", ".md", ".toml", ".sh", ""}:
            lines = path.read_bytes().decode("utf-8", "replace").splitlines()
            found += [
                f"{path.relative_to(ROOT)}:{n}" for n, line in enumerate(lines, 1) if line != line.rstrip()
            ]
    assert found == []


def problem_codes() -> dict[str, str]:
    """Code -> where it is raised: `code="…"` of any call, and the first argument of our own exceptions."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "cloud").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            values = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            if ast.unparse(node.func).rpartition(".")[2] in FIRST_ARGUMENT_IS_A_CODE:
                values += node.args[:1]
            for value in values:
                for code in filter(is_code, constants(value)):
                    found.setdefault(code, f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def constants(value: ast.expr) -> list[str]:
    """The text of an expression, or those of both sides of a choice."""
    if isinstance(value, ast.IfExp):
        return constants(value.body) + constants(value.orelse)
    if isinstance(value, ast.BoolOp):
        return [text for side in value.values for text in constants(side)]
    return [value.value] if isinstance(value, ast.Constant) and isinstance(value.value, str) else []


def is_code(text: str) -> bool:
    """One kebab-case word."""
    return bool(CODE.fullmatch(text)) or (text.isalpha() and text.islower())


def test_every_problem_has_a_heading_in_the_docs() -> None:
    """`docs/errors.md#CODE` is what each message points at."""
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^#+ `?([a-z0-9-]+)`?$", page, re.MULTILINE))
    missing = {code: where for code, where in problem_codes().items() if code not in headings}
    assert missing == {}


def test_no_heading_in_the_docs_is_without_a_problem() -> None:
    """A code that nothing raises any more leaves the page."""
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^#+ `?([a-z0-9]+(?:-[a-z0-9]+)+)`?$", page, re.MULTILINE))
    files = [*sorted((ROOT / "cloud").rglob("*.py")), *sorted((ROOT / "templates").iterdir())]
    source = "".join(path.read_text(encoding="utf-8") for path in files)
    assert {heading for heading in headings if not is_raised(heading, source)} == set()


def is_raised(code: str, source: str) -> bool:
    """Whether a source names a code: whole, as a shell word, or as the end of an f-string."""
    kind = code.partition("-")[2]
    return any(form in source for form in (f'"{code}"', f" {code} ", f"code={code}", f'}}-{kind}"'))


def test_uv_is_the_same_everywhere() -> None:
    """The node's pin of uv is the checkout's, version and hashes."""
    ours = (ROOT / "requirements" / "uv.txt").read_text()
    node = (ROOT / "cloud" / "node" / "uv.py").read_text()
    version = re.search(r'VERSION = "([0-9.]+)"', node)
    assert version
    assert f"uv=={version[1]} " in ours
    hashes = re.findall(r'"([0-9a-f]{64})"', node)
    assert hashes
    assert all(digest in ours for digest in hashes)
