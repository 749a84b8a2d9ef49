"""What ranks are started with, where their checkpoints are looked for, and what is said of a service that is late."""

from __future__ import annotations

import io
import json
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from cloud.node.checkpoints import Keeper
from cloud.node.context import Context
from cloud.node.engines import Launch
from cloud.node.failure import StageFailed
from cloud.node.recognise import Recognition
from cloud.node.slurm import places
from cloud.node.slurm.run import _rooted
from cloud.node.stages import train

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = """
import os, time
from pathlib import Path

for top in (Path(), Path(os.environ["PL_TRAINER_DEFAULT_ROOT_DIR"])):
    version = top / "lightning_logs/version_0/checkpoints"
    version.mkdir(parents=True)
    (version / "part").write_text(str(top))
    time.sleep(0.05)  # clocks of file systems tick
    (version / "part").rename(version / f"{'own' if str(top) != '.' else 'other'}.ckpt")
"""
GO: dict[str, Any] = {
    "run": "slurm-7", "attempt": 1, "addresses": ["127.0.0.1"], "interfaces": ["lo"], "nproc": 1, "has_gpu": False,
    "talk_port": 0, "shared": True, "resume": None, "port": 1, "left_s": 600,
}  # fmt: skip


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Context]:
    """A function that makes the only node of a Slurm job, in its stage `train`."""
    log = io.StringIO()

    def begin(engine: str = "python", **job: Any) -> Context:
        source, environment = tmp_path / "src", tmp_path / "env/bin"
        for directory in (source, environment, tmp_path / "prepared/d"):
            directory.mkdir(parents=True)
        (source / "main.py").write_text(PROGRAM)
        (environment / "python").symlink_to(sys.executable)
        prepared = {
            "commit": "c",
            "checkout": str(source),
            "environment": str(environment.parent),
            "uv": "/uv",
        }
        (tmp_path / "prepared/d/prepared.json").write_text(json.dumps(prepared))
        asked = {"repo": "r", "entrypoint": "main.py", "master": "", "secret": "", **job}
        told = {"WORK": tmp_path, "RUN": tmp_path / "runs/7", "DIGEST": "d", "JOB": json.dumps(asked)}
        for name, value in told.items():
            monkeypatch.setenv(places.OURS + name, str(value))
        monkeypatch.setenv("SLURM_NODEID", "0")
        context = places.on_node(GO)
        context.found.update(engine=engine.partition("-")[0], recognition=Recognition(engine, 1, ""))
        context.begin("train", log)
        return context

    return begin


@pytest.mark.process
def test_a_checkpoint_in_a_checkout_of_many_jobs_is_not_the_jobs_own(begun: Callable[..., Context]) -> None:
    """Another job writes there as well: only what lies below this job's directory is gone on from."""
    context = begun()
    train.run(context, 0.0)

    assert [name for name, *_ in Keeper(context.layout.kept("")).held()] == ["own.ckpt"]
    assert list((context.own_directory / "results").rglob("*.ckpt"))


@pytest.mark.process
def test_a_secret_among_the_arguments_is_not_in_the_log(begun: Callable[..., Context]) -> None:
    """The line with the command goes through the same filter as what the program prints."""
    context = begun(args="--token s3cret-word", env=["API_TOKEN=s3cret-word"])
    train.run(context, 0.0)

    assert isinstance(context.log, io.StringIO)
    said = context.log.getvalue()
    assert "main.py --token ***" in said
    assert "s3cret-word" not in said


def test_a_checkout_of_ones_own_is_looked_through(begun: Callable[..., Context]) -> None:
    """On a machine of a cloud a Trainer may write where it likes, and gets no directory from us."""
    context = begun()
    assert context.program_directory not in context.searched()
    assert context.program_directory in Context.searched(context)
    assert "PL_TRAINER_DEFAULT_ROOT_DIR" not in Context.base_environment(context)


def test_a_lightning_cli_gets_its_directory_as_an_argument(begun: Callable[..., Context]) -> None:
    """Before the user's own, which win; a `Trainer` reads the variable."""
    context = begun("lightning-cli", args="fit --trainer.default_root_dir '/mine too'")
    results = str(context.own_directory / "results")
    flag = "--trainer.default_root_dir"
    assert shlex.split(_rooted(context).args) == ["fit", flag, results, flag, "/mine too"]
    assert shlex.split(_rooted(begun_with(context, "")).args) == ["fit", flag, results]
    context.found["recognition"] = Recognition("lightning", 1, "")
    assert _rooted(context) == context.job


def begun_with(context: Context, args: str) -> Context:
    """The same with other arguments."""
    return replace(context, job=replace(context.job, args=args))


def test_a_directory_that_was_asked_for_by_a_variable_stays(begun: Callable[..., Context]) -> None:
    """What --env says comes last."""
    context = begun(env=["PL_TRAINER_DEFAULT_ROOT_DIR=/mine"])
    place = train._place(context, "", passes_itself=False)
    found = context.base_environment(train._environment(context, place))
    assert found["PL_TRAINER_DEFAULT_ROOT_DIR"] == "/mine"


def test_a_worker_says_whose_service_it_waited_for(
    begun: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its own seconds and not those of the stage; what the master says of it comes before this."""
    context = begun("ray")

    def late(name: str, deadline: float) -> NoReturn:
        assert deadline < time.monotonic() + 200
        raise TimeoutError

    context.coordinator = None
    monkeypatch.setattr(context.connected(), "published", late)
    with pytest.raises(StageFailed) as caught:
        train._serve(context, train._place(context, "", passes_itself=False), Launch(()))
    found = caught.value.problem
    assert (found["code"], found["of_peer"]) == ("deadline", True)
    assert found["what"] == "nothing listens on port 1 of the master"
