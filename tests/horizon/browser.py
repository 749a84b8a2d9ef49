"""Headless Chromium inside the lab's network, with waits that say what they wait for. Knows nothing of Horizon."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    JavascriptException,
    NoSuchElementException,
    StaleElementReferenceException,
    WebDriverException,
)
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By

from tests.openstack.lab import place, processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from selenium.webdriver.remote.webelement import WebElement

NAME = "horizon-browser"  # of its processes among the lab's
WIDTH, HEIGHT = 1400, 1000
WAIT_S = 120.0  # for a page; one takes a second or two on an idle machine
LOOK_S = 0.2
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--force-prefers-reduced-motion", f"--window-size={WIDTH},{HEIGHT}",
)  # fmt: skip
_PASSING = (  # the page was changed between two questions, or something fades over it
    StaleElementReferenceException, NoSuchElementException, ElementNotInteractableException, JavascriptException,
    ElementClickInterceptedException,
)  # fmt: skip


class Browser:
    """One window."""

    def __init__(self, driver: Chrome) -> None:
        self._driver = driver

    def go(self, address: str) -> None:
        """Open a page."""
        self._driver.get(address)

    @property
    def address(self) -> str:
        """Of the page that is open."""
        return str(self._driver.current_url)

    def ask(self, script: str, *arguments: object) -> Any:
        """What JavaScript in the page returns: many elements in one look, none of them stale."""
        return self._driver.execute_script(script, *arguments)

    def until(self, what: str, is_so: Callable[[], Any], deadline_s: float = WAIT_S) -> Any:
        """Wait until something is so and return it; TimeoutError names it, and what the page says instead."""
        deadline = time.monotonic() + deadline_s
        while True:
            try:
                if found := is_so():
                    return found
            except _PASSING:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {deadline_s:.0f} s for {what} at {self.address}:\n{self.text()}")
            time.sleep(LOOK_S)

    def element(self, selector: str, deadline_s: float = WAIT_S) -> WebElement:
        """The first element that is shown."""
        found: WebElement = self.until(selector, lambda: self._shown(selector), deadline_s)
        return found

    def click(self, selector: str, what: str = "") -> None:
        """Click the first element that is shown, however often the page replaces it."""

        def clicked() -> bool:
            element = self._shown(selector)
            if element is None:
                return False
            element.click()
            return True

        self.until(what or f"{selector} to be clicked", clicked)

    def write(self, selector: str, text: str) -> None:
        """Type into a box, in place of what is in it."""
        box = self.element(selector)
        box.clear()
        box.send_keys(text)

    def give_file(self, selector: str, path: Path) -> None:
        """Choose a file for a box, which need not be shown: pages put a button of their own over it."""

        def given() -> bool:
            self._driver.find_element(By.CSS_SELECTOR, selector).send_keys(str(path))
            return True

        self.until(f"a file for {selector}", given)

    def text(self) -> str:
        """What the page says, a part of it."""
        try:
            return str(self.ask("return document.body.innerText"))[:2000]
        except WebDriverException as error:
            return str(error.msg)

    def settle(self) -> None:
        """Wait until what fades and slides has come to rest."""
        moving = "return document.getAnimations().some(one => one.playState == 'running' && one.effect.getTiming().iterations != Infinity)"
        self.until("an end of what moves", lambda: not self.ask(moving))

    def picture(self, path: Path) -> None:
        """Save what the window shows."""
        self._driver.save_screenshot(str(path))

    def resize(self, height: int = HEIGHT) -> None:
        """Make the window as high as this."""
        self._driver.set_window_size(WIDTH, height)

    def hover(self, selector: str) -> None:
        """Let the mouse stand over an element."""
        from selenium.webdriver import ActionChains

        ActionChains(self._driver).move_to_element(self.element(selector)).perform()

    def _shown(self, selector: str) -> WebElement | None:
        found = self._driver.find_elements(By.CSS_SELECTOR, selector)
        return next((element for element in found if element.is_displayed()), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """Run Chromium while the block does; its processes and its profile end with it, those of a killed run before it."""
    own = place.home() / NAME
    _end(own)
    own.mkdir()
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={own / 'profile'}"):
        options.add_argument(flag)
    environment = {**processes.environment(NAME), "HOME": str(own), "TMPDIR": str(own)}
    service = ChromeService("/usr/bin/chromedriver", env=environment)
    try:
        driver = Chrome(options=options, service=service)
        try:
            driver.set_page_load_timeout(WAIT_S)
            yield Browser(driver)
        finally:
            driver.quit()
    finally:
        _end(own)


def _end(own: Path) -> None:
    """End what did not end by itself."""
    processes.stop(NAME)
    shutil.rmtree(own, ignore_errors=True)
