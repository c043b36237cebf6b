"""Quantiles and tails of Student's distribution, without scipy (which is not a dependency)."""

import math
from functools import lru_cache


@lru_cache(maxsize=1024)
def student_quantile(confidence: float, freedom: float) -> float:
    """The two-sided critical value, by bisection on the tail."""
    tail = (1 - checked(confidence)) / 2
    low, high = 0.0, 1.0
    while student_tail(high, freedom) > tail:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, freedom) > tail else (low, middle)
    return (low + high) / 2


def student_tail(t: float, freedom: float) -> float:
    """P(T > t) for t >= 0, from the incomplete beta function's continued fraction (Lentz)."""
    if t == 0:
        return 0.5
    x = freedom / (freedom + t * t)
    p, q = freedom / 2, 0.5
    if x < (p + 1) / (p + q + 2):
        return _beta_tail(x, p, q) / 2
    return (1 - _beta_tail(1 - x, q, p)) / 2


def checked(confidence: float) -> float:
    """The level itself; ValueError unless it is strictly between 0 and 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1; got {confidence}")
    return confidence


def _beta_tail(x: float, p: float, q: float) -> float:
    """Regularised incomplete beta I_x(p, q), for x below its mean."""
    front = math.lgamma(p + q) - math.lgamma(p) - math.lgamma(q)
    front = math.exp(front + p * math.log(x) + q * math.log1p(-x)) / p
    c, d = 1.0, 1 / (1 - (p + q) * x / (p + 1))
    fraction = d
    for m in range(1, 400):
        even = m * (q - m) * x / ((p + 2 * m - 1) * (p + 2 * m))
        odd = -(p + m) * (p + q + m) * x / ((p + 2 * m) * (p + 2 * m + 1))
        for term in (even, odd):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            fraction *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * fraction
