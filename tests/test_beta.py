import math

import pytest

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.search.beta import BetaSchedule


def test_linear_ends_just_above_zero():
    schedule = BetaSchedule(50)
    assert schedule(0) == 1.0 and schedule(25) == pytest.approx(0.5) and schedule(49) == pytest.approx(0.02)


def test_cosines_at_start_zero_are_the_released_formulas():
    for epoch in range(50):
        assert BetaSchedule(50, 0.7, "cosine")(epoch) == pytest.approx(0.7 * (1 + math.cos(math.pi * epoch / 50)) / 2)
        assert BetaSchedule(50, 0.7, "slow_cosine")(epoch) == pytest.approx(0.7 * math.cos(math.pi * epoch / 100))


@pytest.mark.parametrize("name", ["linear", "cosine", "slow_cosine"])
def test_starts_at_the_start_epoch_and_ends_at_zero(name):
    schedule = BetaSchedule(20, 0.8, name, start_epoch=5)
    values = [schedule(epoch) for epoch in range(21)]
    assert values[:6] == [0.8] * 6
    assert all(a > b for a, b in zip(values[5:], values[6:], strict=False))
    assert values[20] == pytest.approx(0, abs=1e-12)


def test_stop_holds_the_value():
    schedule = BetaSchedule(10, stop_epoch=4)
    assert schedule(4) == pytest.approx(0.6) and schedule(9) == pytest.approx(0.6)
    assert BetaSchedule(10, 0.3, "constant")(9) == 0.3


@pytest.mark.parametrize(
    "arguments", [{"schedule": "x"}, {"start_epoch": 10}, {"start_epoch": 5, "stop_epoch": 4}, {"initial": -1}]
)
def test_bad_arguments(arguments):
    with pytest.raises(UsageError):
        BetaSchedule(10, **arguments)
