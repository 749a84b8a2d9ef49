"""Lightning: arguments for a LightningCLI program, variables for a `Trainer`. Pure.

A LightningCLI passes its own defaults to the Trainer, so variables lose there and arguments are needed;
an argument that the user gave comes last and wins.
"""

from __future__ import annotations

import shlex

from ..job import Job
from ..recognise import Recognition
from . import Launch, Place, program

SUBCOMMANDS = ("fit", "validate", "test", "predict")


def launch(job: Job, recognition: Recognition, place: Place) -> Launch:
    """`fit --trainer.num_nodes N …` for a LightningCLI, PL_TRAINER_NUM_NODES=N … for a Trainer."""
    settings = {
        "accelerator": "gpu" if place.has_gpu else "cpu",
        "strategy": "ddp" if place.nnodes * place.nproc > 1 else "auto",
        "devices": str(place.nproc),
        "num_nodes": str(place.nnodes),
    }
    if recognition.engine == "lightning":
        return Launch(program(job), {f"PL_TRAINER_{name.upper()}": value for name, value in settings.items()})
    words = shlex.split(job.args)
    subcommand = words.pop(0) if words and words[0] in SUBCOMMANDS else "fit"
    flags = [word for name, value in settings.items() for word in (f"--trainer.{name}", value)]
    return Launch((job.entrypoint, subcommand, *flags, *words))
