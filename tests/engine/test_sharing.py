"""Max-min rates: worked sums, the definition itself, and the same answer whatever came and went before."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from progressive_filling import max_min_rates

from clustersim.engine.rate import Rate
from clustersim.engine.shared_link import Flow
from clustersim.engine.sharing import MaxMin


def add(network: MaxMin, route: tuple[int, ...]) -> Flow:
    """Add a flow that crosses a link with as many streams as the link stands in its route."""
    weight_by_link = Counter(route)
    return network.add(weight_by_link, weight_by_link.values())


def rates(capacities: list[int], routes: list[tuple[int, ...]]) -> list[Fraction]:
    network = MaxMin({number: Fraction(capacity) for number, capacity in enumerate(capacities)})
    flows = [add(network, route) for route in routes]
    network.settle()
    return [network.rate(flow) for flow in flows]


def test_one_link_is_shared_evenly() -> None:
    assert rates([10], [(0,)] * 4) == [Fraction(10, 4)] * 4
    assert rates([1], [(0,)] * 17) == [Fraction(1, 17)] * 17


def test_what_one_flow_cannot_use_the_others_get() -> None:
    # The long flow is held to 1 by link 1, so that the other two on link 0 have 9 / 2.
    assert rates([10, 2], [(0, 1), (1,), (0,), (0,)]) == [1, 1, Fraction(9, 2), Fraction(9, 2)]


def test_the_parking_lot() -> None:
    # Bertsekas and Gallager's example: one flow over all links, one over each; all have capacity 1 but the last.
    assert rates([1, 1, 1, 4], [(0, 1, 2, 3), (0,), (1,), (2,), (3,)]) == [Fraction(1, 2)] * 4 + [Fraction(7, 2)]


def test_a_flow_with_three_streams_on_a_link_gets_three_shares_of_it() -> None:
    # Link 0 grants 12 / (3 + 1) to each stream; link 1, which only one stream of the first flow crosses, has 7 left.
    assert rates([12, 10], [(0, 0, 0, 1), (0,), (1,)]) == [3, 3, 7]


def test_a_chain_of_bottlenecks_needs_denominators_of_any_size() -> None:
    # Link k has k+2 flows of its own and one from the link before: each level follows from the one below.
    chain = 40
    routes: list[tuple[int, ...]] = [(0,)]
    for link in range(chain):
        routes += [(link,)] * (link + 2) + [(link, link + 1)]
    capacities = [100 + 37 * link**2 for link in range(chain + 1)]
    expected = max_min_rates({number: Fraction(c) for number, c in enumerate(capacities)}, routes)
    assert rates(capacities, routes) == expected
    assert max(rate.denominator for rate in expected) > 2**64


routes_on_six_links = st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple)


@given(st.lists(st.integers(1, 30), min_size=6, max_size=6), st.lists(routes_on_six_links, max_size=12))
def test_every_flow_is_held_by_the_first_link_that_is_full_and_grants_no_one_more(
    capacities: list[int], routes: list[tuple[int, ...]]
) -> None:
    network = MaxMin({number: Fraction(capacity) for number, capacity in enumerate(capacities)})
    flows = [add(network, route) for route in routes]
    network.settle()
    on_link: dict[int, list[Fraction]] = {number: [] for number in range(6)}
    for flow, route in zip(flows, routes, strict=True):
        for number in route:
            on_link[number].append(network.rate(flow))
    for number, capacity in enumerate(capacities):
        assert sum(on_link[number]) <= capacity
    for flow, route in zip(flows, routes, strict=True):
        full = [number for number in route if sum(on_link[number]) == capacities[number]]
        holding = [number for number in full if network.rate(flow) == max(on_link[number])]
        assert flow.bottleneck.number == holding[0]


def test_rates_too_close_for_floats_are_told_apart() -> None:
    near, far = Rate(10**30, 3), Rate(10**30 + 1, 3)
    assert near.approx == far.approx
    assert near < far
    assert not far < near
    # Two links whose levels differ by less than a float shows: each flow still gets the lower, wherever it stands.
    assert rates([10**30 + 1, 10**30], [(0, 1)] * 3) == [Fraction(10**30, 3)] * 3
    assert rates([10**30, 10**30 + 1], [(0, 1)] * 3) == [Fraction(10**30, 3)] * 3


def churned(seed: int) -> tuple[dict[int, Fraction], MaxMin, dict[Flow, tuple[int, ...]]]:
    """Return capacities and a network after many flows have come and gone, several at a time, with those left."""
    random = Random(seed)
    num_links = random.randint(1, 12)
    sizes = [Fraction(random.choice([1, 2, 3, 7, 25, 100]), random.choice([1, 3])) for _ in range(num_links)]
    network = MaxMin(dict(enumerate(sizes)))
    alive: dict[Flow, tuple[int, ...]] = {}
    had: dict[Flow, tuple[Rate, int]] = {}
    for _ in range(60):
        for _ in range(random.randint(1, 3)):
            if alive and random.random() < 0.45:
                flow = random.choice(list(alive))
                network.remove(flow)
                del alive[flow]
            else:
                route = tuple(random.choices(range(num_links), k=random.randint(1, 5)))
                alive[add(network, route)] = route
        moved = set(network.settle())
        has = {flow: (flow.rate, flow.bottleneck.number) for flow in alive}
        assert moved <= set(alive)
        assert all(has[flow] == had[flow] for flow in alive if flow not in moved)
        had = has
    return dict(enumerate(sizes)), network, alive


def test_coming_and_going_leaves_no_trace() -> None:
    for seed in range(60):
        capacities, network, alive = churned(seed)
        assert [network.rate(flow) for flow in alive] == max_min_rates(capacities, list(alive.values()))
        anew = MaxMin(capacities)
        backwards = {flow: add(anew, route) for flow, route in reversed(alive.items())}
        anew.settle()
        for flow in alive:
            assert flow.rate == backwards[flow].rate
            assert flow.bottleneck.number == backwards[flow].bottleneck.number


def test_what_a_link_keeps_does_not_grow_with_its_past() -> None:
    # One flow after another over a thin link of its own: all their rates together have a huge denominator.
    primes = [number for number in range(2, 2000) if all(number % lower for lower in range(2, int(number**0.5) + 1))]
    network = MaxMin({0: Fraction(5000)} | {prime: Fraction(1, prime) for prime in primes})
    for prime in primes:
        flow = network.add((0, prime))
        network.settle()
        network.remove(flow)
    network.settle()
    assert network.links[0].unit < 2000**2
    assert Fraction(network.links[0].left, network.links[0].unit) == 5000
