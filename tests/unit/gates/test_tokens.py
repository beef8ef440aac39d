"""Token buckets and the request budget of a trial."""

from __future__ import annotations

import pytest

from sidecar.gates.tokens import TokenBucket, TokenCount


def take(bucket: TokenBucket, now: float) -> int:
    count = bucket.available(now)
    for _ in range(count):
        bucket.take()
    return count


def test_a_late_timer_causes_no_burst_above_a_tenth_of_a_second() -> None:
    bucket = TokenBucket(100, 0.0)
    assert take(bucket, 0.0) == 1
    assert take(bucket, 60.0) == 10
    assert take(bucket, 60.0) == 0
    assert bucket.secs_until_token(60.0) == pytest.approx(0.01)


def test_a_rate_below_one_in_ten_seconds_still_admits_one_at_a_time() -> None:
    bucket = TokenBucket(0.01, 0.0)
    assert take(bucket, 0.0) == 1
    assert take(bucket, 99.0) == 0
    assert take(bucket, 100.0) == 1
    assert take(bucket, 1e6) == 1


def test_the_request_budget_of_a_trial_is_never_refilled() -> None:
    tokens = TokenCount(2)
    tokens.take()
    tokens.take()
    assert tokens.available(1e9) == 0
    assert tokens.secs_until_token(1e9) == float("inf")
