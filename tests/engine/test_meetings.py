"""What becomes of flows that meet others: whatever of their ways is left out, and whoever has to wait for whom."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
import pytest

from clustersim.engine.chains import Follower, with_followers
from clustersim.engine.meetings import meet
from clustersim.engine.open_flows import FlowSpec, FlowTable
from clustersim.engine.parts_met import Meetings
from clustersim.engine.sharing import MaxMin
from clustersim.engine.telling_links import TellingLinks
from clustersim.topology.cluster import Cluster, Link

S = 10**12


def cluster_of(capacities: list[int]) -> Cluster:
    """Return links of so many bytes/s that lead nowhere in particular."""
    links = [Link(f"a{number}", f"b{number}", Fraction(capacity), 0) for number, capacity in enumerate(capacities)]
    return Cluster("drawn", {}, (), links, lambda *_: None)


def drawn_flows(random: Random, num_links: int) -> list[FlowSpec]:
    """Return flows of which some have their ways in common, and of which many have links to themselves."""
    ways = []
    for _ in range(random.randint(1, 6)):
        links = tuple(random.sample(range(num_links), random.randint(1, num_links)))
        ways.append((links, tuple(random.choice([1, 1, 2, 4]) for _ in links)))
    return [FlowSpec(*random.choice(ways), random.randint(1, 9)) for _ in range(random.randint(1, 12))]


@pytest.mark.parametrize("seed", range(200))
def test_links_that_are_left_out_change_neither_a_rate_nor_a_bottleneck(seed: int) -> None:
    random = Random(seed)
    capacities = [random.randint(1, 5) for _ in range(random.randint(1, 9))]
    flows = drawn_flows(random, len(capacities))
    telling = TellingLinks(flows, cluster_of(capacities))
    found = []
    for specs in (flows, [telling.of(flow) for flow in flows]):
        network = MaxMin({number: Fraction(capacity) for number, capacity in enumerate(capacities)})
        added = [network.add(flow.links, flow.streams) for flow in specs]
        network.settle()
        rates = [(flow.rate.numerator, flow.rate.denominator, flow.bottleneck.number) for flow in added]
        found.append((rates, sum(len(flow.links) for flow in specs)))
    assert found[0][0] == found[1][0]
    assert found[1][1] <= found[0][1]


def test_of_a_ring_with_links_of_its_own_one_link_is_left() -> None:
    cluster = cluster_of([4, 2, 2, 8])
    ring = FlowSpec((0, 1, 2, 3), (1, 1, 1, 4), 10)
    assert TellingLinks([ring], cluster).of(ring)[:2] == ((1,), (1,))  # the first of the narrowest: 8 / 4 is 2, too
    message = FlowSpec((3,), (1,), 10)
    assert TellingLinks([ring, message], cluster).of(ring)[:2] == ((1, 3), (1, 4))


def test_who_waits_begins_when_the_one_before_has_ended() -> None:
    cluster = cluster_of([10**9])
    one = FlowSpec((0,), (1,), 10**9)
    flows = [(0, 0, one), (1, 0, one), (2, S, one)]  # the last was thought to begin when the first, alone, would end
    apart = meet(flows, {}, 0, cluster)
    assert [apart[number].end_ps for number in range(3)] == [5 * S // 2, 5 * S // 2, 3 * S]
    for queued_ps, begin_ps in ((0, 2 * S + 7), (5 * S, 5 * S + 7)):
        chained = meet(flows, {}, 0, cluster, {0: Follower(2, queued_ps, 7)})
        assert [chained[number].end_ps for number in range(3)] == [2 * S, 2 * S, begin_ps + S]
        assert chained[2].begin_ps == begin_ps


@pytest.mark.parametrize("seed", range(60))
def test_parts_that_are_alike_come_to_what_all_come_to_together(seed: int) -> None:
    """Flows on links, the same on others like them, a part of which has drained when the rest begins; then all again.

    The second time everything comes later, so that the part of the first time is known.
    """
    random, copies = Random(seed), 3
    capacities = [random.randint(1, 3) * 10**9 for _ in range(random.randint(1, 5))]
    num_links = len(capacities)
    cluster = cluster_of(capacities * copies)
    specs = drawn_flows(random, num_links)
    flows, followers = [], {}
    for copy in range(copies):
        own = [
            FlowSpec(tuple(link + copy * num_links for link in spec.links), spec.streams, spec.volume_bytes * 10**9)
            for spec in specs
        ]
        times = Random(seed) if copy < 2 else random  # the last copy is another one
        flows += [(copies * number + copy, times.randint(0, 4) * S, spec) for number, spec in enumerate(own)]
        if len(specs) > 2:
            followers[copy] = Follower(copies * 2 + copy, times.randint(0, 9) * S, 7)
    meetings = Meetings(cluster)
    for later_ps in (0, 11 * S + 3):
        moved = [(key, begin_ps + later_ps, flow) for key, begin_ps, flow in flows]
        waiting = {
            key: Follower(after.key, after.queued_ps + later_ps, after.lead_ps) for key, after in followers.items()
        }
        together = meet(moved, {}, 0, cluster, waiting)
        assert meetings.meet(moved, {}, 0, waiting) == together
        until_ps = later_ps + 3 * S
        began = {key: flow for key, _, flow in moved if together[key].begin_ps < until_ps <= together[key].end_ps}
        halfway = {key: (flow, together[key].at(until_ps)) for key, flow in began.items()}
        assert meetings.meet([], halfway, until_ps, {}) == meet([], halfway, until_ps, cluster)


class _Keys:
    """Two groups that each do four collectives of one phase; messages come first."""

    first = (10, 18)

    def __init__(self) -> None:
        self.queued_ps = np.arange(8).reshape(4, 2)

    def groups_of(self, keys: np.ndarray) -> np.ndarray:
        return (keys - 10) % 2

    def phase(self, key: int) -> tuple[_Keys, int, int, int]:
        return self, (key - 10) // 2, 0, (key - 10) % 2


def test_who_waits_for_one_that_meets_others_is_looked_at_too() -> None:
    keys = [3, *range(10, 18)]
    begins_ps = [0, 1, 1, 11, 11, 21, 40, 31, 50]  # the second group is called for its third after a pause
    ends_ps = [begin_ps + 9 for begin_ps in begins_ps]
    ready_ps = [begin_ps - 1 for begin_ps in begins_ps]
    table = FlowTable(*(np.array(column) for column in (keys, ready_ps, begins_ps, ends_ps, ends_ps)))
    meeting = np.isin(keys, [3, 11, 12])
    found, followers = with_followers(table, meeting, _Keys())  # type: ignore[arg-type]
    assert np.array(keys)[found].tolist() == [3, 11, 12, 13, 14, 16]
    assert followers == {11: Follower(13, 3, 1), 12: Follower(14, 4, 1), 14: Follower(16, 6, 1)}
