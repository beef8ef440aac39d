"""The status page in a real browser: each act, live changes, a restart, a phone, dark mode, accessibility."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from harness.process import free_port, program
from harness.sidecar import Sidecar

PHONE = {"width": 390, "height": 844}
TOKEN = "on-call-token-0123456789"
LONG = "<i>nobody</i> \u05e9\u05dc\u05d5\u05dd " + "w" * 300
POLICY = {"defaults": {"pause_on_distressed": True}}
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Sidecar]:
    # The browser connects to the same address again after a restart.
    with Sidecar(POLICY, store=f"sqlite:{tmp_path}/w.db", port=free_port()) as own:
        yield own


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=PHONE)
    page = context.new_page()
    page.set_default_timeout(30_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda one: wrong.append(one.text) if "Content Security Policy" in one.text else None)
    yield page
    context.close()
    assert not wrong


def check(page: Page) -> None:
    """No violation of WCAG 2.2 AA, and nothing wider than the screen."""
    found = Axe().run(page, options=WCAG)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_from_a_page_on_a_phone_to_a_resumed_model_in_under_a_minute(sidecar: Sidecar, page: Page) -> None:
    sidecar.claim("team-a/llama", "distressed", reason="error rate is 40 %", source="agent-7")
    sidecar.claim("team-a/llama/pod-1", "cautious")
    began = time.monotonic()
    steps: list[str] = []

    def step(words: str) -> None:
        steps.append(f"{time.monotonic() - began:5.1f} s  {words}")

    page.goto(sidecar.url + "/?scope=team-a/llama")
    expect(page.get_by_text("error rate is 40 %").first).to_be_visible()
    step("opened the link of the message: reason, source and end are on the screen")
    page.get_by_role("link", name="Resume").click()
    expect(page.get_by_text("What is known already does not pause it again.")).to_be_visible()
    step("asked what a resume does")
    page.get_by_role("button", name="Resume now").click()
    expect(page.get_by_text("Resumed. The gate is open")).to_be_visible()
    step("resumed, and saw that the gate is open")
    assert sidecar.gate("team-a/llama", wait=0).status_code == 200
    print("\n" + "\n".join(steps))


def test_pause_and_extend_in_the_browser(sidecar: Sidecar, page: Page) -> None:
    sidecar.claim("a/b", "cautious")
    page.goto(sidecar.url)
    page.get_by_role("link", name="b", exact=False).filter(has_text="a/b").first.click()
    page.get_by_role("link", name="Pause").click()
    check(page)
    page.get_by_label("Reason", exact=True).fill(LONG)
    page.get_by_label("How long").select_option("5 minutes")
    page.get_by_role("button", name="Pause now").click()
    expect(page.locator("#effect")).to_contain_text("Paused. 1 scope closed")
    check(page)
    before = sidecar.status("a/b")["until"]
    page.get_by_role("link", name="Extend").click()
    page.get_by_role("button", name="Extend now").click()
    expect(page.locator("#effect")).to_contain_text("Extended")
    assert sidecar.status("a/b")["until"] > before


def test_it_follows_changes_without_reloading_and_comes_back_after_a_restart(
    sidecar: Sidecar, page: Page
) -> None:
    sidecar.claim("live/a", "cautious")
    page.goto(sidecar.url)
    page.evaluate("window.stays = true")
    page.get_by_label("Name, alert or reason").fill("half typed")
    sidecar.pause("live", reason="seen without a reload")
    expect(page.locator("#summary")).to_contain_text("2 scopes paused")
    details = page.locator("details").first
    details.locator("summary").click()
    sidecar.claim("live/b", "cautious")
    expect(details.locator("summary")).to_contain_text("2 scopes")
    assert details.get_attribute("open") is not None, "what is open stays open"
    assert page.get_by_label("Name, alert or reason").input_value() == "half typed"
    sidecar.kill()
    expect(page.locator("#connection")).to_contain_text("Connection lost")
    sidecar.restart()
    expect(page.locator("#connection")).to_be_empty()
    sidecar.resume("live")
    expect(page.locator("#summary")).to_contain_text("Nothing is paused")
    assert page.evaluate("window.stays"), "it was not reloaded"


def test_a_token_is_entered_once_and_stays_in_its_tab(browser: Browser, page: Page) -> None:
    credential = {"name": "on-call", "roles": ["viewer", "operator"], "token_env": "ON_CALL"}
    with Sidecar({"auth": {"credentials": [credential]}}, env={"ON_CALL": TOKEN}) as own:
        page.goto(own.url)
        check(page)
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("Signed in as on-call")).to_be_visible()
        page.get_by_role("link", name="pause everything").click()
        page.get_by_label("Reason", exact=True).fill("by token")
        page.get_by_role("button", name="Pause now").click()
        expect(page.locator("#effect")).to_contain_text("Paused. 1 scope closed")
        page.reload()
        expect(page.locator("#summary")).to_contain_text("paused")
        page.go_back()
        other = page.context.new_page()
        other.goto(own.url)
        expect(other.get_by_label("Token")).to_be_visible()
        page.get_by_role("button", name="Forget the token").click()
        expect(page.get_by_label("Token")).to_be_visible()


@pytest.mark.parametrize(("scheme", "width"), [("dark", 390), ("light", 3840)])
def test_it_is_readable(browser: Browser, sidecar: Sidecar, scheme: str, width: int) -> None:
    sidecar.claim("x" * 64 + "/" + "y" * 64 + "/" + "z" * 64, "distressed", reason=LONG, source="agent-7")
    sidecar.claim("m", "concerned")
    sidecar.pause("m", reason="by hand")
    with browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme) as context:
        page = context.new_page()
        for path in ("/", "/ui/scope/m", "/ui/resume/m"):
            page.goto(sidecar.url + path)
            check(page)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip", (
            "the keyboard starts at the content"
        )


def test_it_works_without_script(browser: Browser, sidecar: Sidecar) -> None:
    sidecar.claim("n", "distressed")
    with browser.new_context(java_script_enabled=False, viewport=PHONE) as context:
        page = context.new_page()
        page.goto(sidecar.url)
        page.get_by_role("link", name="Resume").click()
        page.get_by_role("button", name="Resume now").click()
        expect(page.locator("#effect")).to_contain_text("Resumed. The gate is open")
