"""Lightning: arguments for a LightningCLI program, variables for a `Trainer`. Pure.

A LightningCLI passes its own defaults to the Trainer, so variables lose there and arguments are needed;
an argument that the user gave comes last and wins.
"""

from __future__ import annotations

import shlex

from ..job import Job
from ..recognise import Recognition
from . import (
    Launch,
    Place,
    adapting,
    program,
    torchrun_environment,
    trainer_settings,
    trainer_variables,
)

SUBCOMMANDS = ("fit", "validate", "test", "predict")


def launch(job: Job, recognition: Recognition, place: Place) -> Launch:
    """`fit --trainer.num_nodes N …` for a LightningCLI, PL_TRAINER_NUM_NODES=N … for a Trainer."""
    environment = {**torchrun_environment(place), **adapting(job, place)}
    if recognition.engine != "lightning-cli":
        return Launch(program(job), {**environment, **trainer_variables(place)})
    settings = trainer_settings(place)
    words = shlex.split(job.args)
    subcommand = words.pop(0) if words and words[0] in SUBCOMMANDS else "fit"
    flags = [word for name, value in settings.items() for word in (f"--trainer.{name}", value)]
    if place.resume and not place.reads_resume:
        flags += ["--ckpt_path", place.resume]
    return Launch((job.entrypoint, subcommand, *flags, *words), environment)
