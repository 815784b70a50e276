"""Graph files: both formats, both ways of drawing, and what is refused."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import networkx as nx
import pytest

from clustersim.errors import TopologyError, UnroutableError
from clustersim.scenario.fabrics import GraphFile
from clustersim.topology import Cluster, build_cluster
from clustersim.topology.graph_file import MAX_FAULTS, MAX_FILE_BYTES

EDGE = {"bandwidth": "100 GB/s", "latency": "2 us"}


def built(path: Path, device: str | None = None) -> Cluster:
    return build_cluster(GraphFile(fabric="graph", file=path.name, device=device).resolved(path.parent))


def written(folder: Path, text: str, name: str = "my.json") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def star(directed: bool = False) -> nx.Graph[str]:
    graph: nx.Graph[str] = nx.DiGraph() if directed else nx.Graph()
    graph.add_node("switch", kind="switch")
    for gpu in ("a", "b", "c"):
        graph.add_node(gpu, kind="gpu")
        graph.add_edge(gpu, "switch", **EDGE)
        graph.add_edge("switch", gpu, **EDGE)
    graph.nodes["b"]["device"] = "H100-SXM5-80GB"
    return graph


@pytest.mark.parametrize("directed", [False, True], ids=["undirected", "directed"])
@pytest.mark.parametrize("form", ["graphml", "edges", "links"])
def test_what_networkx_writes_is_read(tmp_path: Path, form: str, directed: bool) -> None:
    graph = star(directed)
    if form == "graphml":
        path = tmp_path / "my.graphml"
        nx.write_graphml(graph, path)
    else:
        path = written(tmp_path, json.dumps(nx.node_link_data(graph, edges=form)))
    cluster = built(path, device="A100-SXM4-80GB")
    assert cluster.gpus == ("a", "b", "c")
    assert cluster.devices == ("A100-SXM4-80GB", "H100-SXM5-80GB", "A100-SXM4-80GB")
    assert [cluster.links[link].name for link in cluster.route(0, 2)] == ["a->switch", "switch->c"]
    assert {(link.bandwidth_bytes_per_s, link.latency_ps) for link in cluster.links} == {(Fraction(10**11), 2_000_000)}
    assert cluster.graph.is_directed() == directed
    assert len(cluster.links) == 6


def test_an_undirected_edge_has_its_bandwidth_in_each_direction(tmp_path: Path) -> None:
    document = {
        "nodes": [{"id": 0, "kind": "gpu"}, {"id": 1, "kind": "gpu"}],
        "edges": [{"source": 0, "target": 1} | EDGE],
    }
    cluster = built(written(tmp_path, json.dumps(document)))
    assert [link.name for link in cluster.links] == ["0->1", "1->0"]
    assert [link.transfer_ps(10**5) for link in cluster.links] == [10**6, 10**6]


def test_a_directed_edge_goes_one_way(tmp_path: Path) -> None:
    nodes = [{"id": name, "kind": "gpu"} for name in "abc"]
    edges = [{"source": "a", "target": "b"}, {"source": "b", "target": "c"}, {"source": "c", "target": "a"}]
    cluster = built(written(tmp_path, json.dumps({"directed": True, "nodes": nodes, "edges": edges})))
    assert [len(cluster.route(0, gpu)) for gpu in range(3)] == [0, 1, 2]
    assert [len(cluster.route(gpu, 0)) for gpu in range(3)] == [0, 2, 1]


def test_graphml_may_mix_directed_and_undirected_edges_and_defaults(tmp_path: Path) -> None:
    text = """<graphml><key id="k" for="node" attr.name="kind"><default>gpu</default></key>
    <key id="l" for="edge" attr.name="latency"><default>1 us</default></key>
    <graph edgedefault="undirected"><node id="a"/><node id="b"/><node id="s"><data key="k">switch</data></node>
    <edge source="a" target="s"/><edge source="s" target="b" directed="true"><data key="l">3 us</data></edge>
    </graph></graphml>"""
    cluster = built(written(tmp_path, text, "my.graphml"))
    assert cluster.gpus == ("a", "b")
    latencies = [(link.name, link.latency_ps) for link in cluster.links]
    assert latencies == [("a->s", 1_000_000), ("s->a", 1_000_000), ("s->b", 3_000_000)]
    assert len(cluster.route(0, 1)) == 2
    with pytest.raises(UnroutableError):
        cluster.route(1, 0)


def test_among_equal_paths_the_first_node_of_the_file_wins(tmp_path: Path) -> None:
    nodes = [{"id": "x"}, {"id": "y"}, {"id": "a", "kind": "gpu"}, {"id": "b", "kind": "gpu"}]
    edges = [{"source": "a", "target": "y"}, {"source": "y", "target": "b"}]
    edges += [{"source": "x", "target": "b"}, {"source": "a", "target": "x"}]
    for listed in (edges, edges[::-1]):
        cluster = built(written(tmp_path, json.dumps({"nodes": nodes, "edges": listed})))
        assert cluster.links[cluster.route(0, 1)[0]].target == "x"


def test_gpus_without_a_path_are_found_when_they_talk(tmp_path: Path) -> None:
    nodes = [{"id": name, "kind": "gpu"} for name in ("a", "b", "lonely")]
    path = written(tmp_path, json.dumps({"nodes": nodes, "edges": [{"source": "a", "target": "b"}]}))
    cluster = built(path)
    assert len(cluster.route(0, 1)) == 1
    with pytest.raises(UnroutableError, match=r"no path from GPU 0 \(a\) to GPU 2 \(lonely\)") as refused:
        cluster.route(0, 2)
    assert refused.value.exit_code == 3


def test_all_faults_are_reported_together(tmp_path: Path) -> None:
    nodes = [{"id": "a", "kind": "gpu", "device": 3}, {"id": "a"}, {"id": "b", "kind": "gpu"}, {"id": "c"}]
    edges = [
        {"source": "a", "target": "b", "bandwidth": 100, "latency": "3 Gbps"},
        {"source": "b", "target": "a"},
        {"source": "a", "target": "a"},
        {"source": "a", "target": "bb"},
        {"source": "a", "target": "c", "bandwith": "1 GB/s"},
    ]
    path = written(tmp_path, json.dumps({"nodes": nodes, "edges": edges}))
    with pytest.raises(TopologyError) as refused:
        built(path)
    lines = str(refused.value).splitlines()
    assert [line for line in lines if line.startswith("error")] == [
        "error: my.json: node a: device: got 3; a device is named by text",
        "error: my.json: node a: stands in the file twice",
        "error: my.json: edge b - a: a second edge between the same nodes; parallel edges are not supported",
        "error: my.json: edge a - a: a node can't be linked to itself",
        "error: my.json: edge a - bb: there is no node 'bb'",
        "error: my.json: edge a - b: bandwidth: got a bare number (100); "
        "a bandwidth is a number with a unit, such as 400 Gbps or 50 GB/s",
        "error: my.json: edge a - b: latency: got '3 Gbps'; 'Gbps' is not a unit of time; "
        "allowed: ps, ns, us, µs, μs, ms, s, min, h",
        "error: my.json: edge a - c: unknown attribute 'bandwith'",
    ]
    assert "  hint: did you mean 'b'?" in lines
    assert "  hint: did you mean 'bandwidth'?" in lines


def test_thousands_of_faults_stay_readable(tmp_path: Path) -> None:
    edges = [{"source": "a", "target": f"b{index}"} for index in range(3000)]
    path = written(tmp_path, json.dumps({"nodes": [{"id": "a", "kind": "gpu"}], "edges": edges}))
    with pytest.raises(TopologyError) as refused:
        built(path)
    assert len(refused.value.faults) == MAX_FAULTS


ENTITY = '<!DOCTYPE x [<!ENTITY a "aaaa">]><graphml><graph/></graphml>'
REFUSED = {
    "no gpu": ("g.json", '{"nodes": [{"id": 1, "kind": "GPU"}], "edges": []}', "the kinds in the file: 'GPU'"),
    "NaN": ("g.json", '{"nodes": [{"id": NaN}], "edges": []}', "NaN is not JSON"),
    "repeated key": ("g.json", '{"nodes": [], "nodes": []}', "'nodes' stands twice"),
    "syntax": ("g.json", '{"nodes":\n [}', "g.json:2:3: error: not JSON: Expecting value"),
    "empty": ("g.json", "", "g.json:1:1: error: not JSON"),
    "nesting": ("g.json", "[" * 200_000, "nested too deeply"),
    "long number": ("g.json", '{"nodes": [{"id": ' + "9" * 5000 + "}]}", "g.json: Exceeds the limit"),
    "a list": ("g.json", "[]", "an object with nodes and edges"),
    "no edges": ("g.json", '{"nodes": []}', "got neither of edges and links"),
    "edges twice": ("g.json", '{"nodes": [], "edges": [], "links": []}', "got both of edges and links"),
    "no nodes": ("g.json", '{"edges": []}', "nodes must be a list of objects"),
    "no id": ("g.json", '{"nodes": [{"kind": "gpu"}], "edges": []}', r"nodes[0]: id must be text or a whole number"),
    "true as id": ("g.json", '{"nodes": [{"id": true}], "edges": []}', r"nodes[0]: id must be text or a whole number"),
    "no target": (
        "g.json",
        '{"nodes": [], "edges": [{"source": 1}]}',
        "edges[0]: target must be text or a whole number",
    ),
    "text as edge": ("g.json", '{"nodes": [], "edges": ["a-b"]}', "edges[0]: source must be text or a whole number"),
    "directed": ("g.json", '{"directed": "yes", "nodes": [], "edges": []}', "directed: got 'yes'"),
    "entities": ("g.graphml", ENTITY, "document types and entities are not allowed"),
    "XML syntax": ("g.graphml", "<graphml>\n <graph>\n</graphml>", "g.graphml:3:3: error: not XML: mismatched tag"),
    "other XML": ("g.graphml", "<svg/>", "found <svg> with 0 graphs"),
    "two graphs": ("g.graphml", "<graphml><graph/><graph/></graphml>", "<graphml> with 2 graphs"),
    "hyperedge": ("g.graphml", "<graphml><graph><hyperedge/></graph></graphml>", "<hyperedge> is not supported"),
    "nested": (
        "g.graphml",
        '<graphml><graph><node id="a"><graph/></node></graph></graphml>',
        "<node> is not supported",
    ),
    "no ends": ("g.graphml", "<graphml><graph><edge source='a'/></graph></graphml>", "a <edge> has no target"),
    "bare bandwidth": (
        "g.graphml",
        '<graphml><key id="w" for="edge" attr.name="bandwidth" attr.type="double"/><graph edgedefault="undirected">'
        '<node id="a"/><node id="b"/><edge source="a" target="b"><data key="w">100.0</data></edge></graph></graphml>',
        "edge a - b: bandwidth: got '100.0' without a unit",
    ),
}


@pytest.mark.parametrize(("name", "text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_malformed_files_are_refused_in_words(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = written(tmp_path, text, name)
    with pytest.raises(TopologyError) as refused:
        built(path)
    assert message in str(refused.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    folder, binary, large = tmp_path / "folder.json", tmp_path / "binary.json", tmp_path / "large.json"
    folder.mkdir()
    binary.write_bytes('{"nodes": []}'.encode("utf-16"))
    large.write_bytes(b" " * (MAX_FILE_BYTES + 1))
    expected = {
        tmp_path / "missing.json": "there is no such graph file",
        folder: "there is no such graph file",
        binary: "not UTF-8 text",
        large: "at most 50 MB",
    }
    for path, message in expected.items():
        with pytest.raises(TopologyError, match=message):
            built(path)
