"""What an imported file does not tell, and the user was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from clustersim.errors import Fault, TopologyError
from clustersim.scenario.units import format_bandwidth, parse_bandwidth_bytes_per_s, parse_time_ps
from clustersim.topology.drawn_graph import DrawnEdge


class Asked:
    """The user's answers, by option; notes which ones are needed and missing, or no quantities.

    Examples
    --------
    >>> asked = Asked({"link-bandwidth": "25 GB/s"})
    >>> asked.edge("gpu0", "gpu1", asked.bandwidth("link-bandwidth", "one NVLink") * 12).attributes
    {'bandwidth': '300 GB/s'}
    """

    def __init__(self, answers: Mapping[str, str | int | None]) -> None:
        self._answers = answers
        self._faults: dict[str, Fault] = {}
        latency = answers.get("latency")
        self._latency = None if latency is None else str(latency)
        if latency is not None:
            try:
                parse_time_ps(latency)
            except ValueError as error:
                self._faults["latency"] = Fault("--latency", str(error))

    def bandwidth(self, option: str, what: str) -> Fraction:
        """Return the bandwidth given with an option; without one, note that that of `what` is missing. [bytes/s]"""
        answer = self._answers.get(option)
        if answer is None:
            self._faults[option] = Fault(f"--{option}", f"is needed: the file does not tell the bandwidth of {what}")
            return Fraction(1)
        try:
            return parse_bandwidth_bytes_per_s(answer)
        except ValueError as error:
            self._faults[option] = Fault(f"--{option}", str(error))
            return Fraction(1)

    def count(self, option: str, what: str) -> int:
        """Return the number given with an option; if there is none, note that that of `what` is missing."""
        answer = self._answers.get(option)
        if not isinstance(answer, int):
            self._faults[option] = Fault(f"--{option}", f"is needed: the file does not tell the number of {what}")
            return 1
        return answer

    def text(self, option: str) -> str | None:
        """Return the text given with an option that may be left out."""
        answer = self._answers.get(option)
        return None if answer is None else str(answer)

    def edge(self, source: str, target: str, bandwidth_bytes_per_s: Fraction | None) -> DrawnEdge:
        """Return an edge with the latency that was given; None is unlimited bandwidth, and then there is no latency."""
        attributes: dict[str, object] = {}
        if bandwidth_bytes_per_s is not None:
            attributes["bandwidth"] = format_bandwidth(bandwidth_bytes_per_s)
            if self._latency is not None:
                attributes["latency"] = self._latency
        return DrawnEdge(source, target, False, attributes)

    def raise_if_missing(self) -> None:
        """Raise TopologyError with all that is missing or wrong, or return."""
        if self._faults:
            raise TopologyError(self._faults.values())
