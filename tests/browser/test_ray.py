"""What a person sees behind the address of `hotrun tunnel STACK ray`: a real head's dashboard."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.engines.ray.drivers import wait
from tests.engines.ray.heads import head
from tests.ports import is_free
from tests.ssh.conftest import site
from tests.ssh.looking import Command

if TYPE_CHECKING:
    from tests.horizon.browser import Browser

pytestmark = [
    pytest.mark.process,
    pytest.mark.network,
    pytest.mark.filterwarnings("ignore"),  # selenium's own
]
__all__ = ["site"]  # a fixture
RAY = Path(__file__).parents[2] / ".build/ray/bin/python"
WAIT_S = 300.0


def test_the_token_that_is_said_opens_the_dashboard(site: Any, chromium: Browser, tmp_path: Path) -> None:
    """The page asks for it once, then it shows the machines of the cluster."""
    if not RAY.exists():
        pytest.skip("nothing here has Ray: python3 cloud/bootstrap.py ray")
    with head(tmp_path, str(RAY)) as started:
        job = site.master.root / "etc/hotrun/job.json"
        job.parent.mkdir(parents=True)
        job.write_text(json.dumps({"secret": started.secret}))
        wait(lambda: not is_free(started.dashboard), "the dashboard")
        named = {"ray": started.dashboard}
        with Command(
            "tunnel", "digits", "ray", "--no-browser", site=site, named=named, at_terminal=True
        ) as command:
            url = command.url()
            (token,) = re.findall(r"\b[0-9a-f]{64}\b", command.said())
            chromium.go(url)
            chromium.until("a question for the token", lambda: "token" in chromium.text().lower(), WAIT_S)
            seen(chromium, "asked")
            chromium.write("[role=dialog] input", token)
            chromium.click("[role=dialog] button[type=submit], [role=dialog] .MuiButton-contained")
            chromium.until("the cluster", lambda: "Recent jobs" in chromium.text(), WAIT_S)
            chromium.go(url + "#/cluster")
            chromium.until("its one machine", lambda: "ALIVE" in chromium.text(), WAIT_S)
            seen(chromium, "cluster")
            assert command.end() == 0, command.said()


def seen(chromium: Browser, name: str) -> None:
    """Keep a picture where one is asked for."""
    if place := os.environ.get("DASHBOARD_PICTURES"):
        chromium.picture(Path(place) / f"{name}.png")
