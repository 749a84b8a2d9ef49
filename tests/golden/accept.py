"""The templates and jobs of docs/examples as they were last accepted, beside this file, and the one that is there whole.

    python -m tests.golden.accept

writes them anew; `git diff tests/golden` then shows what changed for every cluster. The node program is one
line in them, and its hash is left out: it would change in every file with each edit of cloud/node, although
the template is the same. The program has tests of its own, and so has the hash (tests/unit/test_userdata.py).

docs/examples/mnist.yml is no request but the published template of this repository's own trainer, node
program and all, as somebody launches it in Horizon.
"""

from __future__ import annotations

import re
from pathlib import Path

from cloud import __version__, config, hot
from cloud.model import Cluster, Job
from cloud.slurm import render

HERE = Path(__file__).parent
COMMAND = "python -m tests.golden.accept"
_DIRECTORY = HERE.parents[1] / "docs" / "examples"
TEMPLATE = _DIRECTORY / "mnist.yml"
EXAMPLES = sorted(set(_DIRECTORY.glob("*.yml")) - {TEMPLATE})
JOBS = sorted((_DIRECTORY / "slurm").glob("*.yml"))
OWN = Cluster(  # the address stands for that of a reader's copy
    job=Job(repo="https://github.com/you/hotrun.git", requirements="payload", entrypoint="main.py"), workers=2
)

_PROGRAM = re.compile(r"(?:^#: \S+\n)+", re.MULTILINE)
_ARCHIVE = re.compile(r"(<<'HOTRUN_NODE'\n)(?: *\S+\n)+?( *HOTRUN_NODE\n)")
_SHA256 = re.compile(r"(program_sha256=)[0-9a-f]{64}\n")


def golden(example: Path) -> str:
    """Return the template of an example, without the node program."""
    text = hot.text(config.cluster_from_file(example))
    text = text.replace(f"hotrun {__version__}", "hotrun <version>", 1)
    text, archives = _ARCHIVE.subn(r"\1            <node program>\n\2", text)
    text, hashes = _SHA256.subn(r"\1<sha256>\n", text)
    if (archives, hashes) != (1, 1):
        raise ValueError(f"{example} has {archives} node programs and {hashes} hashes")
    return text


def golden_job(example: Path) -> str:
    """Return the job.sbatch of an example, without the node program."""
    text = render.text(config.cluster_from_file(example))
    text = text.replace(f"hotrun {__version__}", "hotrun <version>", 1)
    text, programs = _PROGRAM.subn("#: <node program>\n", text)
    text, hashes = _SHA256.subn(r"\1<sha256>\n", text)
    if (programs, hashes) != (1, 1):
        raise ValueError(f"{example} has {programs} node programs and {hashes} hashes")
    return text


def published() -> str:
    """Return the template of this repository's own trainer, for everybody."""
    return hot.text(OWN, is_published=True)


def accepted(example: Path) -> Path:
    """Return the file that holds an example's accepted template."""
    return HERE / f"{example.stem}.golden.{'sbatch' if example in JOBS else 'yml'}"


def main() -> None:
    """Accept every example as it is now."""
    for stale in set(HERE.glob("*.golden.yml")) - {accepted(example) for example in EXAMPLES}:
        stale.unlink()
    for example in EXAMPLES:
        accepted(example).write_text(golden(example), encoding="utf-8")
    for example in JOBS:
        accepted(example).write_text(golden_job(example), encoding="utf-8")
    TEMPLATE.write_text(published(), encoding="utf-8")
    print(f"accepted {len(EXAMPLES)} templates and {len(JOBS)} jobs in {HERE}, and {TEMPLATE}")


if __name__ == "__main__":
    main()
