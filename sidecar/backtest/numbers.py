"""Formats numbers as Go and Prometheus' templates do. The source is Prometheus' ``template/template.go``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal

_GO_LARGEST_EXPONENT = 6
"""From this exponent on, strconv prints a number with an exponent."""
_GO_SMALLEST_EXPONENT = -4
_LARGE = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_SMALL = ("m", "u", "n", "p", "f", "a", "z", "y")
_BINARY = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")


def go_number(value: float) -> str:
    """``value`` as Go's ``%v`` prints a float64: with the fewest digits that identify it."""
    if not math.isfinite(value):
        return _not_finite(value)
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    digits, exponent = _digits_of(abs(value))
    if _GO_SMALLEST_EXPONENT <= exponent < _GO_LARGEST_EXPONENT:
        return sign + format(Decimal(repr(abs(value))).normalize(), "f")
    mantissa = digits[0] + ("." + digits[1:] if digits[1:] else "")
    return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02}"


def _digits_of(value: float) -> tuple[str, int]:
    number = Decimal(repr(value)).normalize()
    return "".join(map(str, number.as_tuple().digits)), number.adjusted() if value else 0


def humanize(value: float) -> str:
    """``value`` with a metric prefix, such as ``1.234k``."""
    if value == 0 or not math.isfinite(value):
        return four_digits(value)
    value, prefix = _reduced(value, 1000, _LARGE) if abs(value) >= 1 else _enlarged(value)
    return four_digits(value) + prefix


def humanize_binary(value: float) -> str:
    """``value`` with a binary prefix, such as ``1.5Ki``."""
    if abs(value) <= 1 or not math.isfinite(value):
        return four_digits(value)
    value, prefix = _reduced(value, 1024, _BINARY)
    return four_digits(value) + prefix


def humanize_duration(value: float) -> str:
    """Seconds, as ``1h 2m 3s``."""
    if not math.isfinite(value):
        return four_digits(value)
    if value == 0:
        return four_digits(value) + "s"
    if abs(value) < 1:
        value, prefix = _enlarged(value)
        return f"{four_digits(value)}{prefix}s"
    sign, value = ("-", -value) if value < 0 else ("", value)
    minutes, seconds = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{sign}{minutes}m {seconds}s"
    return f"{sign}{four_digits(value)}s"


def humanize_percentage(value: float) -> str:
    """A ratio, as ``12.5%``."""
    return four_digits(value * 100) + "%"


def four_digits(value: float) -> str:
    """``value`` as ``%.4g`` prints it."""
    return f"{value:.4g}" if math.isfinite(value) else _not_finite(value)


def _reduced(value: float, step: int, prefixes: Iterable[str]) -> tuple[float, str]:
    prefix = ""
    for one in prefixes:
        if abs(value) < step:
            break
        prefix = one
        value /= step
    return value, prefix


def _enlarged(value: float) -> tuple[float, str]:
    prefix = ""
    for one in _SMALL:
        if abs(value) >= 1:
            break
        prefix = one
        value *= 1000
    return value, prefix


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
