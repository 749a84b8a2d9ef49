from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

import pytest

from cloud.setup import tensorboard
from cloud.setup.command import CannotMake

ROOT = Path(__file__).parents[2]
_TAKEN = """\
import sys
from cloud.setup import tensorboard
tensorboard.environment = lambda: "another"
tensorboard._has_tensorboard = lambda _: False
print(tensorboard.python() == sys.executable)
"""


@pytest.mark.process
def test_only_what_an_isolated_python_finds_is_taken(tmp_path: Path) -> None:
    """One that `pip install --user` or PYTHONPATH brought is left out when TensorBoard is started."""
    place = tmp_path / "python"
    venv.create(place, with_pip=False, symlinks=True)
    own = next(place.glob("lib/python3*/site-packages"))
    outside = tmp_path / "outside"

    def taken() -> str:
        env = {**os.environ, "PYTHONPATH": f"{ROOT}:{outside}"}
        command = [str(place / "bin/python"), "-c", _TAKEN]
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.strip()

    assert taken() == "False"
    for directory, expected in ((outside, "False"), (own, "True")):
        (directory / "tensorboard").mkdir(parents=True)
        (directory / "tensorboard/__init__.py").touch()
        assert taken() == expected


def test_a_wheel_does_not_advise_what_was_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`pip install tensorboard` would say that it is there already."""
    monkeypatch.setattr(tensorboard, "PINS", str(tmp_path / "none"))
    for is_seen, advice in ((True, "in one virtual environment"), (False, "-m pip install tensorboard")):
        monkeypatch.setattr(tensorboard, "_is_seen", lambda seen=is_seen: seen)
        with pytest.raises(CannotMake, match=advice):
            tensorboard.environment()
