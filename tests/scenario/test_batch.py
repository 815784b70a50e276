"""Samples dealt to replicas and micro-batches."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clustersim.errors import ScenarioError
from clustersim.scenario.batch import Batch, ReplicaBatch, deal_samples


def test_a_batch_by_micro_batches_is_the_same_for_every_replica() -> None:
    assert deal_samples(Batch(num_microbatches=8, micro_batch_size=2), 3) == (ReplicaBatch(16, 8, Fraction(1)),) * 3


def test_an_even_global_batch() -> None:
    assert deal_samples(Batch(global_batch_size=24, micro_batch_size=2), 3) == (ReplicaBatch(8, 4, Fraction(1)),) * 3


def test_a_short_remainder_worked_by_hand() -> None:
    # 23 samples for 3 replicas: 8, 8, 7; micro-batches of 3: 3 + 3 + 2, and 3 + 3 + 1
    shares = deal_samples(Batch(global_batch_size=23, micro_batch_size=3, remainder="short"), 3)
    assert shares == (
        ReplicaBatch(8, 3, Fraction(2, 3)),
        ReplicaBatch(8, 3, Fraction(2, 3)),
        ReplicaBatch(7, 3, Fraction(1, 3)),
    )


@given(st.integers(1, 500), st.integers(1, 20), st.integers(1, 40))
def test_laws_of_dealing(num_samples: int, micro_batch_size: int, dp: int) -> None:
    batch = Batch(global_batch_size=num_samples, micro_batch_size=micro_batch_size, remainder="short")
    if num_samples < dp:
        with pytest.raises(ScenarioError, match="data-parallel replicas"):
            deal_samples(batch, dp)
        return
    shares = deal_samples(batch, dp)
    sizes = [share.num_samples for share in shares]
    assert len(shares) == dp
    assert sum(sizes) == num_samples
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)
    for share in shares:
        full = (share.num_microbatches - 1) * micro_batch_size
        assert 0 < share.last_fraction <= 1
        assert full + share.last_fraction * micro_batch_size == share.num_samples


@given(st.integers(1, 500), st.integers(1, 20), st.integers(1, 20))
def test_an_uneven_batch_names_the_nearest_that_fit(num_samples: int, micro_batch_size: int, dp: int) -> None:
    batch = Batch(global_batch_size=num_samples, micro_batch_size=micro_batch_size)
    if num_samples % (micro_batch_size * dp) == 0:
        assert {share.last_fraction for share in deal_samples(batch, dp)} == {Fraction(1)}
        return
    with pytest.raises(ScenarioError) as caught:
        deal_samples(batch, dp)
    smaller = num_samples - num_samples % (micro_batch_size * dp)
    larger = smaller + micro_batch_size * dp
    nearest = f"{smaller} and {larger}" if smaller else f"{larger}"
    assert f"nearest that do: {nearest}; or `remainder: short`" in caught.value.faults[0].hint


def test_both_ways_must_agree() -> None:
    agreeing = Batch(global_batch_size=16, num_microbatches=8)
    assert deal_samples(agreeing, 2) == (ReplicaBatch(8, 8, Fraction(1)),) * 2
    with pytest.raises(ScenarioError, match="global_batch_size 16 makes 4 per replica"):
        deal_samples(agreeing, 4)


def test_one_of_the_two_is_needed() -> None:
    with pytest.raises(ValidationError, match="global_batch_size: missing key"):
        Batch(micro_batch_size=2)
