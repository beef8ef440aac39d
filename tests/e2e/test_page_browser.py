"""The status page in a browser: each action, live changes, a restart, a phone, dark mode, accessibility."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import bcrypt
import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from harness.ports import free_port
from harness.process import eventually, program
from harness.receivers import SlackReceiver
from harness.sidecar import Sidecar
from harness.tls import certify, certify_client

PHONE = {"width": 390, "height": 844}
TOKEN = "on-call-token-0123456789"
LONG = "<i>nobody</i> \u05e9\u05dc\u05d5\u05dd " + "w" * 300
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</time></li></main><script>alert(2)</script>",
    "\"onmouseover='alert(3)' autofocus onfocus=alert(3) x=\"",
    "{{ 7*7 }}${alert(4)}<svg onload=alert(4)>",
)
POLICY = {"defaults": {"pause_on_distressed": True}}
# On a busy machine the browser takes longer than the default of five seconds.
expect.set_options(timeout=30_000)
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
    """The page violates no rule of WCAG 2.2 AA, and is not wider than the screen."""
    found = Axe().run(page, options=WCAG)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


class Steps:
    """The steps of a task, with the time of each."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lines: list[str] = []

    def add(self, words: str) -> None:
        self._lines.append(f"{self.total():5.1f} s  {words}")

    def total(self) -> float:
        return time.monotonic() - self._began

    def print(self) -> None:
        print("\n" + "\n".join(self._lines))


def test_an_operator_on_a_phone_resumes_a_model_in_under_a_minute(sidecar: Sidecar, page: Page) -> None:
    sidecar.claim("team-a/llama", "distressed", reason="error rate is 40 %", source="agent-7")
    sidecar.claim("team-a/llama/pod-1", "cautious")
    steps = Steps()
    page.goto(sidecar.url + "/?scope=team-a/llama")
    expect(page.get_by_text("error rate is 40 %").first).to_be_visible()
    steps.add("opened the link of the message: reason, source and end are on the screen")
    page.get_by_role("link", name="Resume").click()
    expect(page.get_by_text("What is known already does not pause it again.")).to_be_visible()
    steps.add("asked what a resume does")
    page.get_by_role("button", name="Resume now").click()
    expect(page.get_by_text("Resumed. The gate is open")).to_be_visible()
    steps.add("resumed, and saw that the gate is open")
    assert sidecar.gate("team-a/llama", wait=0).status_code == 200
    steps.print()


def test_a_slack_message_links_to_the_reason_of_the_pause(tmp_path: Path, page: Page) -> None:
    with SlackReceiver() as slack:
        hook = {"name": "chat", "url": slack.url, "format": "slack", "events": ["pause"]}
        port = free_port()
        listen = f"127.0.0.1:{port}"
        with Sidecar({**POLICY, "listen": listen, "hooks": [hook]}, port=port, listen_flag=False) as own:
            steps = Steps()
            alert = {
                "status": "firing",
                "labels": {"alertname": "QueueGrows", "severity": "critical", "wellbeing_scope": "team-a/llama"},
                "annotations": {"summary": LONG},
                "startsAt": "2026-01-01T00:00:00Z",
                "fingerprint": "00ff",
            }  # fmt: skip
            own.session.post(f"{own.url}/v1/alerts", json={"version": "4", "alerts": [alert]}, timeout=30)
            eventually(lambda: slack.received, "the message arrives")
            text = slack.received[0].json()["text"]
            steps.add("the message arrived")
            assert "team-a/llama is paused" in text
            link = re.search(r"<(http[^|]+)\|", text)
            assert link, text
            page.goto(link[1].replace("&amp;", "&"))
            hold = page.locator(".closed-card").first
            expect(hold).to_contain_text("nobody")
            expect(hold).to_contain_text("by alert QueueGrows")
            expect(hold).to_contain_text("ends in")
            expect(page.locator("h3", has_text="QueueGrows")).to_be_visible()
            steps.add("its link opened: reason, alert, since and until are on the screen")
            check(page)
            steps.print()


