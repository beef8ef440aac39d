"""Reports of clients: each is counted once, even if it is lost or sent twice, and the conservation law
holds."""

from __future__ import annotations

import itertools

import pytest

from harness.process import eventually_equal
from harness.sidecar import Sidecar

_clients = itertools.count()


class Client:
    def __init__(self, sidecar: Sidecar, scope: str, interval: float = 60) -> None:
        self.sidecar, self.scope, self.interval = sidecar, scope, interval
        self.name = f"client-{next(_clients)}"
        self.sequence = 0
        self.acknowledged: dict = {}

    def report(
        self, requests=0, blocked=0, waited=0, timed_out=0, abandoned=0, *, again: bool = False, waits=None
    ):
        counts = {
            "requests": requests,
            "blocked": blocked,
            "waited": waited,
            "timed_out": timed_out,
            "abandoned": abandoned,
        }
        self.sequence += not again
        body = {
            "client": self.name,
            "sequence": self.sequence,
            "interval_secs": self.interval,
            **counts,
            "acknowledged": self.acknowledged,
            **({"waits": waits} if waits is not None else {}),
        }
        url = f"{self.sidecar.url}/v1/reports/{self.scope}"
        answer = self.sidecar.session.post(url, json=body, timeout=30)
        if answer.ok:
            self.acknowledged = counts
        return answer

    def counters(self) -> tuple[int, ...]:
        """requests, blocked, waited, timed out, abandoned, waiting."""
        counters = self.sidecar.counters(self.scope)
        names = ("total", "blocked", "waited", "timed_out", "abandoned")
        return (*(counters[f"requests_{name}"] for name in names), counters["waiters"])


def test_reports_are_summed_and_counted_once(sidecar: Sidecar, scope: str) -> None:
    sidecar.claim(scope, "cautious")
    one, other = Client(sidecar, scope), Client(sidecar, scope)
    assert one.report(10, 5, 1, 1, 1).json() == {"accepted": True}
    assert one.counters() == (10, 5, 1, 1, 1, 2)
    assert one.report(10, 5, 1, 1, 1, again=True).json() == {"accepted": False}
    other.report(1)
    one.report(12, 6, 4, 1, 1)
    assert one.counters() == (13, 6, 4, 1, 1, 0)


def test_an_unnamed_scopes_reports_count_at_its_nearest_ancestor(sidecar: Sidecar, scope: str) -> None:
    sidecar.claim(scope, "cautious")
    client = Client(sidecar, f"{scope}/unnamed")
    client.report(3, 2, 1)
    assert Client(sidecar, scope).counters() == (3, 2, 1, 0, 0, 1)
    sidecar.claim(client.scope, "cautious")
    client.report(4, 2, 2)
    assert Client(sidecar, scope).counters() == (4, 2, 2, 0, 0, 0), (
        "the ancestor still counts the end of a wait that it began to count"
    )
    client.report(6, 3, 2)
    assert client.counters() == (2, 1, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({}, "client: is missing"),
        ({"client": "a b", "sequence": 1}, "client: must be"),
        ({"client": "a"}, "sequence: is missing"),
        ({"client": "a", "sequence": -1}, "sequence: must be"),
        ({"client": "a", "sequence": 1, "requests": 1.5}, "requests: must be"),
        ({"client": "a", "sequence": 1, "requests": 1, "blocked": 2}, "blocked is more than requests"),
        ({"client": "a", "sequence": 1, "requests": 1, "waited": 1}, "more than blocked"),
        ({"client": "a", "sequence": 1, "acknowledged": {"x": 1}}, "acknowledged"),
        ({"client": "a", "sequence": 1, "interval_secs": 0}, "interval_secs"),
        ({"client": "a", "sequence": 1, "interval_secs": 1e6}, "interval_secs"),
    ],
)
def test_impossible_reports_are_refused(sidecar: Sidecar, scope: str, body: dict, what: str) -> None:
    answer = sidecar.session.post(f"{sidecar.url}/v1/reports/{scope}", json=body, timeout=30)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-body")
    assert what in answer.json()["detail"]


