"""A template in plain words, and what is in it as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud import explain, hot, plan, userdata
from cloud.errors import ProblemsFound, RequestError
from cloud.node.console import STAGES
from cloud.template import archive, kept
from tests.unit.clusters import cluster
from tests.unit.edits import PLACES, VALUES, edited

if TYPE_CHECKING:
    from pathlib import Path

TEXT = hot.text(cluster(args="--epochs 3"))


def test_every_part_is_explained() -> None:
    """Each resource, parameter, output and stage has its line, and none of ours is called foreign."""
    made = plan.make(TEXT)
    words = explain.explain(made)
    for section in ("resources", "parameters", "outputs"):
        for name in made.template.section(section):
            assert f"\n  {name} " in words
    for stage in STAGES:
        assert f"\n  {stage} " in words
    assert "by hand" not in words


def test_explanation_is_of_resources_that_exist() -> None:
    """No explanation is left of a resource or output that is gone."""
    made = plan.make(TEXT)
    assert set(explain.RESOURCES) == set(made.template.section("resources"))
    assert set(explain.OUTPUTS) == set(made.template.section("outputs"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("image: {get_param: image}", "image: {get_param: imag}", "get_param names imag"),
        ("\nparameters:\n", "\nparameters: 3\nother:\n", "parameters must be a map of names"),
        ("rules:\n", "rules: {yaql: 1}\n      x:\n", "yaql is a function that only Heat"),
        ("\nparameter_groups:\n", "\nparameter_groups: 7\nother:\n", "parameter_groups must be a list"),
    ],
)
def test_broken_template_is_explained_as_far_as_possible(old: str, new: str, said: str) -> None:
    """The problems come first, then what can still be told."""
    words = explain.explain(plan.make(TEXT.replace(old, new, 1)))
    assert said in words
    assert words.index("problems") < words.index("\nresources\n")
    assert "the machine of rank 0: clones" in words


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.sampled_from(PLACES), value=VALUES)
def test_no_edit_keeps_it_from_being_explained(place: tuple[Any, ...], value: Any) -> None:
    """Any value in any place: what can be read as a template is explained and reviewed."""
    try:
        made = plan.make(edited(place, value))
    except ProblemsFound:
        return
    assert explain.explain(made)
    assert str(made)


def test_resource_added_by_hand_is_named_as_such() -> None:
    """Nothing is claimed about what we did not make."""
    words = explain.explain(
        plan.make(TEXT.replace("  secret:\n", "  volume:\n    type: OS::Cinder::Volume\n  secret:\n"))
    )
    assert "volume              not made by hotrun" in words


def test_unpack_writes_program_and_user_data(tmp_path: Path) -> None:
    """The node program's files and each kind of machine's user data, byte for byte what would be started."""
    made = plan.make(TEXT)
    written = explain.unpack(made, tmp_path / "out")
    names = {path.relative_to(tmp_path / "out").as_posix() for path in written}
    expected = {"user_data.master", "user_data.worker-1", "metadata.master", "metadata.worker-1"}
    assert names == expected | {"manifest.sha256"} | set(archive.node_files())
    text = (tmp_path / "out/user_data.worker-1").read_text()
    assert text == (tmp_path / "out/user_data.master").read_text()
    assert text.partition("HOTRUN_JOB")[0] == userdata.boot_text().partition("HOTRUN_JOB")[0]
    assert (
        tmp_path / "out/metadata.worker-1"
    ).read_text() == "hotrun_rank=1\nhotrun_workers=2\nhotrun_rerun=0\nhotrun_ref=\nhotrun_args=\n"


def test_unpack_of_a_cluster_without_workers(tmp_path: Path) -> None:
    """There is no worker to write."""
    written = explain.unpack(plan.make(TEXT, {"workers": 0}), tmp_path)
    assert not any("worker" in path.name for path in written)


def test_unpack_writes_nothing_of_a_damaged_template(tmp_path: Path) -> None:
    """What machines would refuse is not written."""
    sha256 = userdata.program_sha256(userdata.boot_text())
    with pytest.raises(ProblemsFound):
        explain.unpack(plan.make(TEXT.replace(sha256, "0" * 64)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unpack_stays_in_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template of somebody else can't write beside the directory."""
    evil = kept.of({"node/a.py": b"x", "../evil.py": b"x"})
    with monkeypatch.context() as patch:
        patch.setattr(kept, "packed", lambda _parts=frozenset(): evil)
        text = hot.text(cluster())
    with pytest.raises(ProblemsFound):
        explain.unpack(plan.make(text), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_unpack_again_replaces_what_it_wrote(tmp_path: Path) -> None:
    """Also with fewer machines: nothing of the earlier one is left."""
    explain.unpack(plan.make(TEXT), tmp_path)
    written = explain.unpack(plan.make(TEXT, {"workers": 0}), tmp_path)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(written)


@pytest.mark.parametrize("kind", ["own", "changed", "link", "file"])
def test_unpack_never_replaces_what_it_did_not_write(kind: str, tmp_path: Path) -> None:
    """A file of the user, one that was edited since, a link, and a file where the directory should be."""
    directory = tmp_path / "out"
    if kind == "file":
        directory.write_text("mine")
    elif kind == "link":
        directory.mkdir()
        (directory / "node").symlink_to(tmp_path)
    else:
        if kind == "changed":
            explain.unpack(plan.make(TEXT), directory)
        (directory / "node").mkdir(parents=True, exist_ok=True)
        (directory / "node" / "console.py").write_text("mine")
    before = {path: path.is_dir() or path.read_bytes() for path in tmp_path.rglob("*")}

    with pytest.raises(RequestError) as caught:
        explain.unpack(plan.make(TEXT), directory)

    (problem,) = caught.value.problems
    assert problem.code == ("output-unwritable" if kind == "file" else "output-not-ours")
    assert (problem.where, bool(problem.fix)) == ("flag --unpack", True)
    assert before == {path: path.is_dir() or path.read_bytes() for path in tmp_path.rglob("*")}


def test_unpack_where_nothing_can_be_written_is_a_problem(tmp_path: Path) -> None:
    """Not a traceback; below a file nobody can write, not even root."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError) as caught:
        explain.unpack(plan.make(TEXT), tmp_path / "file" / "out")
    assert caught.value.problems[0].code == "output-unwritable"
