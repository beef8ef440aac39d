"""The status page: its content, the roles for its actions, and its protection against other sites."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser

import bcrypt
import pytest
import requests

from harness.sidecar import Sidecar

SAME = {"Sec-Fetch-Site": "same-origin"}
HTML = {"Accept": "text/html"}
TOKENS = {name: f"{name}-token-0123456789" for name in ("viewer", "operator", "team")}
HOSTILE = "<script>alert(1)</script> \u202egnp.exe\u202c \u05e9\u05dc\u05d5\u05dd " + "w" * 400


class _Elements(HTMLParser):
    """All start tags, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    config = {
        "defaults": {"pause_on_distressed": True},
        "policies": [{"match": "observed", "pause_on_distressed": False}, {"match": "off", "enabled": False}],
        "ui": {
            "links": [
                {"name": "Grafana", "url": "https://grafana.example/d/x?var-scope={scope}"},
                {"name": "Runbook", "url": "https://runbooks.example/{alertname}#{fingerprint}"},
            ]
        },
    }
    with Sidecar(config) as own:
        yield own


@pytest.fixture(scope="module")
def secured() -> Iterator[Sidecar]:
    def credential(name: str, *roles: str, **more: str) -> dict[str, object]:
        return {"name": name, "roles": list(roles), "token_env": name.upper(), **more}

    password = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    credentials = [
        credential("viewer", "viewer"),
        credential("operator", "viewer", "operator", "agent"),
        credential("team", "viewer", "operator", scope="team-a"),
        {"name": "basic", "roles": ["viewer", "operator"], "username": "u", "password_bcrypt": password},
    ]
    env = {name.upper(): token for name, token in TOKENS.items()}
    with Sidecar({"auth": {"credentials": credentials}}, env=env) as own:
        yield own


def as_(name: str) -> dict[str, str]:
    return {**HTML, "Authorization": f"Bearer {TOKENS[name]}"}


def send(own: Sidecar, path: str, headers: dict[str, str], **fields: str) -> requests.Response:
    headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    return requests.post(own.url + path, data=fields, headers=headers, allow_redirects=False, timeout=30)


def links(text: str) -> list[str]:
    return [str(attributes["href"]) for tag, attributes in _Elements(text).tags if tag == "a"]


def summary(text: str) -> str:
    found = re.search(r'id="summary".*?</(?:h1|p)>', text, re.DOTALL)
    assert found
    return " ".join(re.sub(r"<[^>]+>", " ", found[0].partition(">")[2]).split())


def test_a_pause_is_shown_once_with_the_scopes_that_it_closes(sidecar: Sidecar) -> None:
    for scope in ("once/a", "once/b", "once/c/d"):
        sidecar.claim(scope, "cautious")
    sidecar.pause("once", reason="a pause shown once")
    try:
        text = sidecar.get("/?q=once").text
        shown, _, changes = text.partition("Latest changes")
        assert shown.count("a pause shown once") == 1
        assert "closes 3 scopes inside" in shown
        assert "4 scopes paused, by 1 hold" in summary(text)
        assert changes.count("a pause shown once") == 1
        assert "15 min" not in shown
        assert re.search(r"<b>ends <time [^>]*>in [45] min</time>", shown)
    finally:
        sidecar.resume("once")


def test_the_page_runs_no_foreign_script(sidecar: Sidecar) -> None:
    sidecar.claim("hostile/a", "distressed", reason=HOSTILE, source="agent-7")
    try:
        for path in ("/", "/ui/scope/hostile/a", "/ui/resume/hostile/a", "/ui/pause/hostile/a"):
            answer = sidecar.get(path)
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert "&lt;script&gt;" in answer.text
            assert "\u202e" not in answer.text, "nothing changes the direction of what stands around it"
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
            assert "unsafe" not in policy
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Referrer-Policy"] == "same-origin"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            tags = _Elements(answer.text).tags
            assert [tag for tag, _ in tags].count("script") == 1
            assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
            assert not [tag for tag, attributes in tags if tag == "style" or "style" in attributes]
    finally:
        sidecar.claim("hostile/a", "healthy", source="agent-7")


