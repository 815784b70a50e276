"""Flows as SimGrid runs them. The system's Python runs this, not pytest: cases come as JSON on standard input.

Each case runs in a process forked for it, as SimGrid has one engine in a process, and importing it is what takes long.
With its model CM02, no TCP window, no cross traffic and no latency, SimGrid's rates are the max-min fair ones.
"""

import json
import sys
from multiprocessing import get_context

from simgrid import Actor, Comm, Engine, LinkInRoute, NetZone, this_actor

CONFIG = ("network/model:CM02", "network/TCP-gamma:0", "network/crosstraffic:0")


def platform(case):
    """Build the network of a case; return its hosts by name. Routes are given, so that switches are no part of it."""
    zone = NetZone.create_full_zone("cluster")
    wires = [zone.create_split_duplex_link(f"w{n}", float(wire[2])) for n, wire in enumerate(case["wires"])]
    for wire in wires:
        wire.set_latency(0.0)
        wire.seal()
    ways = {"up": LinkInRoute.Direction.UP, "down": LinkInRoute.Direction.DOWN}
    hosts = {}
    for source, destination, hops in case["routes"]:
        for name in (source, destination):
            if name not in hosts:
                hosts[name] = zone.create_host(name, 1e9).seal()
        links = [LinkInRoute(wires[wire], ways[way]) for wire, way in hops]
        zone.add_route(hosts[source].netpoint, hosts[destination].netpoint, None, None, links, False)
    zone.seal()
    return hosts


def run(case):
    """Return when each flow of a case ended [s], and what was left of each flow [bytes] at each time asked for."""
    engine = Engine(["oracle", "--log=root.thresh:critical", *(f"--cfg={setting}" for setting in CONFIG)])
    hosts = platform(case)
    under_way, ends, left = {}, {}, []

    def send(number, source, destination, size_bytes, start_s):
        this_actor.sleep_until(start_s)
        under_way[number] = Comm.sendto_async(hosts[source], hosts[destination], size_bytes)
        under_way[number].wait()
        del under_way[number]
        ends[number] = Engine.clock

    def look():
        for time_s in case["look_at_s"]:
            this_actor.sleep_until(time_s)
            left.append({number: comm.remaining for number, comm in sorted(under_way.items())})

    any_host = next(iter(hosts.values()))
    for number, flow in enumerate(case["flows"]):
        Actor.create(f"flow{number}", any_host, send, number, *flow)
    Actor.create("looker", any_host, look)
    engine.run()
    return {"ends_s": [ends[number] for number in range(len(case["flows"]))], "left_bytes": left}


if __name__ == "__main__":
    with get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        json.dump(pool.map(run, json.load(sys.stdin), chunksize=1), sys.stdout)