def test_an_operator_pauses_and_extends_in_the_browser(sidecar: Sidecar, page: Page) -> None:
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


def test_the_page_shows_changes_without_a_reload_and_reconnects_after_a_restart(
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
    assert details.get_attribute("open") is not None, "the open details stay open"
    assert page.get_by_label("Name, alert or reason").input_value() == "half typed"
    sidecar.kill()
    expect(page.locator("#connection")).to_contain_text("Connection lost")
    sidecar.restart()
    expect(page.locator("#connection")).to_be_empty()
    sidecar.resume("live")
    expect(page.locator("#summary")).to_contain_text("Nothing is paused")
    assert page.evaluate("window.stays"), "the page was not reloaded"


def test_hostile_texts_run_nothing_in_the_browser(sidecar: Sidecar, page: Page) -> None:
    """The page fixture also fails if the content security policy has blocked a script."""
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(sidecar.url)
    for number, text in enumerate(HOSTILE):
        sidecar.claim(f"hostile/a{number}", "distressed", reason=text)
    labels = {"alertname": HOSTILE[0], "severity": "critical", "wellbeing_scope": "hostile/alert"}
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": HOSTILE[1]},
        "startsAt": datetime.now(UTC).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "javascript:alert(5)",
        "fingerprint": "hostile",
    }
    assert sidecar.notify(json.dumps({"version": "4", "status": "firing", "alerts": [alert]}).encode()).ok
    # The first texts arrive over the live connection, the others in the HTML of their page.
    expect(page.locator("main")).to_contain_text(HOSTILE[0])
    for number, text in enumerate(HOSTILE):
        for path in ("scope", "resume"):
            page.goto(f"{sidecar.url}/ui/{path}/hostile/a{number}")
            expect(page.locator("main")).to_contain_text(text)
            assert page.locator("main :is(script, iframe, img, svg[onload], object, style)").count() == 0
    page.goto(f"{sidecar.url}/ui/scope/hostile/alert")
    expect(page.locator("main")).to_contain_text(HOSTILE[1])
    targets = page.locator("a").evaluate_all("all => all.map(one => one.href)")
    assert targets
    assert all(target.startswith("http://") for target in targets)
    assert not dialogs


def test_a_token_is_entered_once_and_stays_in_its_tab(browser: Browser, page: Page) -> None:
    credential = {"name": "on-call", "roles": ["viewer", "operator"], "token_env": "ON_CALL"}
    with Sidecar({"auth": {"credentials": [credential]}}, env={"ON_CALL": TOKEN}) as own:
        urls: list[str] = []
        page.on("request", lambda request: urls.append(request.url + request.headers.get("referer", "")))
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
        assert page.evaluate("[...Object.values(localStorage), document.cookie].join()") == ""
        page.get_by_role("button", name="Forget the token").click()
        expect(page.get_by_label("Token")).to_be_visible()
        assert page.evaluate("Object.values(sessionStorage).join()") == ""
        assert urls
        assert not [url for url in urls if TOKEN in url]


def test_a_user_signs_in_by_password_and_sees_changes(browser: Browser) -> None:
    credential = {
        "name": "ada",
        "roles": ["viewer", "operator"],
        "username": "ada",
        "password_bcrypt": bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode(),
    }
    with Sidecar({"auth": {"credentials": [credential]}}) as own:
        signed_in = browser.new_context(
            viewport=PHONE, http_credentials={"username": "ada", "password": "open sesame"}
        )
        with signed_in as context:
            page = context.new_page()
            # A link from a message opens a scope, not the first page.
            page.goto(f"{own.url}/ui/scope/team-a/llama")
            expect(page.get_by_text("Signed in as ada")).to_be_visible()
            page.get_by_role("link", name="Pause").click()
            page.get_by_label("Reason", exact=True).fill("by password")
            page.get_by_role("button", name="Pause now").click()
            expect(page.locator("#effect")).to_contain_text("Paused. 1 scope closed")
            page.evaluate("window.stays = true")
            auth = ("ada", "open sesame")
            requests.post(f"{own.url}/v1/resume/team-a/llama", auth=auth, timeout=30).raise_for_status()
            expect(page.locator("#summary .chip").first).to_have_text("open")
            assert page.evaluate("window.stays"), "the page showed the change without a reload"
            history = requests.get(f"{own.url}/v1/history/team-a/llama", auth=auth, timeout=30).json()
            assert [entry["actor"] for entry in history["entries"]] == ["ada", "ada"]


