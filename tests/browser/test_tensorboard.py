"""What a person sees behind the address of `hotrun tensorboard`: a real run's curves and its texts."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ssh.looking import Command

if TYPE_CHECKING:
    from tests.horizon.browser import Browser

pytestmark = [
    pytest.mark.process,
    pytest.mark.network,
    pytest.mark.filterwarnings("ignore"),  # selenium's own
]
ROOT = Path(__file__).parents[2]
TRAINS = ROOT / ".build/test/bin/python"
WAIT_S = 300.0
PICTURE = ROOT / "docs/tensorboard.png"
# Custom elements keep what they show to themselves: neither innerText nor a selector looks into them.
DEEP = """
function text(node) {
  let all = '';
  for (const one of node.childNodes) {
    if (one.nodeType == Node.TEXT_NODE) all += one.data + ' ';
    else if (one.nodeType == Node.ELEMENT_NODE && !['STYLE', 'SCRIPT', 'TEMPLATE', 'DOM-MODULE'].includes(one.tagName))
      all += (one.shadowRoot ? text(one.shadowRoot) : '') + text(one);
  }
  return all;
}
return text(document.body).replace(/\\s+/g, ' ');
"""
LINES = "return Array.from(document.querySelectorAll('line-chart svg path')).filter(one => (one.getAttribute('d') || '').length > 10).length"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The payload, trained for three epochs on made-up images; its directory among the runs."""
    if not TRAINS.exists():
        pytest.skip("nothing here can train: python3 cloud/bootstrap.py test")
    place: Path = tmp_path_factory.mktemp("runs") / "digits-1"
    results = place / "results"
    results.mkdir(parents=True)
    words = [
        "fit",
        "--data.name",
        "synthetic",
        "--data.root",
        str(place / "data"),
        "--trainer.max_epochs",
        "3",
    ]
    environ = {**os.environ, "HOTRUN_RUN_DIR": str(results)}
    command = [TRAINS, ROOT / "payload/main.py", *words]
    ended = subprocess.run(command, env=environ, cwd=place, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return place


def test_scalars_and_texts_of_a_real_run_are_on_the_page(run: Path, chromium: Browser) -> None:
    """Curves of loss and accuracy with a line each; the configuration and the result as Markdown."""
    words = ("tensorboard", "digits-1", "--runs-dir", str(run.parent), "--no-browser")
    with Command(*words) as command:
        url = command.url()
        chromium.go(url + "?darkMode=false#timeseries")
        for word in ("loss", "accuracy", "tensorboard"):
            chromium.until(word, lambda word=word: word in chromium.ask(DEEP), WAIT_S)  # type: ignore[misc]
        chromium.until("a line in two charts", lambda: chromium.ask(LINES) >= 2, WAIT_S)
        if os.environ.get("TENSORBOARD_PICTURE"):
            picture(chromium)
        chromium.go(url + "#text")
        for word in ("configuration", "mlp-100", "synthetic", "result", "test_accuracy"):
            chromium.until(word, lambda word=word: word in chromium.ask(DEEP), WAIT_S)  # type: ignore[misc]
        assert command.end() == 0, command.said()


def picture(chromium: Browser) -> None:
    """Renew the picture of docs/looking.md, once the page has come to rest."""
    chromium.resize(1300)
    chromium.ask("document.querySelector('button.settings-button').click()")  # hide that panel
    chromium.settle()
    time.sleep(3)  # lines are drawn by a thread of their own
    chromium.picture(PICTURE)
    assert PICTURE.stat().st_size < 200_000
