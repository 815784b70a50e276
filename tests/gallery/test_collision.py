"""The gallery's collision: data-parallel traffic slows the pipeline down, and a placement cures it."""

from __future__ import annotations

import clustersim as cs


def lost_to_dp(result: cs.Result) -> float:
    """Return the share of their time that pipeline messages lost to data-parallel traffic."""
    (lost_s,) = [c.lost_s for c in result.communication.collisions if (c.axis, c.by) == ("pp", "dp")]
    return lost_s / result.communication.by_axis["pp"].busy_s


def test_a_placement_cures_it_and_the_report_says_so_in_words() -> None:
    scattered = cs.simulate("collision-scattered")
    cured = cs.simulate("collision-scattered", ["cluster.placement=contiguous"])
    assert lost_to_dp(scattered) > 0.25 > 0.05 > lost_to_dp(cured)
    assert cured.step_time_s < 0.75 * scattered.step_time_s
    words = "pipeline messages were slowed down by data-parallel traffic"
    assert any(words in warning and "->spine" in warning for warning in scattered.warnings)


def test_on_a_fabric_that_blocks_nothing_they_do_not_meet_above_the_leaves() -> None:
    wide = cs.simulate("collision-scattered", ["cluster.topology.oversubscription=1.0"])
    assert wide.step_time_s < cs.simulate("collision-scattered").step_time_s
    assert not any("->spine" in warning and "data-parallel" in warning for warning in wide.warnings)