def test_the_worst_scope_comes_first_and_a_filter_finds_it(sidecar: Sidecar) -> None:
    sidecar.claim("order/a-well", "cautious")
    sidecar.claim("order/z-sick", "distressed", reason="too hot", source="agent-9")
    sidecar.claim("observed/m", "distressed", reason="only observed")
    try:
        tree = sidecar.get("/?q=order").text.partition('id="tree"')[2].partition("</ul>")[0]
        assert tree.index("z-sick") < tree.index("a-well")
        by_reason = sidecar.get("/?q=TOO+hot").text.partition('id="tree"')[2].partition("</ul>")[0]
        assert "z-sick" in by_reason
        assert "a-well" not in by_reason
        for state, scope in (("paused", "z-sick"), ("advised", ">m<"), ("cautious", "a-well")):
            tree = sidecar.get(f"/?state={state}").text.partition('id="tree"')[2].partition("</ul>")[0]
            assert scope in tree, state
            assert ("a-well" in tree) == (state == "cautious")
        assert "No scope matches." in sidecar.get("/?q=nothing-like-it").text
        assert "The policy would pause or restrict these" in sidecar.get("/").text
    finally:
        sidecar.claim("order/z-sick", "healthy", source="agent-9")
        sidecar.claim("observed/m", "healthy")


@pytest.mark.parametrize(
    "path",
    ["/?state=unheard", "/?page=x", "/?pge=2", "/ui/scope?before=-1", "/ui/scope/a%20b", "/?scope=a%20b"],
)
def test_a_wrong_parameter_or_scope_is_refused_with_the_reason(sidecar: Sidecar, path: str) -> None:
    answer = sidecar.get(path, headers=HTML)
    assert answer.status_code == 400
    assert 'class="notice bad"' in answer.text
    assert sidecar.get(path).headers["Content-Type"] == "application/problem+json", "for a program"


