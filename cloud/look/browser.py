"""An address -> the person's browser, where there is a display."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser


def open_page(address: str) -> bool:
    """Show a page in the browser, without waiting for it; whether that was tried.

    Without a display webbrowser would start a browser of the terminal and take that over.
    """
    if not has_display():
        return False
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    return True


def has_display() -> bool:
    """Whether a browser has a window to be in: a desktop, or one that the person named."""
    if sys.platform in {"darwin", "win32"}:
        return not os.environ.get("SSH_CONNECTION")
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
