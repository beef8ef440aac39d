"""Which priorities starve behind a restriction."""

from __future__ import annotations

from harness.simulated_gates import SimulatedClient, SimulatedGates


def test_only_a_priority_that_waits_while_higher_ones_pass_starves() -> None:
    sim = SimulatedGates()
    sim.restrict(5)
    gate = sim.tree.root
    for _ in range(50):
        sim.ask(priority=8)
    sim.ask(priority=2)
    client = SimulatedClient(sim, 3, priority=0, pause=0.01)
    sim.loop.run(6)
    starved = gate.starved(sim.loop.now)
    assert starved.keys() == {0, 2}
    assert all(5.0 <= secs <= 6.0 for secs in starved.values())
    sim.loop.run(sim.loop.now + 7)
    assert client.admitted == 3
    assert not gate.starved(sim.loop.now)


def test_starvation_is_measured_at_the_limit_where_a_priority_waits() -> None:
    sim = SimulatedGates()
    sim.restrict(10)
    sim.restrict(5, "a")
    for _ in range(60):
        sim.ask("b", priority=9)
    sim.ask("a", priority=1)
    sim.loop.run(4)
    assert sim.tree.gates["a"].starved(sim.loop.now).keys() == {1}
    assert not sim.tree.root.starved(sim.loop.now), "only priority 9 waits there"


def test_a_request_that_waits_for_equal_ones_or_for_a_token_does_not_starve() -> None:
    sim = SimulatedGates()
    sim.restrict(0.1)
    for _ in range(5):
        sim.ask(priority=5)
    sim.loop.run(30)
    assert not sim.tree.root.starved(sim.loop.now)
