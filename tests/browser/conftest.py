"""Pages of this program's own, seen by headless Chromium; the environment is that of the dashboard's tests."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.openstack.lab import packages
from tests.openstack.lab.place import CannotRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.horizon.browser import Browser

HAS_SELENIUM = importlib.util.find_spec("selenium") is not None
collect_ignore_glob = [] if HAS_SELENIUM else ["test_*.py"]  # the level has an environment of its own
CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Browser]:
    """A window, with a profile of its own that ends with it."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        with contextlib.suppress(CannotRun):
            packages.install(tmp_path / "packages.log", ("chromium", "chromium-driver", "fonts-dejavu-core"))
    for program in (CHROMIUM, DRIVER):  # both of one version
        if not shutil.which(program):
            pytest.skip(f"there is no {program}: apt install chromium chromium-driver")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    from tests.horizon.browser import FLAGS, WAIT_S, Browser

    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    service = ChromeService(DRIVER, env={**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)})
    driver = Chrome(options=options, service=service)
    try:
        driver.set_page_load_timeout(5 * WAIT_S)
        yield Browser(driver)
    finally:
        driver.quit()
