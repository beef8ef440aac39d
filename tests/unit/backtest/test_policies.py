from __future__ import annotations

import pytest

from sidecar.backtest.policies import observes_only, pausing, settings_of
from sidecar.config import Config
from sidecar.core.policy import Policy, PolicyTable, TrialPolicy
from sidecar.core.state import WellbeingState

TABLE = PolicyTable(
    Policy(),
    (("a", Policy(pause_on_concerned=True)), ("b", Policy(enabled=False)), ("c", Policy(max_pause_secs=7))),
    ("d",),
)


def test_a_policy_that_observes_is_assumed_to_pause_and_nothing_else_changes() -> None:
    assumed = pausing(TABLE)
    assert assumed.policy_for("x") == Policy(pause_on_distressed=True)
    assert assumed.policy_for("a") == TABLE.policy_for("a")
    assert assumed.policy_for("b/c") == Policy(enabled=False)
    assert assumed.policy_for("c") == Policy(pause_on_distressed=True, max_pause_secs=7)
    assert set(assumed.named_scopes()) == set(TABLE.named_scopes())


@pytest.mark.parametrize(
    ("scope", "observes"), [("x", True), ("a", False), ("a/b", False), ("b", True), ("c", True)]
)
def test_the_scopes_that_the_config_pauses_are_known(scope: str, observes: bool) -> None:
    assert observes_only(TABLE, scope) is observes


def test_settings_list_the_differences_from_the_defaults() -> None:
    settings = settings_of(Config(policies=TABLE))
    assert settings["defaults.pause_on_distressed"] == "false"
    assert settings["policies[a].pause_on_concerned"] == "true"
    assert settings["policies[c].max_pause_secs"] == "7"
    assert "policies[c].min_pause_secs" not in settings
    assert settings["alerts.rules"] == "built-in"


def test_restrictions_and_trials_are_printed_in_words() -> None:
    restrict = ((WellbeingState.CONCERNED, 20.0), (WellbeingState.DISTRESSED, 2.5))
    policy = Policy(restrict=restrict, resume_trial=TrialPolicy(5, 30.0))
    settings = settings_of(Config(policies=PolicyTable(policy)))
    assert settings["defaults.restrict"] == "concerned 20/s, distressed 2.5/s"
    assert settings["defaults.resume_trial"] == "5 requests, 30 s"
    assert settings["defaults.mute_time_intervals"] == "none"
