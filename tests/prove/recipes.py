"""Launches that people use for two machines, run on this one under `hotrun prove` -> docs/silent-single.md.

python -m tests.prove.recipes            run all, print the page
python -m tests.prove.recipes --write    run all, write the page
python -m tests.prove.recipes NAME …     run these, print their rows
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "silent-single.md"
PROGRAMS = ROOT / "tests" / "prove" / "programs"
MACHINES = ROOT / "tests" / "prove" / "machines.py"
DEADLINE_S = 300
TORCHRUN = "torchrun --nnodes 2 --nproc-per-node 1 --node-rank $I --master-addr $A --master-port $P"
VARIABLES = "MASTER_ADDR=$A MASTER_PORT=$P NODE_RANK=$I WORLD_SIZE=2"
SLURM = ("SLURM_JOB_ID=77 SLURM_JOB_NAME=train SLURM_NTASKS=2 SLURM_NTASKS_PER_NODE=1 SLURM_NNODES=2"
         " SLURM_NODEID=$I SLURM_PROCID=$I SLURM_LOCALID=0 SLURM_NODELIST=$A MASTER_ADDR=$A MASTER_PORT=$P")  # fmt: skip
IN_THE_SCRIPT = '`Trainer(num_nodes=2, strategy="ddp")`'


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What somebody types on each of two machines."""

    name: str
    line: str
    """A line of bash; $I is the machine's number, $A and $P address and port of the first."""
    mend: str = ""
    """The edit that makes one run of it; empty for what is one."""

    @property
    def shown(self) -> str:
        """The line with what the page says above its table left out."""
        return self.line.replace(TORCHRUN, "torchrun …").replace(SLURM, "SLURM_… …")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a recipe."""

    last: str
    """The last line of the first machine."""
    codes: tuple[int, ...]
    """Of the processes that were typed, by machine."""
    verdict: str
    """What `hotrun prove` said."""
    is_distributed: bool


RECIPES = (
    Recipe(name="python twice", line="python plain.py", mend="a launcher, and a script that joins: `DDP under torchrun`"),
    Recipe(name="plain under torchrun", line=f"{TORCHRUN} plain.py",
           mend="`init_process_group()` and `DistributedDataParallel(model)` in the script: `DDP under torchrun`"),
    Recipe(name="DDP under torchrun", line=f"{TORCHRUN} ddp.py"),
    Recipe(name="DDP, each machine its own torchrun", line="torchrun --standalone --nproc-per-node 1 ddp.py",
           mend="`--nnodes 2 --node-rank $I --master-addr …` instead of `--standalone`: `DDP under torchrun`"),
    Recipe(name="Trainer, variables", line=f"{VARIABLES} python trainer.py",
           mend=f"{IN_THE_SCRIPT}, or two variables more: `Trainer, variables, PL_TRAINER`"),
    Recipe(name="Trainer, variables, PL_TRAINER",
           line=f"{VARIABLES} PL_TRAINER_NUM_NODES=2 PL_TRAINER_STRATEGY=ddp python trainer.py"),
    Recipe(name="Trainer under torchrun", line=f"{TORCHRUN} trainer.py",
           mend=f"{IN_THE_SCRIPT}: the next row; or one variable: `Trainer under torchrun, PL_TRAINER`"),
    Recipe(name="Trainer with num_nodes under torchrun", line=f"NODES=2 {TORCHRUN} trainer.py"),
    Recipe(name="Trainer under torchrun, PL_TRAINER", line=f"PL_TRAINER_NUM_NODES=2 {TORCHRUN} trainer.py"),
    Recipe(name="Trainer, srun's variables", line=f"{SLURM} python trainer.py", mend=IN_THE_SCRIPT),
    Recipe(name="Trainer with num_nodes, srun's variables", line=f"NODES=2 {SLURM} python trainer.py"),
    Recipe(name="CLI under torchrun", line=f"{TORCHRUN} cli.py fit",
           mend="an argument: `CLI under torchrun, --trainer.num_nodes`"),
    Recipe(name="CLI under torchrun, PL_TRAINER", line=f"PL_TRAINER_NUM_NODES=2 {TORCHRUN} cli.py fit",
           mend="an argument, as a LightningCLI passes defaults of its own: `CLI under torchrun, --trainer.num_nodes`"),
    Recipe(name="CLI under torchrun, PL_FIT__", line=f"PL_FIT__TRAINER__NUM_NODES=2 {TORCHRUN} cli.py fit",
           mend="one variable more: the next row"),
    Recipe(name="CLI under torchrun, JSONARGPARSE",
           line=f"JSONARGPARSE_DEFAULT_ENV=true PL_FIT__TRAINER__NUM_NODES=2 {TORCHRUN} cli.py fit"),
    Recipe(name="CLI under torchrun, --trainer.num_nodes", line=f"{TORCHRUN} cli.py fit --trainer.num_nodes 2"),
)  # fmt: skip


def tried(recipe: Recipe) -> Outcome:
    """Run a recipe on two machines that are processes of this one."""
    with tempfile.TemporaryDirectory() as directory:
        answer = Path(directory, "answer")
        command = [sys.executable, str(ROOT / "cloud" / "generator.py"), "prove", "--json", "--",
                   sys.executable, str(MACHINES), "2", str(answer), recipe.line]  # fmt: skip
        done = subprocess.run(command, cwd=PROGRAMS, env=clean_environment(str(free_port())), capture_output=True, text=True,
                              timeout=DEADLINE_S, check=False)  # fmt: skip
        said, machines = json.loads(done.stdout), json.loads(answer.read_text())
        return Outcome(last=machines["last"][0], codes=tuple(machines["codes"]), verdict=said["verdict"],
                       is_distributed=done.returncode == 0)  # fmt: skip


def row(recipe: Recipe, found: Outcome) -> str:
    """The recipe's row of the page."""
    codes = ", ".join(map(str, found.codes))
    mark = "" if found.is_distributed else "**"
    verdict = f"{mark}{found.verdict}{mark}"
    return f"| {recipe.name} | `{recipe.shown}` | {found.last} | {codes} | {verdict} | {recipe.mend or '·'} |"


