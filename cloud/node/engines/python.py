"""No training library was recognised: started like torch's, as it may import one elsewhere. Pure."""

from __future__ import annotations

from ..job import Job
from ..recognise import Recognition
from . import Launch, Place, program


def launch(job: Job, recognition: Recognition, place: Place) -> Launch:
    """The entrypoint with the user's arguments."""
    return Launch(program(job))