def test_the_page_of_a_scope_shows_all_that_is_known(sidecar: Sidecar) -> None:
    alert = {
        "status": "firing", "labels": {"alertname": "Hot/GPU", "wellbeing_scope": "detail/llama", "severity": "critical"},
        "annotations": {"summary": "GPU is hot"}, "startsAt": "2026-01-01T00:00:00Z", "fingerprint": "00ff",
    }  # fmt: skip
    answer = sidecar.session.post(
        f"{sidecar.url}/v1/alerts", json={"version": "4", "alerts": [alert]}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    sidecar.claim("detail/llama", "cautious", reason="slow", source="agent-1")
    assert sidecar.gate("detail/llama", wait=0).status_code == 503
    text = sidecar.get("/ui/scope/detail/llama").text
    assert "Paused by the policy" in text
    assert text.index("Hot/GPU") < text.index("agent:agent-1"), "the worst signal first"
    assert "https://grafana.example/d/x?var-scope=detail%2Fllama" in links(text)
    assert "https://runbooks.example/Hot%2FGPU#00ff" in links(text)
    counts = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", text))
    assert (counts["Requests"], counts["had to wait"], counts["timed out"]) == ("1", "1", "1")
    assert re.search(r"Gate: closed 1 time", text)
    assert '<rect class="span distressed"' in text
    sidecar.resume("detail/llama")
    text = sidecar.get("/ui/scope/detail/llama").text
    assert re.search(
        r"distressed, but not paused by its policy: its pause ended <time .*</time>, because an operator resumed it",
        text,
    )
    follows = sidecar.get("/ui/scope/detail/llama/unknown").text
    assert "This scope is not known" in follows
    assert (
        sidecar.get("/?scope=detail/llama", allow_redirects=False).headers["Location"]
        == "./ui/scope/detail/llama"
    )


def test_the_history_of_a_scope_is_paged(sidecar: Sidecar) -> None:
    for number in range(16):
        sidecar.claim("paged", "cautious" if number % 2 else "healthy", reason=f"step {number}")
        sidecar.claim("paged/in", "cautious" if number % 2 else "healthy", reason=f"inner {number}")
    seen: list[str] = []
    path: str | None = "/ui/scope/paged"
    while path:
        text = sidecar.get(path).text
        seen += re.findall(r'data-key="(h\d+)"', text)
        older = [link for link in links(text) if "before=" in link]
        path = f"/ui/scope/paged{older[0].partition('#')[0]}" if older else None
    assert len(seen) == len(set(seen)) == 30


def test_pause_extend_and_resume_need_one_confirmation_and_show_their_effect(sidecar: Sidecar) -> None:
    sidecar.claim("act/a", "cautious")
    sidecar.claim("act/b", "cautious")
    asks = sidecar.get("/ui/pause/act").text
    assert "this scope, which is not known yet, and 2 known scopes inside" in asks
    assert sidecar.status("act")["gate"] == "open", "to ask changes nothing"
    done = send(sidecar, "/ui/pause/act", SAME, reason="deploy \u202ebad", secs="900")
    assert (done.status_code, done.headers["Location"]) == (303, "../../ui/scope/act?done=paused")
    shown = sidecar.get("/ui/scope/act?done=paused").text
    assert "Paused. 3 scopes closed" in shown
    hold = sidecar.status("act")["holds"][0]
    assert hold["reason"] == "deploy  bad"
    send(sidecar, "/ui/extend/act", SAME, secs="86400")
    extended = sidecar.status("act")["holds"][0]
    assert extended["reason"] == hold["reason"]
    assert extended["until"] > hold["until"]
    assert "lets 0 waiting requests through" in sidecar.get("/ui/resume/act").text
    assert "3 scopes open." in sidecar.get("/ui/resume/act").text
    assert send(sidecar, "/ui/resume/act", SAME).status_code == 303
    assert "Resumed. The gate is open" in sidecar.get("/ui/scope/act?done=resumed").text
    late = send(sidecar, "/ui/extend/act", SAME, secs="300")
    assert late.status_code == 409
    assert "nothing to extend" in late.text


def test_a_pause_does_not_claim_to_stop_scopes_whose_policy_is_not_enabled() -> None:
    policies = [{"match": "free/strict", "pause_on_distressed": True}, {"match": "free", "enabled": False}]
    with Sidecar({"policies": policies}) as own:
        own.claim("free/strict/in", "cautious")
        own.claim("free/loose", "cautious")
        known = own.status("free", below="true")["below"]
        asks = own.get("/ui/pause/free").text
        assert "its own gate stays open" in asks
        own.pause("free")
        closed = sum(one["gate"] == "closed" for one in own.status("free", below="true")["below"])
        assert 0 < closed < len(known)
        assert f"This stops {closed} open scope" in asks
        own.resume("free")
        assert "This stops 0 known scopes inside" in own.get("/ui/pause/free/new").text


def test_a_resume_below_a_paused_scope_names_the_scope_that_keeps_it_closed(sidecar: Sidecar) -> None:
    sidecar.pause("above", reason="all of it")
    sidecar.pause("above/in", reason="this one")
    try:
        assert "It opens nothing yet" in sidecar.get("/ui/resume/above/in").text
        send(sidecar, "/ui/resume/above/in", SAME)
        assert "above still keeps it closed" in sidecar.get("/ui/scope/above/in?done=resumed").text
    finally:
        sidecar.resume("above")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reason": " ", "secs": "300"}, "Enter a reason"),
        ({"secs": "300"}, "Enter a reason"),
        ({"reason": "x", "secs": "301"}, "Choose how long"),
        ({"reason": "x", "secs": "nan"}, "Choose how long"),
    ],
)
def test_an_incomplete_form_is_shown_again(sidecar: Sidecar, fields: dict[str, str], said: str) -> None:
    answer = send(sidecar, "/ui/pause/form", SAME, **fields)
    assert answer.status_code == 400
    assert said in answer.text
    assert "<form" in answer.text
    assert sidecar.status("form")["gate"] == "open"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "null"},
        {"Origin": "http://[evil"},
        {"Origin": "https://evil.example"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_a_form_of_another_site_changes_nothing(sidecar: Sidecar, headers: dict[str, str]) -> None:
    for path in ("/ui/pause/csrf", "/ui/resume/csrf", "/ui/extend/csrf"):
        assert send(sidecar, path, headers).status_code == 403
    assert send(sidecar, "/ui/pause/csrf", headers, reason="x", secs="300").status_code == 403
    assert sidecar.status("csrf")["gate"] == "open"


def test_a_form_is_accepted_by_the_header_origin_alone(sidecar: Sidecar) -> None:
    assert (
        send(sidecar, "/ui/pause/origin", {"Origin": sidecar.url}, reason="x", secs="300").status_code == 303
    )
    json = {**SAME, "Content-Type": "application/json"}
    answer = requests.post(sidecar.url + "/ui/resume/origin", data="{}", headers=json, timeout=30)
    assert answer.status_code == 400
    assert sidecar.status("origin")["gate"] == "closed"
    sidecar.resume("origin")


def test_behind_a_proxy_that_changes_the_host_forms_of_the_external_url_are_accepted() -> None:
    with Sidecar({"external_url": "https://gate.example/x/"}) as own:
        good = {"Origin": "https://gate.example", "Host": "sidecar.internal", "Sec-Fetch-Site": "same-origin"}
        assert send(own, "/ui/pause", good, reason="x", secs="300").status_code == 303
        assert send(own, "/ui/resume", {**good, "Origin": "https://gate.example.evil"}).status_code == 403


def test_the_page_offers_and_allows_what_the_role_allows(secured: Sidecar) -> None:
    get = secured.get
    assert "pause everything" not in get("/", headers=as_("viewer")).text
    assert "pause everything" in get("/", headers=as_("operator")).text
    assert "Signed in as operator" in get("/", headers=as_("operator")).text
    assert get("/ui/pause", headers=as_("viewer")).status_code == 403
    refused = send(secured, "/ui/pause", {**as_("viewer"), **SAME}, reason="x", secs="300")
    assert refused.status_code == 403
    done = send(secured, "/ui/pause/team-a", {**as_("operator"), **SAME}, reason="x", secs="300")
    assert done.status_code == 303
    held = get("/v1/status/team-a", headers=as_("operator")).json()["holds"][0]
    assert held["by"] == "operator"
    entry = get("/v1/history/team-a", headers=as_("viewer")).json()["entries"][0]
    assert entry["actor"] == "operator"


def test_a_viewer_of_one_scope_gets_the_page_of_that_scope(secured: Sidecar) -> None:
    answer = secured.get("/", headers=as_("team"), allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "./ui/scope/team-a")
    assert secured.get("/ui/scope/team-a/x", headers=as_("team")).status_code == 200
    for path in ("/ui/scope", "/ui/scope/team-b", "/ui/scope/team-ab", "/ui/pause", "/ui/pause/team-b"):
        assert secured.get(path, headers=as_("team")).status_code == 403, path


def test_without_a_credential_the_page_explains_how_to_sign_in(secured: Sidecar) -> None:
    for path in ("/", "/ui/scope/team-a", "/ui/pause/team-a"):
        answer = requests.get(secured.url + path, headers=HTML, timeout=30)
        assert answer.status_code == 401
        assert 'id="sign-in"' in answer.text
        assert answer.raw.headers.getlist("X-Content-Type-Options") == ["nosniff"]
        # Chromium reads only one scheme in a header field.
        challenges = answer.raw.headers.getlist("WWW-Authenticate")
        assert challenges == ['Bearer realm="wellbeing"', 'Basic realm="wellbeing", charset="UTF-8"']
        by_script = {**HTML, "Sec-Fetch-Mode": "cors"}
        answer = requests.get(secured.url + path, headers=by_script, timeout=30)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="wellbeing"', "no dialogue for a script"
    live = f"{secured.url}/v1/events/team-a"
    challenges = requests.get(live, timeout=30).raw.headers.getlist("WWW-Authenticate")
    assert len(challenges) == 2, "a browser that knows the password repeats the request with it"
    by_token = requests.get(live, headers={"Authorization": "Bearer wrong"}, timeout=30)
    assert by_token.headers["WWW-Authenticate"] == 'Bearer realm="wellbeing"', "no dialogue for a token"
    wrong = requests.get(secured.url + "/", headers={**HTML, "Authorization": "Bearer wrong"}, timeout=30)
    assert "the credentials are wrong" in wrong.text
    basic = {**HTML, "Authorization": "Basic " + base64.b64encode(b"u:secret").decode()}
    assert "Signed in as basic" in requests.get(secured.url + "/", headers=basic, timeout=30).text
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript")):
        answer = requests.get(f"{secured.url}/ui/{name}", timeout=30)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith(kind)


def test_a_restriction_and_a_trial_are_described_in_words() -> None:
    policy = {
        "restrict": {"concerned": 20},
        "resume_trial": {"requests": 3, "secs": 60},
        "pause_on_distressed": True,
    }
    with Sidecar({"defaults": policy}) as own:
        own.claim("slow", "concerned", reason="too slow")
        own.claim("slow/in", "cautious")
        text = own.get("/").text
        assert "2 restricted" in summary(text)
        assert "Admits <b>20 requests a second</b>" in text
        assert text.count("20 a second") == 2
        assert "Restricted above, by" in own.get("/ui/scope/slow/in").text
        assert own.get("/?state=restricted").text.count('<li class="row') == 2
        own.claim("ill", "distressed", reason="too hot")
        own.claim("ill", "healthy")
        text = own.get("/ui/scope/ill").text
        assert "3 requests may pass" in text
        assert "too hot" in text


def test_a_pause_that_waits_for_an_operator_says_so_on_the_overview_and_on_its_page() -> None:
    with Sidecar({"defaults": {"pause_on_distressed": True, "resume": "manual"}}) as own:
        own.claim("ill", "distressed", reason="too hot")
        for path in ("/", "/ui/scope/ill"):
            assert "waits for an operator" not in own.get(path).text
        own.claim("ill", "healthy")
        for path in ("/", "/ui/scope/ill"):
            assert "The scope is well again." in own.get(path).text
            assert "the pause waits for an operator, or for its end." in own.get(path).text


def test_the_page_warns_of_faults_of_the_sidecar() -> None:
    config = {
        "alerts": {"watchdog": {"alertname": "Watchdog", "timeout_secs": 1}},
        "engines": [{"scope": "e", "kind": "vllm", "url": "http://127.0.0.1:1", "name": "gpu-7"}],
    }
    with Sidecar(config) as own:
        text = own.get("/").text
        assert "alert Watchdog was never received" in text
        assert "out of sync with their gates: gpu-7" in text
        assert "Nothing is paused, 1 engine out of sync" in summary(text)
        assert "1 other warning" in summary(text)
        assert "<title>open, 1 out of sync: wellbeing</title>" in text
        assert "The engine" in own.get("/ui/scope/e").text
        watchdog = {
            "status": "firing", "labels": {"alertname": "Watchdog"}, "annotations": {},
            "startsAt": "2026-01-01T00:00:00Z", "fingerprint": "00ff",
        }  # fmt: skip
        own.session.post(f"{own.url}/v1/alerts", json={"version": "4", "alerts": [watchdog]}, timeout=30)
        own.wait_for_metric("wellbeing_blind", 1)
        text = own.get("/").text
        assert "Nothing is paused, blind, 1 engine out of sync" in summary(text)
        assert "warning" not in summary(text), "both are said already"
        assert "<title>open, blind, 1 out of sync: wellbeing</title>" in text


def test_the_page_stays_usable_with_twenty_thousand_scopes() -> None:
    started = "2026-01-01T00:00:00Z"
    with Sidecar() as own:
        for half in range(2):
            alerts = [
                {"status": "firing", "labels": {"alertname": "A", "wellbeing": "cautious", "wellbeing_scope": f"many/{n}"},
                 "annotations": {}, "startsAt": started, "fingerprint": f"{n:016x}"}
                for n in range(half * 9_990, (half + 1) * 9_990)
            ]  # fmt: skip
            answer = own.session.post(
                f"{own.url}/v1/alerts", json={"version": "4", "alerts": alerts}, timeout=60
            )
            assert answer.status_code == 200, answer.text
        own.pause("many", reason="all of them")
        began = time.monotonic()
        text = own.get("/").text
        print(f"20,000 scopes: {time.monotonic() - began:.2f} s, {len(text):,} bytes")
        files = sum(len(own.get(f"/ui/{name}").content) for name in ("page.css", "page.js"))
        assert len(text) + files < 60_000
        assert "closes 19,980 scopes inside" in text
        assert "Page 1 of 400" in text
        last = own.get("/?page=400").text
        assert last.count('<li class="row') == 31
        seen = set(re.findall(r'<li class="row[^>]*data-key="([^"]+)"', own.get("/?page=2").text))
        assert seen.isdisjoint(re.findall(r'<li class="row[^>]*data-key="([^"]+)"', text))
        assert "This stops 1 open scope" in own.get("/ui/pause").text


@pytest.mark.parametrize("path", ["/", "/ui/scope/g"])
def test_the_cyclic_garbage_of_a_page_does_not_grow_with_the_scopes(path: str) -> None:
    scopes, pages = 2_000, 5
    policies = [{"match": f"g/m/{number}"} for number in range(scopes)]

    def collected(own: Sidecar) -> float:
        return sum(own.metric(f'python_gc_objects_collected_total{{generation="{one}"}}') for one in range(3))

    with Sidecar({"policies": policies}) as own:
        # The first page loads modules.
        assert own.get(path, headers=HTML).status_code == 200
        before = collected(own)
        for _ in range(pages):
            assert own.get(path, headers=HTML).status_code == 200
        # A long list of other objects makes the collections run that were due.
        own.status(below="true")
        assert collected(own) - before < pages * scopes
