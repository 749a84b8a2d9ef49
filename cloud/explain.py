"""Plan -> plain words: what each resource, parameter, output and stage is for; and the node's own files.

`explain` is pure; `unpack` writes files.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from cloud import check, resolve, userdata
from cloud.checks import limits
from cloud.errors import Problem, ProblemsFound, RequestError
from cloud.model import MAX_ARGS_CHARACTERS, MAX_BEYOND_ASCII
from cloud.node.console import STAGES
from cloud.plan import Plan, cluster_line, job_line, network_line, source_line
from cloud.template import placeholders
from cloud.template.parameters import redacted
from cloud.template.published import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WIDTH = 20
_MANIFEST = "manifest.sha256"  # as sha256sum reads it
STAGES_DO = (
    "finds its address and the master", "takes the repository's commit", "builds the Python environment",
    "meets the other machines and compares", "runs the program",
    "brings proof, logs and results to the master", "reports and ends",
)  # fmt: skip
OUTPUTS = {
    "state": "what the machines last said of themselves, in one line",
    "machines": "seconds that each machine took for each stage",
    "result": "what the program reported",
    "files": "how to get models, metrics and logs",
    "power_off": "when the machines stop by themselves",
    "costs": "what costs until when",
    "master_ip": "the master's private address",
    "floating_ip": "its address from outside",
    "ssh": "the command to log in with",
    "workers": "how many workers there are",
    "status": "what the master reported: the gate, later the result with its proof",
}
FACTS = (
    "addresses, secret, the stack's name and the signal's credentials are placeholders: "
    "only a cloud, or a rehearsal, has the real ones"
)


def explain(plan: Plan) -> str:
    """Return what a template would do, section by section; what is wrong with it comes first."""
    sections = [
        ("problems", _problems(plan)),
        ("in short", _short(plan)),
        ("parameters", _parameters(plan)),
        ("resources", _resources(plan)),
        ("on every machine", _stages()),
        ("user data, in bytes", _sizes(plan)),
        ("outputs", _outputs(plan)),
    ]
    told = [(title, lines) for title, lines in map(_read, sections) if lines]
    blocks = ["\n".join([title, *(f"  {line}".rstrip() for line in lines)]) for title, lines in told]
    return f"{plan.template.name}\n\n" + "\n\n".join(blocks) + "\n"


def unpack(plan: Plan, directory: Path) -> list[Path]:
    """Write what a machine gets into a directory and return the files, in order; the last is their manifest.

    The node program as the template carries it (without comments), and the user data of the master and of
    one worker as they would be with placeholder facts. Raises ProblemsFound for what can't be resolved or
    unpacked, and RequestError for a directory with files that no earlier unpack wrote, or one that can't be
    written. Everything is checked before anything is written.
    """
    files = _unpacked(plan)
    root = directory.resolve()
    if any(os.path.relpath(root / name, root).startswith("..") for name in files):  # somebody else's archive
        what = "the node program has a file that lies outside of its directory"
        raise ProblemsFound(Problem(code="node-program-damaged", what=what))
    files[_MANIFEST] = "".join(f"{_sha256(content)}  {name}\n" for name, content in files.items()).encode()
    try:
        for name in _own_files(directory) - set(files):
            (root / name).unlink()
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
    except OSError as error:
        what = f"{directory} can't be written: {error.strerror or error}"
        raise RequestError(_not_unpacked("output-unwritable", what)) from error
    return [root / name for name in files]


def _unpacked(plan: Plan) -> dict[str, bytes]:
    """Return what a machine gets as files: path -> content."""
    facts = placeholders.facts(plan.parameters)
    try:
        files = dict(userdata.node_program(plan.template.boot))
    except ValueError as error:
        where = plan.template.where("resources", "boot")
        raise ProblemsFound(Problem(code="node-program-damaged", what=str(error), where=where)) from error
    for rank in range(min(plan.workers, 1) + 1):
        resolved = resolve.node(plan.template, plan.parameters, rank, facts)
        files[f"user_data.{resolved.name}"] = resolved.user_data
        files[f"metadata.{resolved.name}"] = _lines_of(resolved.metadata)
    return files


def _own_files(directory: Path) -> set[str]:
    """Return the files of an earlier unpack; RequestError for one that is somebody's, or was changed."""
    if not directory.exists():
        return set()
    if not directory.is_dir():
        raise RequestError(_not_unpacked("output-unwritable", f"{directory} is not a directory"))
    manifest = directory / _MANIFEST
    listed = manifest.read_text(encoding="utf-8", errors="replace") if manifest.is_file() else ""
    known = {name: digest for digest, _, name in (line.partition("  ") for line in listed.splitlines())}
    found = set()
    for path in directory.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            continue
        name = path.relative_to(directory).as_posix()
        is_plain = path.is_file() and not path.is_symlink()
        if not is_plain or (name != _MANIFEST and known.get(name) != _sha256(path.read_bytes())):
            what = f"{path} exists and is not as an earlier --unpack wrote it"
            raise RequestError(_not_unpacked("output-not-ours", what))
        found.add(name)
    return found


