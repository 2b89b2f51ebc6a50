"""A browser, and the page of the server that the fixture `server` of a test file names."""

import pytest
from e2e.browser import CHROMIUM, QUIET, WIDE


@pytest.fixture(scope="session")
def browser():
    sync_playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright: make test-e2e"
    ).sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def visit(server, browser):
    """Opens the page; in the end nothing may stand in its console."""
    messages, contexts = [], []

    def make(viewport=WIDE, **options):
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.messages = messages
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(server)
        page.locator("#about", has_text="photos").wait_for()
        return page

    yield make
    for context in contexts:
        context.close()
    assert messages == []
