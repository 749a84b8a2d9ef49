"""Pictures of the browser for docs/horizon.md, written with HOTRUN_PICTURES=1 alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.horizon import png
from tests.horizon.browser import HEIGHT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.horizon.browser import Browser

FOLDER = Path(__file__).parents[2] / "docs" / "horizon"
MOST_BYTES = 150_000
MOST_PIXELS = 2400  # of height
YOU = "you"  # instead of a project's name, which is another one in every run
_BOTTOM = """
const parts = [...document.querySelectorAll(arguments[0])].filter(part => part.offsetParent);
return Math.ceil(Math.max(...parts.map(part => part.getBoundingClientRect().bottom + window.scrollY)))
"""
_RENAME = """
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) for (const name of arguments[0])
  if (walker.currentNode.data.includes(name)) walker.currentNode.data = walker.currentNode.data.replaceAll(name, arguments[1]);
if (document.activeElement) document.activeElement.blur();
"""


class Pictures:
    """The pictures of one run of the tests."""

    def __init__(self) -> None:
        self._is_asked = bool(os.environ.get("HOTRUN_PICTURES"))
        self._names: list[str] = []

    def hide(self, names: Iterable[str]) -> None:
        """Write YOU where one of these names stands."""
        self._names = list(names)

    def take(self, browser: Browser, name: str, until: str = "") -> None:
        """Save docs/horizon/NAME.png: the window, or all down to the end of what the selector `until` finds."""
        if not self._is_asked:
            return
        browser.ask(_RENAME, self._names, YOU)
        if until:
            bottom = int(browser.ask(_BOTTOM, until))
            frame = browser.ask("return window.outerHeight - window.innerHeight")
            browser.resize(min(bottom + 40, MOST_PIXELS) + int(frame))
        path = FOLDER / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        browser.settle()
        browser.picture(path)
        if until:
            browser.resize(HEIGHT)
        content = png.smaller(path.read_bytes())
        path.write_bytes(content)
        assert len(content) <= MOST_BYTES, f"{path} has {len(content):,} bytes"
