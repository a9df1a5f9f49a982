"""Windows of a real browser, in which nothing may be complained about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NARROW = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 800}


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A window at an address. Whatever it complains about is a failure: an exception, or what its policy forbids."""
    context = browser.new_context(**{"viewport": WIDE, **options})
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda said: complaints.append(said.text) if _is_complaint(said) else None)
    page.goto(url)
    page.wait_for_selector("main h1")
    yield page
    assert complaints == []
    context.close()


def _is_complaint(said: Any) -> bool:
    """An answer that is no success is shown by the page itself."""
    return said.type == "error" and "Failed to load" not in said.text
