"""Limits per minute and waits between tries, on a clock that the tests turn."""

import pytest
from cardinal_gym.agents.api.limits import (
    RateLimiter,
    Reservation,
    backoff_s,
    retry_after_s,
)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def starts(limiter: RateLimiter, clock: Clock, sizes: list[int]) -> list[float]:
    """When each request of so many tokens may go, in seconds from now, one after another."""
    began_s, times_s = clock.now_s, []
    for size in sizes:
        while not isinstance(place := limiter.reserve(size), Reservation):
            assert place > 0
            clock.now_s += place
        times_s.append(round(clock.now_s - began_s, 6))
    return times_s


def test_no_window_of_a_minute_holds_more_requests_than_allowed() -> None:
    clock = Clock()
    limiter = RateLimiter(3, None, clock=clock)
    assert starts(limiter, clock, [1] * 3) == [0, 0, 0]
    clock.now_s += 59
    assert starts(limiter, clock, [1] * 4) == [1, 1, 1, 61]


def test_tokens_are_limited_by_what_was_expected_and_then_by_what_was_used() -> None:
    clock = Clock()
    limiter = RateLimiter(None, 100, clock=clock)
    first = limiter.reserve(60)
    assert isinstance(first, Reservation)
    assert limiter.reserve(60) == 60.0
    limiter.settle(first, 30)
    assert isinstance(limiter.reserve(60), Reservation)


def test_a_request_beyond_the_whole_limit_goes_alone() -> None:
    clock = Clock()
    limiter = RateLimiter(None, 100, clock=clock)
    assert starts(limiter, clock, [50, 500, 50]) == [0, 60, 120]


def test_both_limits_hold() -> None:
    clock = Clock()
    limiter = RateLimiter(2, 100, clock=clock)
    assert starts(limiter, clock, [90, 20, 20, 20]) == [0, 60, 60, 120]


def test_nobody_is_served_while_the_server_asks_to_wait() -> None:
    clock = Clock()
    limiter = RateLimiter(None, None, clock=clock)
    limiter.hold(5.0)
    limiter.hold(2.0)
    assert starts(limiter, clock, [1, 1]) == [5, 5]


def test_waits_double_up_to_the_largest() -> None:
    for retry, whole_s in enumerate([1.0, 2.0, 4.0, 8.0, 10.0, 10.0]):
        waits_s = [backoff_s(retry, 1.0, 10.0) for _ in range(200)]
        assert min(waits_s) >= whole_s / 2
        assert max(waits_s) <= whole_s
        assert max(waits_s) - min(waits_s) > whole_s / 4  # clients do not come back together


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 30.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:40:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
    ],
)
def test_a_server_may_ask_for_a_wait_in_several_ways(
    headers: dict[str, str], wait_s: float | None
) -> None:
    assert retry_after_s(headers, now_s=784111747.0) == wait_s
