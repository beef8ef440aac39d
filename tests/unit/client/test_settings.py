"""The valid values of the client's settings."""

from __future__ import annotations

import pytest

from sidecar.client import Settings
from sidecar.client.wsgi import GateMiddleware


@pytest.mark.parametrize("name", ["stale_after_secs", "wait_secs", "report_secs", "max_waiting"])
@pytest.mark.parametrize("value", [True, False])
def test_booleans_are_not_accepted_as_numbers(name: str, value: bool) -> None:
    with pytest.raises(ValueError, match=f"{name}: must be a number of at least .*got {value}"):
        Settings(**{name: value})


@pytest.mark.parametrize("value", [True, False])
def test_booleans_are_not_accepted_as_a_number_of_scopes(value: bool) -> None:
    with pytest.raises(ValueError, match=f"max_scopes: must be a whole number.*got {value}"):
        GateMiddleware(None, max_scopes=value)
