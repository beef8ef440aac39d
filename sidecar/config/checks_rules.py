"""Checks for states, matchers, time intervals and events of hooks. `checks` says what a check is."""

from __future__ import annotations

from sidecar.alerts import InvalidMatcher, Matcher
from sidecar.alerts.rules import IGNORE
from sidecar.core.errors import closest_match, short_repr
from sidecar.core.state import WellbeingState

from .checks import InvalidMember, invalid, no_such_key, texts
from .time_intervals import KEYS as TIME_INTERVAL_KEYS
from .time_intervals import InvalidTimeInterval, TimeInterval, parse_time_interval
from .values_programs import HOOK_EVENTS


def restrict(value: object) -> tuple[tuple[WellbeingState, float], ...]:
    """A mapping of states to requests per second."""
    states = [state for state in WellbeingState if state is not WellbeingState.HEALTHY]
    names = tuple(state.label for state in states)
    if not isinstance(value, dict):
        raise invalid(f"a mapping of {', '.join(names)} to requests per second", value)
    found = []
    for key, one in value.items():
        state = next((state for state in states if state.label == key), None)
        if state is None:
            raise no_such_key(key, names)
        is_number = isinstance(one, int | float) and not isinstance(one, bool)
        if not is_number or not 0 < one <= 1e6:  # noqa: PLR2004
            wanted = "a number above 0 and at most 1000000, in requests per second"
            raise InvalidMember(f"{key}: {invalid(wanted, one)}", (key,))
        found.append((state, float(one)))
    return tuple(sorted(found))


def time_intervals(value: object) -> tuple[TimeInterval, ...]:
    """A list of time intervals in Alertmanager's syntax."""
    if not isinstance(value, list) or not value:
        raise invalid("a list of time intervals", value)
    found = []
    for index, one in enumerate(value):
        for key in one if isinstance(one, dict) else ():
            if key not in TIME_INTERVAL_KEYS:
                raise no_such_key(key, TIME_INTERVAL_KEYS, (index,))
        try:
            found.append(parse_time_interval(one))
        except InvalidTimeInterval as error:
            raise InvalidMember(str(error), (index, str(error).partition(":")[0])) from None
    return tuple(found)


def hook_events(value: object) -> tuple[str, ...]:
    """A list of different names of events, at least one."""
    for one in texts(value):
        if one not in HOOK_EVENTS:
            near = closest_match(one, HOOK_EVENTS)
            hint = f" (did you mean {near}?)" if near else ""
            raise ValueError(f"{short_repr(one)}: no such event{hint}: one of {', '.join(HOOK_EVENTS)}")
    if not texts(value):
        raise ValueError(f"must name at least one of {', '.join(HOOK_EVENTS)}")
    return tuple(dict.fromkeys(texts(value)))


def matchers(value: object) -> tuple[str, ...]:
    """A list of matchers."""
    for one in texts(value):
        Matcher.parse(one)
    return texts(value)


RULE_STATES = (*(state.label for state in WellbeingState), IGNORE)


def rule_state(value: object) -> str:
    """A wellbeing state, or `IGNORE`."""
    if value not in RULE_STATES or not isinstance(value, str):
        near = closest_match(str(value), RULE_STATES) if isinstance(value, str) else None
        hint = f" (did you mean {near}?)" if near else ""
        raise ValueError(f"{invalid('one of ' + ', '.join(RULE_STATES), value)}{hint}")
    return value


def rule_matchers(value: object) -> tuple[str, ...]:
    """A list of matchers, or of lists of matchers."""
    for index, one in enumerate(texts(value)):
        try:
            Matcher.parse_list(one)
        except InvalidMatcher as error:
            raise InvalidMember(str(error), (index,)) from None
    return texts(value)