def page(outcomes: dict[str, Outcome]) -> str:
    """docs/silent-single.md."""
    silent = sum(not found.is_distributed and not any(found.codes) for found in outcomes.values())
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in
                         ("torch", "pytorch-lightning", "jsonargparse"))  # fmt: skip
    rows = "\n".join(row(recipe, outcomes[recipe.name]) for recipe in RECIPES if recipe.name in outcomes)
    return HEAD.format(
        rows=rows, torchrun=TORCHRUN, slurm=SLURM.replace(" SLURM_NODEID", "\n                      SLURM_NODEID"), silent=silent, total=len(outcomes), versions=versions, python=platform.python_version(),
        date=dt.datetime.now(tz=dt.UTC).date(),
    )  # fmt: skip


HEAD = """\
# Launches that silently train alone

Each line below was typed on two machines at the same time. {silent} of these {total} end with exit code 0 on both and say
that they trained; they did, each machine alone, with all of the data. Nothing in their output tells. `hotrun prove --
COMMAND …` does, for any launcher; on the machines of a template the same proof is made of every run, and a run
without it fails.

`$I` is the machine's number, `$A` and `$P` address and port of the first one. Two things are shortened in the table:

    torchrun …   is   {torchrun}
    SLURM_… …    is   {slurm}

`plain.py` has a loop and no torch.distributed, `ddp.py` has both, `trainer.py` an untouched `Trainer(max_epochs=1)`,
`cli.py` a `LightningCLI`; they lie in tests/prove/programs. `NODES=2` stands for an edit of `trainer.py` itself:
`Trainer(max_epochs=1, num_nodes=2, strategy="ddp")`.

| launch | on each machine | last line | exit codes | what `hotrun prove` said | the edit that makes it one run |
|---|---|---|---|---|---|
{rows}

Made by `make silent-single`, which ran all of it, on {date} with Python {python}, {versions}.
The two machines were two processes of one without a GPU. A test runs some of the rows again.
"""


def main() -> int:
    """Run recipes and print or write what came of them."""
    names = [word for word in sys.argv[1:] if not word.startswith("-")]
    chosen = [recipe for recipe in RECIPES if not names or recipe.name in names]
    outcomes: dict[str, Outcome] = {}
    for recipe in chosen:
        outcomes[recipe.name] = tried(recipe)
        print(row(recipe, outcomes[recipe.name]), file=sys.stderr, flush=True)
    if "--write" in sys.argv:
        PAGE.write_text(page(outcomes), encoding="utf-8")
    elif not names:
        print(page(outcomes))
    return 0


def clean_environment(port: str) -> dict[str, str]:
    """This process's, without what a launcher sets; the first machine's address and port; one thread."""
    ours = ("HOTRUN_", "SLURM_", "PL_", "TORCHELASTIC", "JSONARGPARSE", "OMPI_")
    given = {
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        "NODE_RANK",
        "MASTER_ADDR",
        "MASTER_PORT",
        "NODES",
        "PYTHONPATH",
    }
    kept = {key: value for key, value in os.environ.items() if key not in given and not key.startswith(ours)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling Lightning and torch takes longer than the training
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept.setdefault("PYTHONPYCACHEPREFIX", str(cache / "hotrun" / "bytecode"))
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return {**kept, "PATH": path, "A": "127.0.0.1", "P": port, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore", "TORCH_CPP_LOG_LEVEL": "ERROR"}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
