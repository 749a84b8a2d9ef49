"""The form that Horizon makes of a template: our fields, in our order, in our words, however the template came there."""

from __future__ import annotations

import functools
import http.server
import threading
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.horizon.conftest import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.horizon.dashboard import Dashboard
    from tests.horizon.pictures import Pictures
    from tests.horizon.seen import Field
    from tests.openstack.conftest import Template
    from tests.openstack.projects import Project

HORIZONS_OWN = ["stack_name", "timeout_mins", "enable_rollback"]
TYPED = {"image", "master_flavor", "worker_flavor", "external_network"}  # a list would lose the default


@pytest.fixture(scope="module")
def path(template: Template) -> Path:
    """The template of these tests."""
    return template(workers=2)


@pytest.fixture(scope="module")
def form(window: Dashboard, people: dict[str, Project], path: Path, pictures: Pictures) -> list[Field]:
    """The form of its file."""
    quiet = people["quiet"]
    window.open_login()
    pictures.take(window.browser, "login", until=".panel")
    window.log_in(quiet.name, quiet.environ["OS_PASSWORD"])
    window.open_upload()
    pictures.take(window.browser, "upload")
    fields = window.open_form(path)
    pictures.take(window.browser, "form", until=".modal-content")
    return fields


@pytest.fixture
def dashboard(window: Dashboard, form: list[Field]) -> Dashboard:
    """Horizon, with a user in."""
    assert form
    return window


def test_the_form_asks_for_what_is_grouped_in_its_order(form: list[Field], path: Path) -> None:
    """Horizon's three fields, then the parameters of the groups, one after the other, and nothing else."""
    groups = _read(path)["parameter_groups"]
    ours = [name for group in groups for name in group["parameters"]]
    assert [field.name for field in form] == [*HORIZONS_OWN, *ours]


def test_every_field_has_our_label_help_and_default(form: list[Field], path: Path) -> None:
    """What a person reads is the parameter's label, its description behind the question mark, its default in the box."""
    known = _read(path)["parameters"]
    ours = [field for field in form if field.name in known]
    seen = {field.name: (field.label, field.help, field.value) for field in ours}
    wanted = {
        field.name: (
            known[field.name]["label"], known[field.name]["description"], str(known[field.name]["default"])
        )
        for field in ours
    }  # fmt: skip
    label, description, _ = wanted["key_name"]
    wanted["key_name"] = (label, description, KEY)  # the first pair of the user: Horizon offers no empty one
    assert seen == wanted


def test_no_list_is_empty_and_what_a_cloud_names_is_typed(form: list[Field]) -> None:
    """Whoever has to choose has something to choose from; image, flavors and network keep the template's word."""
    choices = {field.name: field.options for field in form if field.kind == "choice"}
    assert choices == {"key_name": (KEY,)}
    assert {field.name for field in form if field.kind == "text"} >= TYPED
    assert {field.name for field in form if field.is_required} >= {"image", "master_flavor", "worker_flavor"}


def test_no_question_mark_stands_alone(dashboard: Dashboard, path: Path) -> None:
    """A label and the question mark behind it share a line: longer labels push it to a line of its own."""
    dashboard.open_form(path)
    alone = dashboard.browser.ask("""
        return [...document.querySelectorAll('form#launch_stack .form-group')].filter(group => {
          const label = group.querySelector('label'), mark = group.querySelector('.help-icon');
          return label && mark && mark.getBoundingClientRect().top >= label.getBoundingClientRect().bottom;
        }).map(group => group.querySelector('label').innerText)
    """)  # fmt: skip
    assert alone == []


@pytest.mark.parametrize("source", ["raw", "url"])
def test_a_text_and_an_address_give_the_same_form(
    dashboard: Dashboard, form: list[Field], path: Path, served: str, source: Any
) -> None:
    """The same template by direct input or by URL asks the same."""
    given = path if source == "raw" else f"{served}/{path.name}"
    assert dashboard.open_form(given, source) == form


@pytest.fixture(scope="module")
def served(path: Path) -> Iterator[str]:
    """The address of a web server with the templates."""
    handler = functools.partial(_Quiet, directory=str(path.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """A web server that writes no log."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
