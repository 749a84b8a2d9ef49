"""No training library was seen: started like torch's, with what a Trainer elsewhere would ask for. Pure."""

from __future__ import annotations

from ..job import Job
from ..recognise import Recognition
from . import Launch, Place, adapting, program, torchrun_environment, trainer_variables


def launch(job: Job, recognition: Recognition, place: Place) -> Launch:
    """The entrypoint with the user's arguments."""
    environment = {**torchrun_environment(place), **trainer_variables(place), **adapting(job, place)}
    return Launch(program(job), environment)
