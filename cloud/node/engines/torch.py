"""torch.distributed: torchrun's variables are all that a script needs. Pure."""

from __future__ import annotations

from ..job import Job
from ..recognise import Recognition
from . import Launch, Place, adapting, program, torchrun_environment


def launch(job: Job, recognition: Recognition, place: Place) -> Launch:
    """The entrypoint with the user's arguments."""
    return Launch(program(job), {**torchrun_environment(place), **adapting(job, place)})
