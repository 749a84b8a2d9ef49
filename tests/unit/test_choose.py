"""What a terminal is asked for, with a cloud of lists."""

from __future__ import annotations

import io
import os
import pty
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from cloud import hot, plan
from cloud.errors import RequestError
from cloud.stack.launch import environment_file
from cloud.stack.launch.choose import choose
from cloud.stack.offers import Flavor, Image, NetworkInfo
from cloud.ui import Ui
from tests.unit.clusters import cluster

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.stack.api import Cloud

TEXT = hot.text(replace(cluster(), profile="openstack", image="ubuntu-24.04"))


class Lists:
    """A cloud as far as `choose` asks: lists."""

    def __init__(self, **changed: Any) -> None:
        self.lists: dict[str, list[Any]] = {
            "images": [image("ubuntu-24.04"), image("ubuntu-22.04"), image("Debian 12")],
            "flavors": [flavor("m1.large", 8), flavor("m1.medium", 4), flavor("m1.tiny", 0.5)],
            "key_names": [],
            "networks": [network("public")],
        } | changed

    def __getattr__(self, name: str) -> Any:
        return lambda: self.lists[name]


def image(name: str, disk: int = 0, identity: str = "") -> Image:
    """An active image."""
    return Image(
        id=identity or f"id-{name}",
        name=name,
        status="active",
        min_disk_gib=disk,
        min_ram_mib=1024,
        size_bytes=0,
    )


def flavor(name: str, ram_gib: float = 4) -> Flavor:
    """A flavor by its memory."""
    return Flavor(id=f"id-{name}", name=name, cores=2, ram_mib=int(ram_gib * 1024), disk_gib=20)


def network(name: str, external: bool = True, identity: str = "") -> NetworkInfo:
    """A network."""
    return NetworkInfo(id=identity or f"id-{name}", name=name, is_external=external, is_own=False, cidrs=())


class TerminalIn(io.StringIO):
    """An input that says it is a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def chosen(
    path: Path, answers: str, overrides: dict[str, str] | None = None, text: str = TEXT, **lists: Any
) -> tuple[dict[str, str], str]:
    """What was chosen, and what the terminal showed."""
    out, err = io.StringIO(), io.StringIO()
    ui = Ui(stdin=TerminalIn(answers), stdout=out, stderr=err)
    given = overrides or {}
    known = environment_file.read(path) if path.is_file() else {}
    found = choose(cast("Cloud", Lists(**lists)), plan.make(text, given), ui, path, given=given, known=known)
    return found, out.getvalue() + err.getvalue()


def test_what_is_there_is_not_asked_for(tmp_path: Path) -> None:
    """A template that fits the cloud needs nobody."""
    found, shown = chosen(tmp_path / "e.yml", "", {"key_name": ""})

    assert (found, shown, list(tmp_path.iterdir())) == ({}, "", [])


def test_an_image_is_picked_by_number_or_name(tmp_path: Path) -> None:
    """In the order of their names; a wrong answer is explained and asked for again."""
    by_number, shown = chosen(tmp_path / "a.yml", "9\n\nx\n1\n", {"image": "CC-Ubuntu24.04", "key_name": ""})
    by_name, _ = chosen(tmp_path / "b.yml", "ubuntu-22.04\n", {"image": "CC-Ubuntu24.04", "key_name": ""})

    assert by_number == {"image": "Debian 12"}
    assert by_name == {"image": "ubuntu-22.04"}
    assert "image CC-Ubuntu24.04 is not on this cloud" in shown
    assert shown.count("is none of these") == 3
    assert "    1  Debian 12\n    2  ubuntu-22.04\n    3  ubuntu-24.04\n" in shown


def test_images_of_one_name_are_picked_by_id(tmp_path: Path) -> None:
    """Heat refuses a name that two have."""
    images = [image("ubuntu-24.04", identity="b"), image("ubuntu-24.04", identity="a")]
    found, shown = chosen(tmp_path / "e.yml", "2\n", {"key_name": ""}, images=images)

    assert found == {"image": "b"}
    assert "several" in shown


def test_one_question_for_machines_of_one_flavor(tmp_path: Path) -> None:
    """The smallest first; what the image does not fit in is not offered."""
    wrong = {"master_flavor": "c4", "worker_flavor": "c4", "key_name": ""}
    found, shown = chosen(tmp_path / "e.yml", "1\n", wrong)

    assert found == {"master_flavor": "m1.medium", "worker_flavor": "m1.medium"}
    assert "flavor of every machine" in shown
    assert "m1.tiny" not in shown


def test_flavors_that_differ_are_two_questions(tmp_path: Path) -> None:
    """A master may be larger."""
    wrong = {"master_flavor": "c4", "worker_flavor": "c8", "key_name": ""}

    assert chosen(tmp_path / "e.yml", "2\n1\n", wrong)[0] == {
        "master_flavor": "m1.large",
        "worker_flavor": "m1.medium",
    }


def test_a_reserved_flavor_comes_first_on_chameleon(tmp_path: Path) -> None:
    """It starts no others, so a flavor that exists is asked for all the same."""
    text = hot.text(replace(cluster(), image="ubuntu-24.04"))
    flavors = [flavor("m1.medium"), flavor("reservation:r1")]
    found, _ = chosen(tmp_path / "e.yml", "1\n", {"key_name": ""}, text, flavors=flavors)

    assert found == {"master_flavor": "reservation:r1", "worker_flavor": "reservation:r1"}


def test_one_key_is_taken_and_said(tmp_path: Path) -> None:
    """Nobody has to know its name."""
    found, shown = chosen(tmp_path / "e.yml", "", key_names=["laptop"])

    assert found == {"key_name": "laptop"}
    assert "key laptop: your only key pair" in shown


def test_of_several_keys_one_is_picked_or_none(tmp_path: Path) -> None:
    """`none` is last."""
    assert chosen(tmp_path / "a.yml", "2\n", key_names=["b", "a"])[0] == {"key_name": "b"}
    assert chosen(tmp_path / "b.yml", "none\n", key_names=["b", "a"])[0] == {"key_name": ""}


def test_a_key_left_out_on_purpose_stays_out(tmp_path: Path) -> None:
    """--parameter key_name= is an answer."""
    assert chosen(tmp_path / "e.yml", "", {"key_name": ""}, key_names=["a", "b"])[0] == {}


def test_without_a_key_its_making_is_said(tmp_path: Path) -> None:
    """Nothing is asked that has no answer."""
    found, shown = chosen(tmp_path / "e.yml", "")

    assert found == {}
    assert "openstack keypair create" in shown


def test_the_only_external_network_is_taken(tmp_path: Path) -> None:
    """Of several one is picked; internal ones are no choice."""
    networks = [network("ext"), network("mine", external=False)]
    one, _ = chosen(tmp_path / "a.yml", "", {"key_name": ""}, networks=networks)
    two, _ = chosen(tmp_path / "b.yml", "2\n", {"key_name": ""}, networks=[network("b"), network("a")])

    assert (one, two) == ({"external_network": "ext"}, {"external_network": "b"})


def test_answers_are_kept_beside_what_stands_there(tmp_path: Path) -> None:
    """The file is one that Heat's own clients take."""
    path = tmp_path / "e.yml"
    environment_file.write(path, {"workers": "4", "image": "old"})
    chosen(path, "1\n", {"image": "none-such", "key_name": ""})

    assert environment_file.read(path) == {"workers": "4", "image": "Debian 12"}
    assert "parameters:\n" in path.read_text()


