"""Max-min fair rates of flows that share links: exact, and found again from where they were when flows come and go.

Rates are max-min fair if no flow can be given more without taking from one that has no more than it. Every link then
has a *level*, what it grants each flow that asks for so much, and a flow gets the lowest level on its route. The link
that sets it *holds* the flow and is its bottleneck: of several with that level, the first on the way. Through every
other link the flow *passes*. The *share* of a link follows from the other links: the least level at which its flows,
each at most at the lowest level elsewhere on its route, fill its capacity. It is infinite where they can't; also where
they just can, but all are held before they come to this link, so that its level would be of no account.

A flow has a *weight* on each of its links: how many streams of its rate it is there. A message has weight 1 everywhere;
the streams of a collective all go at one rate, and several of them may cross one link.

At every moment each flow is held as said, by levels that may be wrong; rates are fair once every level is its share. A
change makes some levels wrong, and each is mended in turn by setting it to its share, which costs as much as the flows
whose rate moves: a link knows what passes it as one sum. It doesn't matter in which order. Say that filling all links
at one pace from nothing stops flows at rates t1 < t2 < ..., and that the links which stop them below tk have their
level for good. Whatever levels the others have, their shares are at least tk, for the flows that are not stopped below
it do not fill them before. So each, once mended, has a level of at least tk, and those that stop flows at tk have
exactly that share from then on. There is no going round in circles, and one answer. Lowest first, by the lower of
level and share, is merely the order in which hardly any is mended twice; floats that bound them serve as keys, and of
equal ones the first to come goes first, so that none is passed over for ever.

So rates and bottlenecks are a function of the flows alone, whatever came and went before, and in whatever order.

References
----------
D. Bertsekas and R. Gallager, Data Networks, 2nd ed., 1992, section 6.5.2 (max-min fairness, bottlenecks).
G. Ramalingam and T. Reps, "An incremental algorithm for a generalization of the shortest-path problem", Journal of
Algorithms 21(2), 1996 (mending what is wrong by the lower of what it is and what it should be).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from heapq import heappop, heappush
from itertools import count, repeat

from clustersim.engine.rate import INFINITE, Rate
from clustersim.engine.shared_link import Flow, Limited, SharedLink, filling_share


class MaxMin:
    """The flows of a network and their rates; :meth:`settle` once after all that changed at one time.

    Parameters
    ----------
    capacities
        Capacity of each link by its number, above 0. [bytes/s]

    Examples
    --------
    Of two flows on a link of 3 bytes/s one goes on to a link where four get 1 byte/s each; the other has the rest.

    >>> network = MaxMin({0: Fraction(3), 1: Fraction(4), 2: Fraction(3)})
    >>> near, far = network.add((0,)), network.add((0, 1))
    >>> crossing = [network.add((1, 2)) for _ in range(3)]
    >>> moved = network.settle()
    >>> [str(network.rate(flow)) for flow in (near, far, *crossing)]
    ['2', '1', '1', '1', '1']
    >>> network.remove(near)
    >>> moved = network.settle()
    >>> str(network.rate(far)), far.bottleneck.number
    ('1', 1)
    """

    def __init__(self, capacities: Mapping[int, Fraction]) -> None:
        self.links = {number: SharedLink(number, capacity) for number, capacity in capacities.items()}
        self._changed: dict[SharedLink, None] = {}  # links whose level may not be their share
        self._moved: dict[Flow, None] = {}  # flows whose rate or bottleneck may not be what it was
        self._queue: list[tuple[float, int, SharedLink]] = []  # by key, those with equal keys as they came
        self._entries = count()

    def rate(self, flow: Flow) -> Fraction:
        """Return the rate of a flow. [bytes/s]"""
        return Fraction(flow.rate.numerator, flow.rate.denominator)

    def add(self, links: Iterable[int], weights: Iterable[int] = repeat(1)) -> Flow:
        """Return a new flow over `links`, at least one, each once, with its weight on each of them."""
        flow = Flow(tuple((self.links[number], weight) for number, weight in zip(links, weights, strict=False)))
        flow.bottleneck = bottleneck = flow.lowest_link() or self._limit(flow)
        rate, changed, ahead = bottleneck.level, self._changed, 1
        approx = rate.approx
        for link, weight in flow.hops:
            changed[link] = None
            link.weight += weight
            if link is bottleneck:
                link.held[flow] = weight
                link.held_weight += weight
                ahead = 0
            else:
                link.passing[flow] = weight
                link.ahead += ahead
                link.take(weight, rate)
                if approx > link.top:
                    link.top = approx
        self._moved[flow] = None
        return flow

    def _limit(self, flow: Flow) -> SharedLink:
        """Return a link on the route of a flow whose levels are all infinite, with a level that it now has."""
        link = min((link for link, _ in flow.hops), key=lambda link: link.left / link.unit)
        if link.left < 0:  # flows that came just now overfill it: its turn is before this one
            link.floor = 0.0
            self._lower(link, *link.falling_share())
        else:
            link.level = link.capacity  # and no flow that passes is faster
        return link

    def remove(self, flow: Flow) -> None:
        """Take a flow out."""
        self._moved.pop(flow, None)
        bottleneck, changed, ahead = flow.bottleneck, self._changed, 1
        rate = bottleneck.level
        for link, weight in flow.hops:
            changed[link] = None
            link.weight -= weight
            if link is bottleneck:
                del link.held[flow]
                link.held_weight -= weight
                ahead = 0
            else:
                del link.passing[flow]
                link.ahead -= ahead
                link.take(-weight, rate)

    def settle(self) -> list[Flow]:
        """Make all rates max-min fair again; return the flows whose rate or bottleneck may have moved."""
        self._enqueue_changed(is_any_faster=True)
        queue = self._queue
        while queue:
            key, _, link = heappop(queue)
            if key != link.turn:
                continue  # it has another entry
            link.turn = None
            balance = link.balance()
            if balance > 0:
                self._raise(link)
                self._enqueue_changed(is_any_faster=True)
            elif balance < 0:
                share, joining, top = link.falling_share()
                if queue and queue[0][0] < share.approx:
                    link.floor = share.approx
                    self._enqueue(link, share.approx)
                else:
                    self._lower(link, share, joining, top)
                    self._enqueue_changed(is_any_faster=False)
        moved, self._moved = list(self._moved), {}
        return moved

    def _enqueue_changed(self, *, is_any_faster: bool) -> None:
        """Put the links whose level is wrong in the queue, for the earliest that their turn can come."""
        changed, self._changed = self._changed, {}
        for link in changed:
            if is_any_faster:
                link.floor = 0.0
            if link.left > 0 and link.level is INFINITE:
                continue  # as most are: no one fills them
            balance = link.balance()
            if balance:
                self._enqueue(link, link.level.approx if balance > 0 else link.least_share())

    def _enqueue(self, link: SharedLink, key: float) -> None:
        if key != link.turn:
            link.turn = key
            heappush(self._queue, (key, next(self._entries), link))

    def _lower(self, link: SharedLink, share: Rate, joining: list[Limited], top: float) -> None:
        """Set a level that was too high; the flows `joining` were faster, or as fast as this link now makes them."""
        before, link.level = link.level, share
        if link.held:
            self._pass_on(link, share - before)
        for elsewhere, flow, _ in joining:
            if elsewhere.level == share and flow.meets_first(elsewhere, link):
                top = share.approx
            else:
                self._hand_over(flow, link, elsewhere.level)
        link.top = top

    def _raise(self, link: SharedLink) -> None:
        """Set a level that was too low; flows that other links hold to less, or to as much but earlier, go to them."""
        limited: list[Limited] = []
        for flow, weight in link.held.items():
            elsewhere = flow.lowest_link(link)
            if elsewhere is not None:
                limited.append((elsewhere, flow, weight))
        share, going, others = filling_share(link.left, link.unit, link.held_weight, limited)
        for elsewhere, flow, weight in others:
            if elsewhere.level == share and flow.meets_first(elsewhere, link):
                going.append((elsewhere, flow, weight))
        for elsewhere, flow, _ in going:
            self._hand_over(flow, elsewhere, link.level)
        before, link.level = link.level, share
        if link.held:
            self._pass_on(link, share - before)

    def _pass_on(self, holder: SharedLink, change: Rate) -> None:
        """Tell the other links on the routes of what a link holds by how much its level has changed."""
        changed, moved, approx = self._changed, self._moved, holder.level.approx
        for flow in holder.held:
            moved[flow] = None
            for link, weight in flow.hops:
                if link is not holder:
                    link.take(weight, change)
                    changed[link] = None
                    if approx > link.top:
                        link.top = approx

    def _hand_over(self, flow: Flow, holder: SharedLink, before: Rate) -> None:
        """Let another link hold a flow, whose rate was `before`."""
        former, flow.bottleneck, after = flow.bottleneck, holder, holder.level
        change, approx, changed = after - before, after.approx, self._changed
        was_ahead = is_ahead = 1
        self._moved[flow] = None
        for link, weight in flow.hops:
            changed[link] = None
            if link is holder:
                del link.passing[flow]
                link.held[flow] = weight
                link.held_weight += weight
                link.ahead -= was_ahead
                is_ahead = 0
                link.take(-weight, before)
                continue
            if link is former:
                del link.held[flow]
                link.passing[flow] = weight
                link.held_weight -= weight
                was_ahead = 0
                link.ahead += is_ahead
                link.take(weight, after)
            else:
                link.ahead += is_ahead - was_ahead
                link.take(weight, change)
            if approx > link.top:
                link.top = approx