def test_decreased_counts_are_refused_and_change_nothing(sidecar: Sidecar, scope: str) -> None:
    sidecar.claim(scope, "cautious")
    client = Client(sidecar, scope)
    client.report(5, 2, 1)
    assert client.report(4, 2, 1).status_code == 400
    assert client.counters() == (5, 2, 1, 0, 0, 1)


def test_a_silent_client_counts_as_gone_and_may_return(sidecar: Sidecar, scope: str) -> None:
    sidecar.claim(scope, "cautious")
    client = Client(sidecar, scope, interval=0.1)
    gone = sidecar.metric("wellbeing_clients_gone_total")
    client.report(5, 3, 1)
    eventually_equal(client.counters, (5, 3, 1, 0, 2, 0), "the waiters of the client count as abandoned")
    assert sidecar.metric("wellbeing_clients_gone_total") > gone
    client.interval = 60
    client.report(6, 3, 3)
    assert client.counters() == (8, 5, 3, 0, 2, 0), "its waiters count as new waiters"


def test_after_a_restart_only_new_counts_are_added() -> None:
    with Sidecar() as own:
        client = Client(own, "")
        client.report(100, 10, 7)
        own.kill()
        own.session.close()
        own.restart()
        client.report(110, 12, 10)
        assert client.counters() == (13, 5, 3, 0, 0, 2), "10 new requests and the 3 that were waiting"


def test_a_client_beyond_the_limit_is_refused() -> None:
    with Sidecar({"limits": {"max_clients": 2}}) as own:
        assert [Client(own, "").report(1).status_code for _ in range(3)] == [200, 200, 503]
        assert own.counters()["requests_total"] == 2


def buckets(**by_bucket: int) -> list[int]:
    """The counts of the fifteen buckets, by the number of the bucket."""
    return [by_bucket.get(f"b{number}", 0) for number in range(15)]


def told(sidecar: Sidecar, what: str) -> float:
    return sidecar.metric(f"wellbeing_gate_wait_seconds_{what}")


def test_the_waiting_times_of_clients_are_counted_once() -> None:
    with Sidecar() as own:
        client = Client(own, "w")
        waited = {"waited": {"counts": buckets(b3=2, b14=1), "secs": 900.5}}
        assert client.report(requests=3, blocked=3, waited=3, waits=waited).ok
        assert client.report(requests=3, blocked=3, waited=3, waits=waited, again=True).ok
        assert client.report(requests=4, blocked=3, waited=3, waits=waited).ok
        assert told(own, 'count{outcome="waited"}') == 3
        assert told(own, 'sum{outcome="waited"}') == 900.5
        assert told(own, 'bucket{le="0.25",outcome="waited"}') == 2
        # A previous run of the sidecar has received these counts, so they are not counted again.
        other = Client(own, "w")
        other.acknowledged = {"requests": 9, "blocked": 9, "waited": 9}
        assert other.report(requests=9, blocked=9, waited=9, waits=waited).ok
        more = {"waited": {"counts": buckets(b3=3, b14=1), "secs": 900.7}}
        assert other.report(requests=10, blocked=10, waited=10, waits=more).ok
        assert told(own, 'count{outcome="waited"}') == 4


@pytest.mark.parametrize(
    ("waits", "what"),
    [
        ({"waited": {"counts": [1], "secs": 1}}, "waits: must have 15 counts"),
        ({"waited": {"counts": [-1] * 15}}, "counts[0]: must be a whole number"),
        ({"rejected": {"counts": [0] * 15}}, "no such member"),
        ({"waited": {"counts": 7}}, "counts: must be a list"),
    ],
)
def test_impossible_waiting_times_are_refused(sidecar: Sidecar, scope: str, waits: dict, what: str) -> None:
    answer = Client(sidecar, scope).report(requests=1, blocked=1, waited=1, waits=waits)
    assert answer.status_code == 400
    assert what in answer.json()["detail"]
