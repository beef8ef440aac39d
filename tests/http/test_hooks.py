"""Hooks: each event arrives at least once and in order, despite any failure of the sidecar or the
endpoint."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from harness.ports import free_port
from harness.process import eventually, eventually_equal
from harness.receivers import GrafanaReceiver, Receiver, SlackReceiver
from harness.sidecar import Sidecar
from harness.tls import certify

HOSTILE = 'a "quote", <!channel> <http://evil|click> & \x1b[31m \u202e {{ 7*7 }} \n' + "x" * 300
SERIES = 'wellbeing_hook_deliveries_total{{hook="{}",result="{}"}}'


def hook(receiver: Receiver | str, **more) -> dict:
    url = receiver if isinstance(receiver, str) else receiver.url + "/hook"
    return {"name": "one", "url": url, "timeout_secs": 10, "events": ["pause", "resume"], **more}


def arrived(receiver: Receiver, count: int) -> None:
    eventually(lambda: len(receiver.received) >= count, f"{count} requests arrive")


def dropped(own: Sidecar, name: str) -> float:
    return own.metric(SERIES.format(name, "dropped"))


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def test_the_cloud_events_sdk_parses_the_events() -> None:
    with Receiver() as receiver:
        config = {
            "external_url": "https://gate.example/x/",
            "hooks": [hook(receiver, headers={"X-Own": "1"})],
        }
        with Sidecar(config) as own:
            own.pause("team-a/llama", HOSTILE)
            own.resume("team-a/llama")
            arrived(receiver, 2)
        pause, resume = (from_http_event(HTTPMessage(one.headers, one.body)) for one in receiver.received)
    assert (pause.get_type(), resume.get_type()) == ("wellbeing.pause", "wellbeing.resume")
    assert pause.get_specversion() == "1.0"
    assert (pause.get_subject(), pause.get_source()) == ("team-a/llama", "https://gate.example/x")
    assert pause.get_id() != resume.get_id()
    data = pause.get_data()
    assert (data["scope"], data["cause"]) == ("team-a/llama", "manual")
    assert data["reason"].startswith('a "quote", <!channel> <http://evil|click> &')
    assert data["link"] == "https://gate.example/x/?scope=team-a%2Fllama"
    assert data["until"] > data["at"]
    assert receiver.received[0].headers["x-own"] == "1"


def test_slack_accepts_the_message_and_its_markup_is_escaped() -> None:
    with SlackReceiver() as slack:
        with Sidecar({"hooks": [hook(slack, format="slack")]}) as own:
            own.pause("team-a", HOSTILE, max_pause_secs=0)
            own.resume("team-a")
            arrived(slack, 2)
            assert own.metric(SERIES.format("one", "retried")) == 0
        shown = json.dumps(slack.received[0].json())
    for part in ("team-a is paused", "quote", "an operator resumes", "?scope=team-a"):
        assert part in shown
    assert "<!" not in shown
    assert "<http://evil" not in shown
    assert "\\u001b" not in shown


def test_grafana_has_one_region_from_the_pause_to_the_resume(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("grafana-token\n")
    port = free_port()
    with GrafanaReceiver(port) as grafana:
        config = {
            "name": "grafana",
            "url": grafana.url + "/grafana/",
            "format": "grafana",
            "token_file": str(tmp_path / "token"),
            "events": ["pause", "resume"],
        }
        with Sidecar({"hooks": [config]}, store="sqlite:state.db", folder=tmp_path) as own:
            grafana.lose_next_answer = True
            began = own.pause("team-a", HOSTILE)["since"]
            own.wait_for_metric(SERIES.format("grafana", "delivered"), 1)
            own.kill()
            own.restart()
            own.resume("team-a")
            eventually(lambda: "timeEnd" in grafana.annotations[1], "the region ends")
        assert list(grafana.annotations) == [1]
        [region] = grafana.annotations.values()
    assert region["tags"] == ["wellbeing", "pause", "scope:team-a"]
    assert region["timeEnd"] >= region["time"]
    assert "<!channel>" not in region["text"]
    assert began


def test_events_arrive_in_order_after_a_kill_and_an_outage_of_the_endpoint(tmp_path: Path) -> None:
    port = free_port()
    config = {"hooks": [hook(f"http://127.0.0.1:{port}/hook")]}
    with Sidecar(config, store="sqlite:state.db", folder=tmp_path) as own:
        scopes = [f"s{number}" for number in range(6)]
        for scope in scopes[:3]:
            own.pause(scope)
        own.wait_log("hook_failed")
        own.kill()
        own.restart()
        for scope in scopes[3:]:
            own.pause(scope)
        with Receiver(port) as receiver:
            arrived(receiver, 6)
            assert receiver.events() == [("pause", scope) for scope in scopes]
            own.kill()
            own.restart()
            own.pause("last")
            eventually(lambda: ("pause", "last") in receiver.events(), "the last one arrives")
            ids = [one.json()["id"] for one in receiver.received]
            assert list(dict.fromkeys(ids)) == sorted(set(ids), key=ids.index)
            assert len(set(ids)) == 7


def test_a_hook_that_hangs_delays_neither_the_gate_nor_another_hook() -> None:
    with Receiver() as hangs, Receiver() as other:
        hangs.open.clear()
        hooks = [hook(hangs, timeout_secs=0.5), hook(other, name="other")]
        with Sidecar({"hooks": hooks}) as own:
            for number in range(5):
                own.pause(f"s{number}")
            arrived(other, 5)
            assert own.gate("open", wait=0).status_code == 200
            assert own.metric('wellbeing_hook_pending{hook="one"}') == 5
            hangs.open.set()
            eventually_equal(lambda: len(set(hangs.events())), 5, "it catches up")


def test_above_the_limit_the_oldest_events_are_dropped_and_counted() -> None:
    with Receiver() as receiver:
        receiver.status = 503
        with Sidecar({"hooks": [hook(receiver, max_pending=3)]}) as own:
            for number in range(10):
                own.pause(f"s{number}")
            own.wait_log("hook_events_dropped")
            eventually(lambda: dropped(own, "one") >= 6, "the oldest are dropped")
            receiver.received.clear()
            receiver.status = 200
            # The event that is being delivered is not dropped, so three or four arrive.
            eventually_equal(
                lambda: dropped(own, "one") + (own.metric(SERIES.format("one", "delivered")) or 0),
                10,
                "each event is either delivered or dropped",
            )
            own.wait_for_metric('wellbeing_hook_pending{hook="one"}', 0)
            accepted = list(dict.fromkeys(receiver.events()))[-3:]
            assert accepted == [("pause", f"s{number}") for number in (7, 8, 9)]


def test_repeatedly_refused_content_does_not_block_later_events() -> None:
    class Picky(Receiver):
        def answer(self, request) -> tuple[int, bytes]:
            return (422, b"no") if request.json()["scope"] == "bad" else (200, b"ok")

    template = '{"scope": {{ scope | tojson }}, "from": {{ data["from"] | tojson }}}'
    with Picky() as receiver:
        config = hook(
            receiver, format="template", template=template, method="PUT", content_type="application/json"
        )
        with Sidecar({"hooks": [config]}) as own:
            own.pause("bad")
            own.pause("good")
            own.wait_for_metric(SERIES.format("one", "retried"), 2)
            assert own.metric('wellbeing_hook_pending{hook="one"}') == 2
            assert all(one.method == "PUT" for one in receiver.received)


def test_a_redirect_is_not_followed_and_no_secret_is_logged(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("")
    (tmp_path / "token").write_text("t0ken-s3cret")
    with Receiver() as target, Receiver() as receiver:
        (tmp_path / "url").write_text(receiver.url + "/services/s3cret-path\n")
        receiver.status, receiver.fields = 307, {"Location": target.url + "/inside"}
        config = {
            **hook("", format="slack", token_file=str(tmp_path / "token"), token_header="X-Api-Key"),
            "url_file": str(tmp_path / "url"),
        }
        del config["url"]
        with Sidecar({"hooks": [config]}) as own:
            own.pause("a")
            assert "redirect" in own.wait_log("hook_failed")["error"]
            assert receiver.received[0].path == "/services/s3cret-path"
            assert receiver.received[0].headers["x-api-key"] == "t0ken-s3cret"
            (tmp_path / "url").write_text("http://127.0.0.1:1/services/s3cret-path")
            own.wait_for_metric(SERIES.format("one", "retried"), 3)
            text = "".join(own.lines) + own.get("/metrics").text + json.dumps(own.status())
        assert target.received == []
        assert "s3cret" not in text


def test_a_reload_adds_changes_and_removes_hooks(tmp_path: Path) -> None:
    with Receiver() as first, Receiver() as second, Sidecar({}) as own:
        own.pause("before")
        own.configure({"hooks": [hook("http://127.0.0.1:1/")]})
        own.ok_reload()
        own.pause("a")
        own.wait_log("hook_failed")
        own.configure({"hooks": [hook(first), hook(second, name="two", scope="b/c", events=["pause"])]})
        own.ok_reload()
        arrived(first, 1)
        assert first.events() == [("pause", "a")]
        for scope in ("b", "b/c/d", "x"):
            own.pause(scope)
        own.resume("b/c/d")
        arrived(first, 5)
        # A pause of an ancestor closes the gates of b/c, too.
        assert second.events() == [("pause", "b"), ("pause", "b/c/d")]
        own.configure({"hooks": [hook(first)]})
        own.ok_reload()
        own.pause("y")
        arrived(first, 6)
        assert len(second.received) == 2
        assert 'hook="two"' not in own.get("/metrics").text


def test_blindness_a_lost_store_and_interventions_are_sent(tmp_path: Path) -> None:
    events = ["intervention", "store_down", "store_up", "pause"]
    with (
        Receiver() as receiver,
        Sidecar({"hooks": [hook(receiver, events=events)]}, store="sqlite:state.db", folder=tmp_path) as own,
    ):
        own.claim("a", "concerned")
        arrived(receiver, 1)
        resource.prlimit(own.worker_pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        answer = own.session.post(f"{own.url}/v1/pause/b", json={"reason": "x"}, timeout=30)
        assert answer.status_code == 503
        arrived(receiver, 2)
        assert receiver.events()[-1] == ("store_down", "")
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(own.worker_pid, resource.RLIMIT_FSIZE, unlimited)
        arrived(receiver, 3)
        own.pause("c")
        arrived(receiver, 4)
    told = [("intervention", "a"), ("store_down", ""), ("store_up", ""), ("pause", "c")]
    assert receiver.events() == told


def test_tls_and_proxies_are_used_only_as_configured(tmp_path: Path) -> None:
    certify(tmp_path)
    with Receiver(certificate=tmp_path / "cert.pem") as secure, Receiver() as proxy:
        hooks = [
            hook(secure, name="trusted", ca_file=str(tmp_path / "cert.pem")),
            hook(secure, name="untrusted"),
            hook("http://hook.example/x", name="proxied", proxy_url=proxy.url),
        ]
        environ = {"HTTPS_PROXY": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
        with Sidecar({"hooks": hooks}, env=environ) as own:
            own.pause("a")
            arrived(secure, 1)
            arrived(proxy, 1)
            own.wait_for_metric(SERIES.format("untrusted", "retried"), 1)
            assert len(secure.received) == 1
            assert proxy.received[0].path == "http://hook.example/x"


def hook_test(config: dict, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess:
    (tmp_path / "sidecar.yaml").write_text(json.dumps(config))
    command = [sys.executable, "-m", "sidecar", "hook-test", "--config", str(tmp_path / "sidecar.yaml")]
    root = Path(__file__).parents[2]
    return subprocess.run(
        [*command, *arguments], check=False, capture_output=True, text=True, cwd=root, timeout=60
    )


def test_hook_test_sends_sample_events_and_reports_what_failed(tmp_path: Path, receiver: Receiver) -> None:
    config = {"hooks": [hook(receiver), hook("http://127.0.0.1:1/s3cret", name="dead")]}
    done = hook_test(config, tmp_path, "one")
    assert (done.returncode, done.stdout) == (0, "pause: delivered\nresume: delivered\n"), done.stderr
    assert receiver.received[-1].json()["data"]["test"] is True
    sent = len(receiver.received)
    done = hook_test(config, tmp_path, "one", "--event", "blind", "--dry-run")
    assert done.returncode == 0
    assert "wellbeing.blind" in done.stdout
    assert len(receiver.received) == sent
    done = hook_test(config, tmp_path, "dead", "--event", "pause")
    assert done.returncode == 1
    assert "refused" in done.stderr
    assert "s3cret" not in done.stderr
    done = hook_test(config, tmp_path, "on")
    assert done.returncode == 1
    assert "did you mean one?" in done.stderr
