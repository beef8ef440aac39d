"""Alertmanager's time intervals: parsing, and whether a moment lies in one.

The syntax and the meaning are those of Alertmanager's ``timeinterval`` package (0.34): a moment lies in an
interval if it lies in every given part, and it lies in a part if it lies in one of the part's ranges.

Times are seconds since the epoch.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS = tuple(name.lower() for name in calendar.month_name[1:])
KEYS = ("times", "weekdays", "days_of_month", "months", "years", "location")

_CLOCK = re.compile(r"((([01][0-9])|(2[0-3])):[0-5][0-9])|(24:00)", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,4}", re.ASCII)
_MAX_DAY = 31
_SHORTEST_MONTH_DAYS = 28


class InvalidTimeInterval(ValueError):
    """A time interval that Alertmanager would refuse; the message says what is wrong and where."""


Range = tuple[int, int]
"""The first and the last value. For times of the day: the first minute, and the minute after the last."""


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """One time interval. A part without ranges always matches.

    Attributes:
        times: minutes of the day.
        weekdays: 0 is Sunday.
        days_of_month: 1 to 31, or -1 (the last day of the month) to -31.
        months: 1 to 12.
        years: years.
        location: the time zone.
    """

    times: tuple[Range, ...] = ()
    weekdays: tuple[Range, ...] = ()
    days_of_month: tuple[Range, ...] = ()
    months: tuple[Range, ...] = ()
    years: tuple[Range, ...] = ()
    location: tzinfo = UTC

    def contains(self, at: float) -> bool:
        """Whether ``at`` lies in the interval."""
        moment = datetime.fromtimestamp(at, self.location)
        minute = moment.hour * 60 + moment.minute
        if self.times and not any(first <= minute < last for first, last in self.times):
            return False
        return (
            _lies_in(moment.isoweekday() % 7, self.weekdays)
            and self._has_day(moment)
            and _lies_in(moment.month, self.months)
            and _lies_in(moment.year, self.years)
        )

    def _has_day(self, moment: datetime) -> bool:
        if not self.days_of_month:
            return True
        days = calendar.monthrange(moment.year, moment.month)[1]
        for first, last in self.days_of_month:
            begin = days + first + 1 if first < 0 else first
            end = days + last + 1 if last < 0 else last
            if begin <= moment.day <= end:
                return True
        return False


def parse_time_interval(value: object) -> TimeInterval:
    """Parse one element of ``time_intervals[].time_intervals``.

    Raises:
        InvalidTimeInterval: it is not valid.
    """
    if not isinstance(value, dict):
        raise InvalidTimeInterval(f"must be a mapping of {', '.join(KEYS)}")
    for key in value:
        if key not in KEYS:
            raise InvalidTimeInterval(f"{key}: no such key: the keys are {', '.join(KEYS)}")
    return TimeInterval(
        _times(value.get("times")),
        _ranges("weekdays", value.get("weekdays"), lambda text: _named("weekdays", text, WEEKDAYS, 0)),
        _ranges("days_of_month", value.get("days_of_month"), _day),
        _ranges("months", value.get("months"), _month),
        _ranges("years", value.get("years"), lambda text: _number("years", text)),
        _location(value.get("location")),
    )


def _lies_in(value: int, ranges: tuple[Range, ...]) -> bool:
    return not ranges or any(first <= value <= last for first, last in ranges)


def _times(value: object) -> tuple[Range, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not value:
        raise InvalidTimeInterval("times: must be a list of start_time and end_time")
    found = []
    for one in value:
        if not isinstance(one, dict) or set(one) != {"start_time", "end_time"}:
            raise InvalidTimeInterval("times: each one must have start_time and end_time, and nothing else")
        first, last = _minute("start_time", one["start_time"]), _minute("end_time", one["end_time"])
        if first >= last:
            raise InvalidTimeInterval(
                f"times: start_time {one['start_time']} is not before end_time {one['end_time']}: "
                "split a range over midnight into two, one until 24:00 and one from 00:00"
            )
        found.append((first, last))
    return tuple(found)


def _minute(name: str, value: object) -> int:
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise InvalidTimeInterval(f"times: {name}: must be HH:MM in quotes, 00:00 to 24:00, got {value!r}")
    hours, minutes = value.split(":")
    return int(hours) * 60 + int(minutes)


def _ranges(name: str, value: object, parse: Callable[[str], int]) -> tuple[Range, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not value:
        raise InvalidTimeInterval(f"{name}: must be a list of values and ranges such as 1:5")
    return tuple(_range(name, one, parse) for one in value)


def _range(name: str, value: object, parse: Callable[[str], int]) -> Range:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidTimeInterval(f"{name}: must be text, such as 'monday:friday', got {value!r}")
    parts = str(value).lower().split(":")
    if len(parts) > 2:  # noqa: PLR2004 - first and last
        raise InvalidTimeInterval(f"{name}: {value}: must be one value, or two joined by a colon")
    first, last = parse(parts[0]), parse(parts[-1])
    if name == "days_of_month":
        _check_days(first, last, str(value))
    elif first > last:
        raise InvalidTimeInterval(f"{name}: {value}: the end is before the start")
    return first, last


def _check_days(first: int, last: int, text: str) -> None:
    """Alertmanager's rule, which assumes the shortest month."""
    if first < 0 < last:
        raise InvalidTimeInterval(f"days_of_month: {text}: the end must be negative if the start is")
    begin = _SHORTEST_MONTH_DAYS + first if first < 0 else first
    end = _SHORTEST_MONTH_DAYS + last if last < 0 else last
    if begin > end:
        raise InvalidTimeInterval(f"days_of_month: {text}: the end is before the start")


def _day(text: str) -> int:
    day = _number("days_of_month", text)
    if day == 0 or not -_MAX_DAY <= day <= _MAX_DAY:
        raise InvalidTimeInterval(f"days_of_month: {text}: must be 1 to 31, or -31 to -1 from the end")
    return day


def _month(text: str) -> int:
    if _NUMBER.fullmatch(text):
        month = int(text)
        if not 1 <= month <= len(MONTHS):
            raise InvalidTimeInterval(f"months: {text}: must be 1 to 12, or a name")
        return month
    return _named("months", text, MONTHS, 1)


def _named(name: str, text: str, names: tuple[str, ...], first: int) -> int:
    if text not in names:
        raise InvalidTimeInterval(f"{name}: {text!r}: must be one of {', '.join(names)}")
    return names.index(text) + first


def _number(name: str, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidTimeInterval(f"{name}: {text!r}: must be a whole number")
    return int(text)


def _location(value: object) -> tzinfo:
    if value in (None, "", "UTC"):
        return UTC
    if not isinstance(value, str):
        raise InvalidTimeInterval(f"location: must be the name of a time zone, got {value!r}")
    if value == "Local":
        local = datetime.now(UTC).astimezone().tzinfo
        return local or UTC
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidTimeInterval(f"location: {value!r}: no such time zone, such as Europe/Berlin") from None
