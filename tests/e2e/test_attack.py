"""The short form of `make attack`: the attacks run, and an honest worker is served throughout."""

from __future__ import annotations

import pytest

from bench import attack


def test_an_honest_worker_is_served_during_each_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attack, "LASTS_SECS", 6.0)
    figures = attack.run(0.01)
    assert [one.attack for one in figures] == list(attack.ATTACKS)
    # The run ends with an error at any response other than 200.
    assert all(one.requests > 10 for one in figures)
