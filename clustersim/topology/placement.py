"""Placements: which GPU runs which rank.

A placement is a pure function ``(hosts, seed) -> GPUs``, in the order of ranks, and one line in `PLACEMENTS`; `place`
leaves out what may not be used before it asks one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from clustersim.errors import Fault, ScenarioError, TopologyError, nearest
from clustersim.scenario.hostlist import expand_hosts
from clustersim.scenario.placement import Placement, PlacementName
from clustersim.topology.cluster import Cluster
from clustersim.topology.flow_hash import flow_hash

# Looking for the nearest name costs microseconds a name.
_MAX_NAMES_TO_SEARCH = 10_000


@dataclass(frozen=True, slots=True)
class Host:
    """What a job gets as a whole: a node, or a GPU where the topology knows no nodes.

    Parameters
    ----------
    number
        Place among the cluster's hosts, by their first GPU.
    gpus
        Its GPUs in rising order.
    rails
        Rail of each of them: as the topology says, or else their place in the host.
    """

    name: str
    number: int
    gpus: tuple[int, ...]
    rails: tuple[int, ...]
    is_reserved: bool


def hosts_of(cluster: Cluster) -> tuple[Host, ...]:
    """Return the hosts of a cluster, in the order of their first GPUs."""
    gpus_by_name: dict[str, list[int]] = {}
    attributes = [cluster.nodes[node] for node in cluster.gpus]
    for gpu, node in enumerate(cluster.gpus):
        gpus_by_name.setdefault(str(attributes[gpu].get("host", node)), []).append(gpu)
    return tuple(
        Host(
            name,
            number,
            tuple(gpus),
            tuple([_rail(attributes[gpu], place) for place, gpu in enumerate(gpus)]),
            any(attributes[gpu].get("reserved") is True for gpu in gpus),
        )
        for number, (name, gpus) in enumerate(gpus_by_name.items())
    )


def _rail(attributes: Mapping[str, object], place: int) -> int:
    rail = attributes.get("rail")
    return rail if isinstance(rail, int) else place


def contiguous(hosts: Sequence[Host], seed: int) -> tuple[int, ...]:  # noqa: ARG001
    """Return GPU after GPU and host after host, as launchers number ranks."""
    return tuple(gpu for host in hosts for gpu in host.gpus)


def rail_aligned(hosts: Sequence[Host], seed: int) -> tuple[int, ...]:  # noqa: ARG001
    """Return each host's GPUs in the order of their rails, without hosts that lack a rail others have.

    Ranks a whole number of hosts apart are then on the same rail.
    """
    complete = max((sorted(host.rails) for host in hosts), key=len, default=[])
    whole = [host for host in hosts if sorted(host.rails) == complete]
    return tuple(gpu for host in whole for _, gpu in sorted(zip(host.rails, host.gpus, strict=True)))


def scattered(hosts: Sequence[Host], seed: int) -> tuple[int, ...]:
    """Return whole hosts in an order that the seed decides, as a fragmented cluster hands them out."""
    salt = flow_hash(0, seed)
    return contiguous(sorted(hosts, key=lambda host: flow_hash(salt, host.number)), seed)


PLACEMENTS: dict[PlacementName, Callable[[Sequence[Host], int], tuple[int, ...]]] = {
    "contiguous": contiguous,
    "rail-aligned": rail_aligned,
    "scattered": scattered,
}


def place(placement: Placement, num_ranks: int, cluster: Cluster, seed: int = 0) -> tuple[int, ...]:
    """Return the GPU of each rank.

    Parameters
    ----------
    placement
        Which hosts, and how.
    num_ranks
        Ranks to place.
    cluster
        Where to place them.
    seed
        Seed of a scattered placement that has none of its own.

    Raises
    ------
    ScenarioError
        A host that there is not, twice, or that is reserved.
    TopologyError
        More ranks than GPUs, or than GPUs that are left.

    Examples
    --------
    >>> from clustersim.scenario.fabrics import Ring
    >>> from clustersim.topology.table import build_cluster
    >>> ring = build_cluster(Ring(fabric="ring", gpus=6))
    >>> place(Placement(hosts=["gpu3-5", "gpu0"], exclude="gpu4"), 3, ring)
    (3, 5, 0)
    """
    if num_ranks > len(cluster.gpus):
        what = f"{num_ranks} ranks need a GPU each; {cluster.name} has {len(cluster.gpus)}"
        raise TopologyError(Fault("cluster.topology", what))
    own_seed = seed if placement.seed is None else placement.seed
    gpus = PLACEMENTS[placement.name](_usable_hosts(placement, hosts_of(cluster)), own_seed)
    if num_ranks > len(gpus):
        what = f"{num_ranks} ranks; {placement.name} finds {len(gpus)} of {len(cluster.gpus)} GPUs to place them on"
        raise TopologyError(Fault("cluster.placement", what, hint="leave out fewer hosts"))
    return gpus[:num_ranks]


def _usable_hosts(placement: Placement, hosts: Sequence[Host]) -> list[Host]:
    by_name = {host.name: host for host in hosts}
    faults: list[Fault] = []
    chosen = list(by_name.values())
    if placement.hosts is not None:
        chosen = list(_named_hosts("hosts", placement.hosts, by_name, faults))
        times = Counter(host.name for host in chosen)
        repeated = [name for name, count in times.items() if count > 1]
        faults += [Fault("cluster.placement.hosts", f"the host '{name}' stands in the list twice") for name in repeated]
        reserved = [host.name for host in chosen if host.is_reserved]
        faults += [Fault("cluster.placement.hosts", f"the topology reserves the host '{name}'") for name in reserved]
    excluded = {host.name for host in _named_hosts("exclude", placement.exclude or (), by_name, faults)}
    if faults:
        raise ScenarioError(faults)
    return [host for host in chosen if not host.is_reserved and host.name not in excluded]


def _named_hosts(key: str, texts: Sequence[str], by_name: dict[str, Host], faults: list[Fault]) -> Iterator[Host]:
    for index, text in enumerate(texts):
        for name in expand_hosts(text, by_name.__contains__):
            if name in by_name:
                yield by_name[name]
                continue
            hint = nearest(name, list(by_name)) if len(by_name) <= _MAX_NAMES_TO_SEARCH else ""
            faults.append(Fault(f"cluster.placement.{key}.{index}", f"the topology has no host '{name}'", hint=hint))
