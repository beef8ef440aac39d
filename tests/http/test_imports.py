"""Imported counts and states of another controller."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.engines import EngineStub
from harness.process import eventually_equal
from harness.sidecar import Sidecar

COUNTS = {
    "interventions_total": 10,
    "pauses_total": 4,
    "resumes_total": 3,
    "requests_blocked": 20,
    "requests_waited": 12,
    "requests_timed_out": 5,
    "current_pause_duration_secs": 7.5,
}


@pytest.fixture
def origin() -> Iterator[EngineStub]:
    with EngineStub("import") as stub:
        stub.values = {**COUNTS, "state": "healthy", "paused": True}
        yield stub


def start(origin: EngineStub, **more) -> Sidecar:
    one = {"scope": "old/server", "url": f"{origin.url}/metrics", "name": "old", "interval_secs": 0.1, **more}
    return Sidecar({"defaults": {"pause_on_distressed": True}, "imports": [one]})


def counted(own: Sidecar) -> tuple[int, ...]:
    counters = own.counters("old/server")
    names = ("interventions_total", "pauses_total", "resumes_total", "requests_total", "requests_blocked")
    names += ("requests_waited", "requests_timed_out", "requests_abandoned", "waiters")
    return tuple(counters[name] for name in names)


UP = 'wellbeing_import_up{import="old",scope="old/server"}'


def test_only_new_counts_are_added_and_the_origins_waiters_are_shown(origin: EngineStub) -> None:
    with start(origin) as own:
        own.wait_for_metric(UP, 1)
        assert counted(own) == (0, 0, 0, 3, 3, 0, 0, 0, 3)
        origin.values |= {
            "interventions_total": 12,
            "pauses_total": 5,
            "requests_blocked": 25,
            "requests_waited": 19,
        }
        eventually_equal(lambda: counted(own), (2, 1, 0, 8, 8, 7, 0, 0, 1), "the difference is counted")
        assert own.metric('wellbeing_pauses_total{cause="imported",scope="old/server"}') == 1
        assert own.metric('wellbeing_current_pause_duration_seconds{scope="old/server"}') == 7.5
        assert own.metric('wellbeing_import_paused{import="old",scope="old/server"}') == 1
        assert own.status("old/server")["gate"] == "open", "its pause is its own"


def test_counts_that_decreased_mean_a_restart(origin: EngineStub) -> None:
    with start(origin) as own:
        own.wait_for_metric(UP, 1)
        origin.values = {
            **dict.fromkeys(COUNTS, 0),
            "requests_blocked": 2,
            "requests_waited": 1,
            "pauses_total": 1,
        }
        eventually_equal(
            lambda: counted(own), (0, 1, 0, 5, 5, 1, 0, 3, 1), "it started again, without its waiters"
        )
        assert len(own.logs("import_restarted")) == 1


def claims(own: Sidecar) -> list[tuple[str, str, str]]:
    status = own.status("old/server")
    return [(status["gate"], signal["source"], signal["reason"]) for signal in status["signals"]]


def test_the_origins_state_is_a_claim_that_ends_with_the_origin(origin: EngineStub) -> None:
    with start(origin) as own:
        own.wait_for_metric(UP, 1)
        assert own.status("old/server")["signals"] == []
        origin.values |= {"state": "Distressed", "reason": "loops without progress"}
        # The claim ends after three intervals without a reading, which a busy machine may need.
        claimed = [("closed", "agent:old", "loops without progress")]
        eventually_equal(lambda: claims(own), claimed, "its state is a claim, which closes the gate")
        origin.values["state"] = "healthy"
        own.wait_for_gate("old/server", "open")
        origin.values["state"] = "distressed"
        own.wait_for_gate("old/server", "closed")
        origin.stop()
        own.wait_for_gate("old/server", "open")
        eventually_equal(lambda: own.metric(UP), 0, "it is seen to be gone")
        eventually_equal(lambda: counted(own)[-1], 0, "who waited there is gone")
        assert len(own.logs("import_down")) == 1
        origin.start()
        own.wait_for_metric(UP, 1)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([], "not a count"),
        ({"requests_blocked": -1}, "requests_blocked is not a count"),
        ({"requests_blocked": "20"}, "requests_blocked is not a count"),
        ({**COUNTS, "requests_waited": 30}, "more than blocked"),
        ({**COUNTS, "state": "sad"}, "sad"),
        ({**COUNTS, "paused": "yes"}, "paused"),
        ({**COUNTS, "current_pause_duration_secs": "long"}, "current_pause_duration_secs"),
    ],
)
def test_impossible_values_are_reported_and_not_counted(origin: EngineStub, values, what: str) -> None:
    origin.values = values
    with start(origin) as own:
        assert what in own.wait_log("import_down")["error"]
        assert counted(own) == (0,) * 9
        origin.values = dict(COUNTS)
        own.wait_for_metric(UP, 1)


def test_fields_are_found_by_their_dotted_path(origin: EngineStub) -> None:
    names = {name: f"wellbeing.metrics.{name}" for name in COUNTS}
    origin.values = {"wellbeing": {"metrics": {**COUNTS}, "mood": "CAUTIOUS"}}
    with start(origin, fields={**names, "state": "wellbeing.mood", "paused": ""}) as own:
        own.wait_for_metric(UP, 1)
        eventually_equal(lambda: own.status("old/server")["state"], "cautious", "its state is told")
        assert "wellbeing_import_paused{" not in own.get("/metrics").text
