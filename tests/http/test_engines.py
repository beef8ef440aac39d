"""The engines' own pauses follow their gates, whatever the engines do. No gate waits for an engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.engines import EngineStub
from harness.process import eventually
from harness.sidecar import Sidecar
from sidecar.config import EngineConfig
from sidecar.engines.driver import DriverFailed, EngineHttp
from sidecar.engines.dynamo import DynamoDriver
from sidecar.engines.litellm import LiteLlmDriver

KINDS = ("vllm", "sglang", "ray", "litellm", "dynamo", "http")
HTTP = {
    "pause": {"method": "PUT", "path": "/switch/off", "body": {"why": "gate"}},
    "resume": {"method": "PUT", "path": "/switch/on"},
    "asked_path": "/switch",
    "asked_member": "switch.off",
}


def config(kind: str, stub: EngineStub, **more) -> dict:
    engine = {
        "scope": kind,
        "kind": kind,
        "url": stub.url,
        "name": kind,
        "check_secs": 0.3,
        "timeout_secs": 0.5,
    }
    if kind == "http":
        engine |= HTTP
    if kind in ("ray", "litellm"):
        engine["model"] = "m"
    return {**engine, **more}


@pytest.fixture(scope="module")
def stubs() -> Iterator[dict[str, EngineStub]]:
    stubs = {kind: EngineStub(kind) for kind in KINDS}
    yield stubs
    for stub in stubs.values():
        stub.stop()


@pytest.fixture(scope="module")
def own(stubs: dict[str, EngineStub]) -> Iterator[Sidecar]:
    engines = [config(kind, stub) for kind, stub in stubs.items()]
    engines[0]["sleep_after_secs"] = 600
    with Sidecar({"defaults": {"max_pause_secs": 0}, "engines": engines}) as own:
        yield own


def in_sync(own: Sidecar, kind: str) -> bool:
    names = f'{{engine="{kind}",scope="{kind}"}}'
    closed = own.status(kind)["gate"] == "closed"
    # From one exposition: between two, the connection to the engine may have been lost.
    lines = own.get("/metrics").text.splitlines()
    said = {f"wellbeing_engine_in_sync{names} 1.0", f"wellbeing_engine_paused{names} {float(closed)}"}
    return said <= set(lines)


def agree(own: Sidecar, kind: str, stub: EngineStub, *, paused: bool) -> None:
    eventually(lambda: stub.paused is paused and in_sync(own, kind), f"{kind} is {paused=} and in sync")


@pytest.mark.parametrize("kind", KINDS)
def test_an_engine_is_paused_and_resumed_with_its_gate(own: Sidecar, stubs, kind: str) -> None:
    stub = stubs[kind]
    agree(own, kind, stub, paused=False)
    own.pause(kind)
    agree(own, kind, stub, paused=True)
    own.resume(kind)
    agree(own, kind, stub, paused=False)
    entries = own.get(f"/v1/history/{kind}", params={"kind": "engine"}).json()["entries"]
    # An engine that does not report whether it is paused was resumed at the start.
    assert [entry["to"] for entry in entries][:2] == ["running", "paused"]
    assert {entry["source"] for entry in entries} == {f"engine:{kind}"}


@pytest.mark.parametrize("kind", KINDS)
def test_an_engine_that_forgets_its_pause_by_a_restart_is_paused_again(
    own: Sidecar, stubs, kind: str
) -> None:
    stub = stubs[kind]
    own.pause(kind)
    agree(own, kind, stub, paused=True)
    stub.stop()
    eventually(lambda: not in_sync(own, kind), "it is seen to be gone")
    stub.start()
    agree(own, kind, stub, paused=True)
    own.resume(kind)
    agree(own, kind, stub, paused=False)


@pytest.mark.parametrize("fault", ["refuse", "slow"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_engine_that_refuses_or_is_slow_delays_no_gate_and_is_in_sync_later(
    own, stubs, kind, fault
) -> None:
    stub = stubs[kind]
    stub.fault = fault
    try:
        own.pause(kind)
        assert own.gate(kind, wait=0).status_code == 503
        eventually(lambda: not in_sync(own, kind), "it is seen to disagree")
        own.resume(kind)
        assert own.gate(kind, wait=0).status_code == 200
        own.pause(kind)
        failed = (
            f'wellbeing_engine_requests_total{{action="ask",engine="{kind}",result="failed",scope="{kind}"}}'
        )
        own.wait_for_metric(failed, own.metric(failed) + 1)
    finally:
        stub.fault = ""
    agree(own, kind, stub, paused=True)
    own.resume(kind)
    agree(own, kind, stub, paused=False)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unreachable_engine_has_an_unknown_state(own: Sidecar, stubs, kind: str) -> None:
    stub = stubs[kind]
    own.pause(kind)
    agree(own, kind, stub, paused=True)
    stub.fault = "refuse"
    known = f'wellbeing_engine_paused{{engine="{kind}",scope="{kind}"}}'
    try:
        eventually(lambda: known not in own.get("/metrics").text, "it is no longer said to be paused")
        # Nor is it in sync when the gate opens and the engine cannot be reached.
        own.resume(kind)
        eventually(lambda: not in_sync(own, kind), "it is seen to disagree")
        assert known not in own.get("/metrics").text
    finally:
        stub.fault = ""
    agree(own, kind, stub, paused=False)


def test_an_engine_without_a_status_route_is_paused_again_after_it_was_unreachable(
    own: Sidecar, stubs
) -> None:
    stub = stubs["sglang"]
    own.pause("sglang")
    agree(own, "sglang", stub, paused=True)
    stub.fault = "refuse"
    eventually(lambda: not in_sync(own, "sglang"), "it is seen to be out of reach")
    # It may have been restarted meanwhile, and not be ready for another reason.
    told = [path for _, path, _ in stub.requests].count("/pause_generation")
    stub.fault = ""
    agree(own, "sglang", stub, paused=True)
    assert [path for _, path, _ in stub.requests].count("/pause_generation") > told
    own.resume("sglang")
    agree(own, "sglang", stub, paused=False)


def test_an_engine_that_accepts_a_pause_without_pausing_is_out_of_sync(own: Sidecar, stubs) -> None:
    stub = stubs["vllm"]
    stub.fault = "lie"
    own.pause("vllm")
    eventually(lambda: own.logs("engine_failed") and not in_sync(own, "vllm"), "it is found out")
    stub.fault = ""
    agree(own, "vllm", stub, paused=True)
    own.resume("vllm")
    agree(own, "vllm", stub, paused=False)


def test_after_fast_changes_the_engine_has_the_state_of_the_gate(own: Sidecar, stubs) -> None:
    for _ in range(15):
        own.pause("vllm")
        own.resume("vllm")
    own.pause("vllm")
    agree(own, "vllm", stubs["vllm"], paused=True)
    own.resume("vllm")
    agree(own, "vllm", stubs["vllm"], paused=False)


def test_modes_are_sent_in_the_terms_of_each_engine() -> None:
    with EngineStub("vllm") as vllm, EngineStub("sglang") as sglang, EngineStub("ray") as ray:
        engines = [
            config("vllm", vllm, mode="abort"),
            config("sglang", sglang),
            config("ray", ray, mode="wait"),
        ]
        with Sidecar({"engines": engines}) as own:
            for kind, stub in (("vllm", vllm), ("sglang", sglang), ("ray", ray)):
                own.pause(kind)
                agree(own, kind, stub, paused=True)
        assert ("POST", "/pause?mode=abort&clear_cache=false", None) in vllm.requests
        assert ("POST", "/pause_generation", {"mode": "in_place"}) in sglang.requests
        body = {"model": "m", "options": {"mode": "wait", "clear_cache": False}}
        assert ("POST", "/pause", body) in ray.requests


def test_a_paused_engine_that_is_removed_from_the_config_is_resumed() -> None:
    with EngineStub("vllm") as stub, Sidecar({"engines": [config("vllm", stub)]}) as own:
        own.pause("vllm")
        agree(own, "vllm", stub, paused=True)
        own.configure({})
        own.ok_reload()
        eventually(lambda: not stub.paused, "it is resumed, though the gate is closed")
        own.wait_log("engine_released")
        assert "wellbeing_engine_in_sync{" not in own.get("/metrics").text
        entries = own.get("/v1/history/vllm", params={"kind": "engine"}).json()["entries"]
        assert entries[0]["reason"] == "it is no longer in the config"
        own.configure({"engines": [config("vllm", stub)]})
        own.ok_reload()
        agree(own, "vllm", stub, paused=True)


def test_an_unreachable_engine_that_is_removed_from_the_config_is_resumed_later() -> None:
    with EngineStub("vllm") as stub, Sidecar({"engines": [config("vllm", stub)]}) as own:
        own.pause("vllm")
        agree(own, "vllm", stub, paused=True)
        stub.fault = "refuse"
        own.configure({})
        own.ok_reload()
        own.wait_log("engine_failed")
        assert stub.paused
        stub.fault = ""
        eventually(lambda: not stub.paused, "it is tried again")


def test_a_new_url_resumes_the_old_engine_and_pauses_the_new_one() -> None:
    with (
        EngineStub("vllm") as old,
        EngineStub("vllm") as new,
        Sidecar({"engines": [config("vllm", old)]}) as own,
    ):
        own.pause("vllm")
        agree(own, "vllm", old, paused=True)
        own.configure({"engines": [config("vllm", new)]})
        own.ok_reload()
        agree(own, "vllm", new, paused=True)
        eventually(lambda: not old.paused, "the old one is let go")


def test_an_engine_with_changed_settings_and_the_same_url_stays_paused() -> None:
    with EngineStub("vllm") as stub, Sidecar({"engines": [config("vllm", stub)]}) as own:
        own.pause("vllm")
        agree(own, "vllm", stub, paused=True)
        own.configure({"engines": [config("vllm", stub, check_secs=0.2)]})
        own.ok_reload()
        agree(own, "vllm", stub, paused=True)
        assert ("POST", "/resume", None) not in stub.requests


def test_an_engine_that_was_never_paused_is_not_resumed_when_it_is_removed_from_the_config() -> None:
    with EngineStub("vllm") as stub, Sidecar({"engines": [config("vllm", stub)]}) as own:
        agree(own, "vllm", stub, paused=False)
        own.configure({})
        own.ok_reload()
        asked = len(stub.requests)
        own.pause("vllm")
        own.resume("vllm")
        assert len(stub.requests) == asked


def test_an_engine_stays_paused_over_a_restart_of_the_sidecar() -> None:
    settings = {"engines": [config("vllm", stub := EngineStub("vllm"))]}
    with stub, Sidecar(settings, store="sqlite:state.db") as own:
        own.pause("vllm")
        agree(own, "vllm", stub, paused=True)
        own.stop()
        assert stub.paused
        own.restart()
        agree(own, "vllm", stub, paused=True)
        own.resume("vllm")
        agree(own, "vllm", stub, paused=False)


def test_an_engine_is_resumed_when_the_sidecar_has_forgotten_the_pause() -> None:
    with EngineStub("vllm") as stub, Sidecar({"engines": [config("vllm", stub)]}) as own:
        own.pause("vllm")
        agree(own, "vllm", stub, paused=True)
        own.kill()
        own.restart()
        agree(own, "vllm", stub, paused=False)


def test_vllm_sleeps_in_a_long_pause_and_is_woken_before_it_is_resumed() -> None:
    with (
        EngineStub("vllm") as stub,
        Sidecar({"engines": [config("vllm", stub, sleep_after_secs=0.1)]}) as own,
    ):
        own.pause("vllm")
        names = '{engine="vllm",scope="vllm"}'
        own.wait_for_metric(f"wellbeing_engine_asleep{names}", 1)
        agree(own, "vllm", stub, paused=True)
        assert ("POST", "/sleep?level=1&mode=keep", None) in stub.requests
        # A restart has lost pause and sleep: the sidecar pauses it and puts it to sleep again.
        slept = own.metric(
            'wellbeing_engine_requests_total{action="sleep",engine="vllm",result="ok",scope="vllm"}'
        )
        stub.stop()
        stub.start()
        own.wait_for_metric(
            'wellbeing_engine_requests_total{action="sleep",engine="vllm",result="ok",scope="vllm"}',
            slept + 1,
        )
        assert stub.asleep
        # Without the key, the sidecar wakes it nevertheless.
        own.configure({"engines": [config("vllm", stub)]})
        own.ok_reload()
        own.resume("vllm")
        agree(own, "vllm", stub, paused=False)
        assert not stub.asleep
        entries = own.get("/v1/history/vllm", params={"kind": "engine"}).json()["entries"]
        assert [entry["to"] for entry in entries][-2:] == ["asleep", "paused"]


def test_litellm_blocks_every_deployment_of_the_group(own: Sidecar, stubs) -> None:
    stub = stubs["litellm"]
    agree(own, "litellm", stub, paused=False)
    stub.requests.clear()
    own.pause("litellm")
    agree(own, "litellm", stub, paused=True)
    orders = [body["model_id"] for method, path, body in stub.requests if path == "/model/block"]
    assert sorted(orders) == ["a", "b"]
    # A deployment that is added later is blocked, too.
    stub.deployments["late"] = False
    eventually(lambda: stub.deployments["late"], "it is blocked")
    own.resume("litellm")
    agree(own, "litellm", stub, paused=False)
    assert not any(stub.deployments.values())
    del stub.deployments["late"]


@pytest.mark.parametrize(
    ("model", "said"),
    [("unknown", "there is no model unknown"), ("from-config", "not in LiteLLM.s database")],
)
def test_a_model_that_litellm_cannot_block_is_reported(stubs, model: str, said: str) -> None:
    driver = LiteLlmDriver(
        EngineHttp(EngineConfig("e", "", "litellm", stubs["litellm"].url)),
        EngineConfig("e", "", "litellm", "", model=model),
    )
    with pytest.raises(DriverFailed, match=said):
        driver.is_paused()


def test_dynamo_gets_the_terms_of_its_backend_and_a_failure_inside_a_200_is_a_failure() -> None:
    class Answers:
        def __init__(self) -> None:
            self.sent: list[tuple[str, object]] = []

        def call(self, method: str, path: str, body: object = None) -> object:
            self.sent.append((path, body))
            return {"status": "error", "message": "active LoRA"} if "keep" in str(body) else {"status": "ok"}

    answers = Answers()
    sglang = DynamoDriver(answers, EngineConfig("e", "", "dynamo", "", mode="in_place"))
    sglang.set_paused(paused=True)
    sglang.set_paused(paused=False)
    assert answers.sent == [
        ("/engine/pause_generation", {"mode": "in_place"}),
        ("/engine/continue_generation", {}),
    ]
    with pytest.raises(DriverFailed, match="active LoRA"):
        DynamoDriver(answers, EngineConfig("e", "", "dynamo", "")).set_paused(paused=True)