def test_a_client_certificate_signs_in(browser: Browser, tmp_path: Path) -> None:
    certify(tmp_path)
    certify_client(tmp_path, "on-call")
    tls = {"cert_file": "cert.pem", "key_file": "key.pem", "client_ca_file": "ca.pem"}
    config = {
        "tls": {name: str(tmp_path / file) for name, file in tls.items()},
        "auth": {
            "credentials": [{"name": "pager", "roles": ["viewer", "operator"], "certificate": "on-call"}]
        },
    }
    with Sidecar(config) as own:
        url = own.url.replace("http:", "https:")
        shows = {
            "origin": url,
            "certPath": str(tmp_path / "on-call.pem"),
            "keyPath": str(tmp_path / "on-call.key"),
        }
        with browser.new_context(ignore_https_errors=True, client_certificates=[shows]) as context:
            page = context.new_page()
            page.goto(url)
            expect(page.get_by_text("Signed in as pager")).to_be_visible()
            page.get_by_role("link", name="pause everything").click()
            page.get_by_label("Reason", exact=True).fill("by certificate")
            page.get_by_role("button", name="Pause now").click()
            expect(page.locator("#effect")).to_contain_text("Paused. 1 scope closed")
        with browser.new_context(ignore_https_errors=True) as context:
            page = context.new_page()
            page.goto(url)
            expect(page.get_by_label("Token")).to_be_visible()


@pytest.mark.parametrize(("scheme", "width"), [("dark", 390), ("light", 3840)])
def test_the_page_has_enough_contrast_and_no_overflow(
    browser: Browser, sidecar: Sidecar, scheme: str, width: int
) -> None:
    deepest = "/".join(["W" * 64] * 8)
    sidecar.claim(deepest, "distressed", reason=LONG, source="agent-7")
    sidecar.claim("m", "concerned")
    sidecar.pause("m", reason="by hand")
    with browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme) as context:
        page = context.new_page()
        for path in ("/", "/ui/scope/m", "/ui/resume/m", f"/ui/scope/{deepest}", f"/ui/pause/{deepest}"):
            page.goto(sidecar.url + path)
            check(page)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip", (
            "the first Tab goes to the content"
        )


def test_the_page_works_without_javascript(browser: Browser, sidecar: Sidecar) -> None:
    sidecar.claim("n", "distressed")
    with browser.new_context(java_script_enabled=False, viewport=PHONE) as context:
        page = context.new_page()
        page.goto(sidecar.url)
        page.get_by_role("link", name="Resume").click()
        page.get_by_role("button", name="Resume now").click()
        expect(page.locator("#effect")).to_contain_text("Resumed. The gate is open")
        page.get_by_role("link", name="Pause").click()
        page.get_by_label("Reason", exact=True).fill("without script")
        page.get_by_role("button", name="Pause now").click()
        expect(page.locator("#effect")).to_contain_text("Paused. 1 scope closed")
        page.get_by_role("link", name="overview").click()
        page.get_by_label("Name, alert or reason").fill("nothing like it")
        page.get_by_role("button", name="Filter").click()
        expect(page.get_by_text("No scope matches.")).to_be_visible()
