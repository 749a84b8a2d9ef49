"""Where the files that belong to the program lie, one name per file. Pure: nothing is opened here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_CLOUD: Final = Path(__file__).resolve().parent
_INSTALLED: Final = _CLOUD / "templates"  # in a wheel; a checkout has them beside cloud/
_TEMPLATES: Final = _INSTALLED if _INSTALLED.is_dir() else _CLOUD.parent / "templates"

NODE_PROGRAM: Final[Path] = _CLOUD / "node"
"""The Python that every machine runs, carried in the user data."""
BOOT_SCRIPT: Final[Path] = _TEMPLATES / "boot.sh.j2"
"""The shell that unpacks and starts it."""
JOB_SCRIPT: Final[Path] = _TEMPLATES / "job.sbatch.j2"
"""The job for a Slurm cluster."""
UNPACK: Final[Path] = _TEMPLATES / "unpack.py"
"""The Python in that shell that unpacks."""
MODEL: Final[Path] = _CLOUD / "model.py"
"""The model's source: the sentences under its fields."""