def _not_unpacked(code: str, what: str) -> Problem:
    return Problem(code=code, what=what, where="flag --unpack", fix="name a new or an empty directory")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(section: tuple[str, Iterator[str]]) -> tuple[str, list[str]]:
    """Take the lines of a section as far as they come: a broken template is explained as far as possible."""
    title, lines = section
    found: list[str] = []
    try:
        found.extend(lines)
    except ProblemsFound as stopped:
        found.append(f"(can't be told: {stopped.problems[0].what})")
    return title, found


def _problems(plan: Plan) -> Iterator[str]:
    for problem in plan.problems:
        yield f"{problem.level}: {problem.where}: {problem.what}"
        if problem.fix:
            yield f"  fix   {problem.fix}"
        if problem.level != "note":
            yield f"  docs  {problem.docs}"
    if check.is_error(plan.problems):
        yield "what follows is told as far as the file can be understood"


def _short(plan: Plan) -> Iterator[str]:
    yield cluster_line(plan)
    yield network_line(plan)
    yield f"clones {source_line(plan)}"
    yield f"runs   {job_line(plan)}"


def _parameters(plan: Plan) -> Iterator[str]:
    in_form = set(_form(plan))
    for name, schema in plan.template.section("parameters").items():
        shown = _shown(plan.parameters.get(name, schema.get("default")))
        hidden = "" if name in in_form else " (not in the dashboard's form)"
        yield f"{name:<{_WIDTH}}{shown}"
        yield f"{'':<{_WIDTH}}{schema.get('description') or schema.get('label', '')}{hidden}"


def _form(plan: Plan) -> Iterator[str]:
    """Yield the parameters that the dashboard shows."""
    groups = plan.template.document.get("parameter_groups")
    for group in groups if isinstance(groups, list) else []:
        names = group.get("parameters") if isinstance(group, dict) else None
        yield from map(str, names if isinstance(names, list) else [])


def _resources(plan: Plan) -> Iterator[str]:
    for name, resource in plan.template.section("resources").items():
        told = _phrase(RESOURCES.get(name, "Not made by hotrun; added by hand."))
        yield f"{name:<{_WIDTH}}{told}"
        yield f"{'':<{_WIDTH}}{resource.get('type', 'no type')}{_condition(resource)}"


def _phrase(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")


def _condition(resource: dict[str, Any]) -> str:
    return f", if {resource['condition']}" if "condition" in resource else ""


def _stages() -> Iterator[str]:
    yield f"{'boot':<{_WIDTH}}writes the job, unpacks the node program and starts it as hotrun.service"
    for stage, told in zip(STAGES, STAGES_DO, strict=True):
        yield f"{stage:<{_WIDTH}}{told}"


def _sizes(plan: Plan) -> Iterator[str]:
    for part, size in limits.sizes(plan.template, plan.parameters).items():
        yield f"{part:<{_WIDTH}}{size:>7,}"
    yield f"at worst: args and setup of {MAX_ARGS_CHARACTERS:,} characters, {MAX_BEYOND_ASCII} of them emoji"
    yield FACTS


def _outputs(plan: Plan) -> Iterator[str]:
    for name, output in plan.template.section("outputs").items():
        yield f"{name:<{_WIDTH}}{OUTPUTS.get(name) or output.get('description', 'added by hand')}"


def _shown(value: Any) -> str:
    if value in (None, "", []):
        return "(empty)"
    return redacted(",".join(map(str, value)) if isinstance(value, list) else value)


def _lines_of(metadata: dict[str, str]) -> bytes:
    return "".join(f"{key}={text}\n" for key, text in metadata.items()).encode()
