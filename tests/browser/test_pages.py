"""The pages in a real browser: Chromium, on real tweets where a checkout has them.

No console error, no request to anybody else, no serious finding of axe, at every width and in the
dark; and what htmx and a keyboard do.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.acceptance.command import Shell
from tests.acceptance.site import Site, served
from tests.acceptance.stored import stored
from tests.conftest import DATA, cloned
from tests.scripted_lambda import ScriptedLambda

SCREENS = os.environ.get("SCREENS")
"""A folder for pictures of every page, to be looked at."""

PAGES = {
    "overview": "/", "week": "/?since=2026-03-15&until=2026-03-21",
    "source": "/sources/reviews", "day": "/days/2026-03-21", "record": "/records/1",
    "hostile": "/search?words=alert", "search": "/search?order=most-negative", "work": "/work",
    "terms": "/terms?since=2026-03-01&until=2026-03-21",
    "quarantine": "/quarantine", "failure": "/records/999999",
    "tweets": "/sources/tweets", "draws": "/review", "review": "/review/1",
}  # fmt: skip


@pytest.fixture(scope="module")
def shell(
    tmp_path_factory: pytest.TempPathFactory, server_url: str, template: str
) -> Iterator[Shell]:
    with cloned(server_url, template) as url, ScriptedLambda() as server:
        shell = stored(tmp_path_factory.mktemp("browser"), url, server)
        tweets = DATA / "ingest" / "airline_tweets.csv"
        if tweets.is_file():
            toml = shell.folder / "sentiment-worker.toml"
            toml.write_text(
                f'[[source]]\nname = "tweets"\nkind = "file"\npath = "{tweets}"\n'
                'id = "tweet_id"\ntext = "text"\ntime = "created_at"\ntags = ["airline"]\n'
            )
            assert shell("once", "--source", "tweets").code in (0, 5)
        assert shell("review", "draw", "--source", "reviews", "--n", "8").code == 0
        yield shell


@pytest.fixture(scope="module")
def site(shell: Shell) -> Iterator[Site]:
    with served(shell, "--review") as site:
        yield site


# Not of the session: while Playwright is open its thread has a running loop, and asyncio.run fails.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The one on the PATH, else Playwright's own (`playwright install chromium`)."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


class Watch:
    """What went wrong in a browser's window."""

    def __init__(self, context: BrowserContext, site: Site) -> None:
        self.wrong: list[str] = []
        own = f"127.0.0.1:{site.port}"
        context.on("console", self._console)
        context.on("weberror", lambda found: self.wrong.append(str(found.error)))
        context.on("requestfailed", lambda r: self._failed(r.url, r.failure or ""))
        context.on("request", lambda r: self._asked(r.url, own))

    def _failed(self, url: str, why: str) -> None:
        if "ERR_ABORTED" not in why:  # the page was left before it had its icon
            self.wrong.append(f"{url}: {why}")

    def _asked(self, url: str, own: str) -> None:
        if urlsplit(url).netloc != own:
            self.wrong.append(f"asked {url}")

    def _console(self, message: object) -> None:
        kind, text = getattr(message, "type", ""), getattr(message, "text", "")
        if kind in ("error", "warning") and "404 (Not Found)" not in text:
            self.wrong.append(text)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 390)])
def test_every_page_is_sound(site: Site, chromium: Browser, scheme: str, width: int) -> None:
    size = {"width": width, "height": 900}
    context = chromium.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    watch, page = Watch(context, site), context.new_page()
    for name, path in PAGES.items():
        if name == "tweets" and not DATA.is_dir():
            continue
        page.goto(f"http://127.0.0.1:{site.port}{path}")
        _draw_all(page)
        page.evaluate(AXE_SCRIPT)
        found = page.evaluate("axe.run()")["violations"]
        bad = [v["id"] for v in found if v["impact"] in ("serious", "critical")]
        assert not bad, f"{name}, {scheme}, {width}: {found}"
        wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, f"{name} is {wide} px too wide at {width}"
        if SCREENS:
            page.screenshot(path=Path(SCREENS) / f"{name}-{scheme}-{width}.png", full_page=True)
    assert watch.wrong == []
    context.close()


