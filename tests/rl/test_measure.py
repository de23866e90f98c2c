"""pass@k has no bias, whatever k and however many samples."""

from itertools import combinations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.rl.homework import MeasureConfig
from castalia.rl.measure import pass_at


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_it_is_the_share_of_all_choices_of_k_that_hold_one_that_is_right(case: tuple[int, int, int]) -> None:
    samples, right, k = case
    replies = [number < right for number in range(samples)]
    assert pass_at(k, samples, right) == pytest.approx(fmean(any(some) for some in combinations(replies, k)))


def test_more_passes_than_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="pass@16 needs 16 samples, not 8"):
        MeasureConfig(samples=8)
