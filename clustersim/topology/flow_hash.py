"""A hash of (source, destination): how switches and nodes spread flows over ways that are equally good."""

from __future__ import annotations

_MASK = 2**64 - 1


def flow_hash(source: int, destination: int) -> int:
    """Return 64 well-mixed bits for a pair of numbers, the same on every machine and in every run.

    References
    ----------
    G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 16 (the mixing
    function of SplitMix64).

    Examples
    --------
    >>> flow_hash(0, 1) % 4, flow_hash(1, 0) % 4, flow_hash(0, 1) == flow_hash(0, 1)
    (0, 0, True)
    """
    bits = ((source << 32 | destination) + 1) * 0x9E3779B97F4A7C15 & _MASK
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _MASK
    return bits ^ bits >> 31