def _draw_all(page: Page) -> None:
    """Scroll so that every chart is loaded; a picture that is broken has no width."""
    for image in page.locator("figure img").all():
        image.scroll_into_view_if_needed()
        page.wait_for_function("(i) => i.complete", arg=image.element_handle())
        assert image.evaluate("(i) => i.naturalWidth") > 0


def test_filters_live_in_the_address(site: Site, chromium: Browser) -> None:
    context = chromium.new_context()
    watch, page = Watch(context, site), context.new_page()
    page.goto(f"http://127.0.0.1:{site.port}/search?source=reviews")
    page.get_by_label("Words").fill("alert")
    page.wait_for_url(re.compile("words=alert"))
    expect(page.locator("#found li")).to_have_count(1)
    page.get_by_label("Words").fill("")
    page.get_by_label("Scores").select_option("provisional")
    page.wait_for_url(re.compile("provisional=true"))
    expect(page.locator("#found .provisional")).to_have_count(1)
    address = page.url
    page.goto(address)
    expect(page.locator("#found li")).to_have_count(1)
    while "words=alert" not in page.url:
        page.go_back()
    expect(page.locator("#found li")).to_have_count(1)
    expect(page.locator("#found")).to_contain_text("<script>alert(1)</script>")
    assert watch.wrong == []
    context.close()


def test_it_works_without_scripts(site: Site, chromium: Browser) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{site.port}/search?source=reviews")
    page.get_by_label("Words").fill("alert")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url(re.compile("words=alert"))
    expect(page.locator("#found li")).to_have_count(1)
    page.get_by_role("link", name="reviews hostile").click()
    page.wait_for_url(re.compile("/records/"))
    expect(page.locator("blockquote.record")).to_contain_text("<script>alert(1)</script>")
    context.close()


def test_a_keyboard_is_enough(site: Site, chromium: Browser) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{site.port}/?since=2026-03-15&until=2026-03-21")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to content")
    seen = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if not focused.count():
            continue  # the browser's own button for the calendar
        outline = focused.evaluate("(e) => getComputedStyle(e).outlineStyle")
        assert outline != "none", focused.evaluate("(e) => e.outerHTML")
        seen.add(focused.evaluate("(e) => e.tagName"))
        if (page.locator("a", has_text="2026-03-20").first).evaluate(
            "(e) => e === document.activeElement"
        ):
            break
    assert seen >= {"A", "SELECT", "INPUT", "BUTTON", "SUMMARY"}
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/days/2026-03-20"))
    context.close()


def test_what_is_in_progress_is_shown_as_it_goes(
    site: Site, chromium: Browser, shell: Shell
) -> None:
    context = chromium.new_context()
    watch, page = Watch(context, site), context.new_page()
    page.goto(f"http://127.0.0.1:{site.port}/work")
    expect(page.get_by_text("None was planned.")).to_be_visible()
    planned = shell("backfill", "plan", "--source", "reviews", "--limit", 20, "-o", "json")
    assert planned.code == 0, planned.err
    began = time.monotonic()
    expect(page.get_by_role("cell", name="planned")).to_be_visible(timeout=10_000)
    assert time.monotonic() - began < 10
    assert watch.wrong == []
    context.close()


def test_a_review_takes_one_key_a_label(site: Site, shell: Shell, chromium: Browser) -> None:
    context = chromium.new_context(viewport={"width": 360, "height": 640})
    watch, page = Watch(context, site), context.new_page()
    page.goto(f"http://127.0.0.1:{site.port}/review/1")

    def shows(left: int) -> None:
        expect(page.get_by_text(f"{left} left for")).to_be_visible()
        page.wait_for_load_state()  # with its script

    shows(8)
    page.keyboard.press("1")
    shows(7)
    page.keyboard.press("s")
    page.keyboard.type("no text, 1")  # a digit in the field is no label
    page.keyboard.press("Enter")
    shows(6)
    page.keyboard.press("u")
    shows(7)
    page.keyboard.press("3")
    shows(6)
    found = shell("review", "report", "--source", "reviews", "--output", "json").data
    assert (found["judged"], found["skipped"]) == (2, 0)
    assert watch.wrong == []
    context.close()