def test_a_file_of_the_persons_own_is_never_written_to(tmp_path: Path) -> None:
    """What it says goes into the file that is made, beside what was chosen."""
    ui = Ui(stdin=TerminalIn("1\n"), stdout=io.StringIO(), stderr=io.StringIO())
    planned, known = plan.make(TEXT, {"image": "none-such", "key_name": ""}), {"workers": "4"}
    environment_file.write(tmp_path / "e.yml", {"workers": "9"})
    choose(cast("Cloud", Lists()), planned, ui, tmp_path / "e.yml", given=["key_name"], known=known)

    assert environment_file.read(tmp_path / "e.yml") == {"workers": "4", "image": "Debian 12"}


def test_the_end_of_the_input_ends_the_questions(tmp_path: Path) -> None:
    """Nothing is kept of half an answer."""
    with pytest.raises(RequestError, match="the input ended"):
        chosen(tmp_path / "e.yml", "", {"image": "none-such", "key_name": ""})

    assert list(tmp_path.iterdir()) == []


def test_nobody_is_asked_through_a_pipe(tmp_path: Path) -> None:
    """The survey's problems say what is wrong instead."""
    ui = Ui(stdin=io.StringIO("1\n"), stdout=io.StringIO(), stderr=io.StringIO())
    planned = plan.make(TEXT, {"image": "none-such"})

    assert choose(cast("Cloud", Lists()), planned, ui, tmp_path / "e.yml") == {}


def test_a_real_terminal_is_spoken_with(tmp_path: Path) -> None:
    """Question after the list, answer on the same line, file at the end."""
    main, other = pty.openpty()
    with os.fdopen(other, "r+b", buffering=0) as ends:
        stdin, stdout = (os.fdopen(os.dup(ends.fileno()), mode) for mode in ("r", "w"))
        ui = Ui(stdin=stdin, stdout=stdout, stderr=stdout)
        planned = plan.make(TEXT, {"image": "none-such", "key_name": ""})
        answer = threading.Thread(target=_answer, args=(main, b"3\n"))
        answer.start()
        found = choose(cast("Cloud", Lists()), planned, ui, tmp_path / "e.yml", given=["key_name"])
        stdout.flush()
        answer.join(60)
        stdin.close()
        stdout.close()
    os.close(main)

    assert found == {"image": "ubuntu-24.04"}


def _answer(terminal: int, line: bytes) -> None:
    """Read until the question is there, then type."""
    seen = b""
    while b"image (number or name): " not in seen:
        seen += os.read(terminal, 4096)
    os.write(terminal, line)
