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
from clustersim.topology.drawn_graph import MAX_FAULTS
from clustersim.topology.graph_file import MAX_FILE_BYTES

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


@pytest.mark.parametrize("form", ["json", "graphml"])
def test_an_edge_says_what_each_message_takes_beside_its_bytes(tmp_path: Path, form: str) -> None:
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from("abc", kind="gpu")
    graph.add_edge("a", "b", **EDGE, overhead="3 us")
    graph.add_edge("b", "c", **EDGE)
    path = tmp_path / f"my.{form}"
    if form == "json":
        written(tmp_path, json.dumps(nx.node_link_data(graph, edges="edges")))
    else:
        nx.write_graphml(graph, path)
    cluster = built(path)
    assert [(link.name, link.overhead_ps) for link in cluster.links if "c" not in link.name] == [
        ("a->b", 3_000_000),
        ("b->a", 3_000_000),
    ]
    # 100 kB at 100 GB/s take 1 us; two latencies of 2 us, one overhead of 3 us
    assert cluster.message_ps(0, 2, 10**5) == 8_000_000


def test_what_other_tools_write_is_passed_over(tmp_path: Path) -> None:
    nodes = [{"id": 0, "kind": "gpu", "label": "x", "x": 1.5, "cost": "3 us"}, {"id": 1, "kind": "cpu", "host": 7}]
    edge = {"source": 0, "target": 1, "id": "e0", "width": 2, "weight": 0.5, "label": "3 m", "rtt": "9 us"} | EDGE
    cluster = built(written(tmp_path, json.dumps({"nodes": nodes, "edges": [edge]})))
    assert cluster.nodes["0"]["label"] == "x"
    assert (cluster.nodes["1"]["kind"], cluster.nodes["1"]["host"]) == ("cpu", "7")
    assert {link.latency_ps for link in cluster.links} == {2_000_000}


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
    path = written(tmp_path, json.dumps({"nodes": nodes, "edges": edges}, indent=1))
    with pytest.raises(TopologyError) as refused:
        built(path)
    lines = str(refused.value).splitlines()
    assert [line for line in lines if "error" in line] == [
        "my.json:6:14: error: node a: device: got 3; a device is named by text",
        "my.json:8:3: error: node a: stands in the file twice",
        "my.json:23:17: error: edge a - b: bandwidth: got a bare number (100); "
        "a bandwidth is a number with a unit, such as 400 Gbps or 50 GB/s",
        "my.json:24:15: error: edge a - b: latency: got '3 Gbps'; 'Gbps' is not a unit of time; "
        "allowed: ps, ns, us, µs, μs, ms, s, min, h",
        "my.json:26:3: error: edge b - a: a second edge between the same nodes; parallel edges are not supported",
        "my.json:30:3: error: edge a - a: a node can't be linked to itself",
        "my.json:36:14: error: edge a - bb: target: there is no node 'bb'",
        "my.json:41:16: error: edge a - c: bandwith: unknown attribute",
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
    "no gpu": (
        "g.json",
        '{"nodes": [{"id": 1, "kind": "GPU"}], "edges": []}',
        "g.json:1:1: error: nodes: no node has kind 'gpu'; the kinds in the file: 'GPU'",
    ),
    "NaN": ("g.json", '{"nodes": [{"id": NaN}], "edges": []}', "g.json:1:19: error: not valid JSON: NaN is no value"),
    "repeated key": ("g.json", '{"nodes": [], "nodes": []}', "g.json:1:15: error: nodes: the same key twice"),
    "syntax": ("g.json", '{"nodes":\n [}', "g.json:2:3: error: not JSON: Expecting value"),
    "empty": ("g.json", "", "g.json:1:1: error: not JSON"),
    "nesting": ("g.json", "[" * 200_000, "g.json:1:51: error: values are nested deeper"),
    "long number": (
        "g.json",
        '{"nodes": [{"id": ' + "9" * 5000 + "}]}",
        "g.json:1:19: error: a number of 5000 characters is too long",
    ),
    "a list": ("g.json", "[]", "g.json:1:1: error: a node-link file is an object with nodes and edges"),
    "no edges": ("g.json", '{"nodes": []}', "g.json:1:1: error: got neither of edges and links"),
    "edges twice": (
        "g.json",
        '{"nodes": [], "edges": [], "links": []}',
        "g.json:1:37: error: got both of edges and links",
    ),
    "no nodes": ("g.json", '{"edges": []}', "g.json:1:1: error: nodes must be a list of objects"),
    "no id": (
        "g.json",
        '{"nodes": [{"kind": "gpu"}], "edges": []}',
        "g.json:1:12: error: nodes[0]: id must be text or a whole number",
    ),
    "true as id": (
        "g.json",
        '{"nodes": [{"id": true}], "edges": []}',
        "g.json:1:19: error: nodes[0]: id must be text or a whole number",
    ),
    "no target": (
        "g.json",
        '{"nodes": [], "edges": [{"source": 1}]}',
        "g.json:1:25: error: edges[0]: target must be text or a whole number",
    ),
    "text as edge": (
        "g.json",
        '{"nodes": [], "edges": ["a-b"]}',
        "g.json:1:25: error: edges[0]: source must be text or a whole number",
    ),
    "directed": ("g.json", '{"directed": "yes", "nodes": [], "edges": []}', "g.json:1:14: error: directed: got 'yes'"),
    "entities": ("g.graphml", ENTITY, "g.graphml:1:1: error: document types are not allowed"),
    "XML syntax": ("g.graphml", "<graphml>\n <graph>\n</graphml>", "g.graphml:3:3: error: not XML: mismatched tag"),
    "other XML": ("g.graphml", "<svg/>", "g.graphml:1:1: error: found <svg> with 0 graphs"),
    "two graphs": (
        "g.graphml",
        "<graphml><graph/><graph/></graphml>",
        "g.graphml:1:18: error: found <graphml> with 2 graphs",
    ),
    "hyperedge": (
        "g.graphml",
        "<graphml><graph><hyperedge/></graph></graphml>",
        "g.graphml:1:17: error: <hyperedge> is not supported",
    ),
    "nested": (
        "g.graphml",
        '<graphml><graph><node id="a"><graph/></node></graph></graphml>',
        "g.graphml:1:17: error: <node> is not supported",
    ),
    "no ends": (
        "g.graphml",
        "<graphml><graph><edge source='a'/></graph></graphml>",
        "g.graphml:1:17: error: a <edge> has no target",
    ),
    "half a surrogate pair": ("g.json", r'{"nodes": [{"id": "\udc00"}], "edges": []}', "g.json:1:19: error: half of a"),
    "repeated key far down": (
        "g.json",
        '{"nodes": [],\n "edges": [{"source": 1, "target": 2,\n  "source": 3}]}',
        "g.json:3:3: error: source: the same key twice",
    ),
    "a kind that is nearly gpu": (
        "g.json",
        '{"nodes": [{"id": 0, "kind": "gpu"},\n {"id": 1, "kind": "GPU"}], "edges": []}',
        "g.json:2:20: error: node 1: kind: got 'GPU'; the kind of a GPU is 'gpu'",
    ),
    "a kind that is no text": (
        "g.json",
        '{"nodes": [{"id": 0, "kind": "gpu"},\n {"id": 1, "kind": ["gpu"]}], "edges": []}',
        "g.json:2:20: error: node 1: kind: got ['gpu']; a kind is text, such as gpu or switch",
    ),
    "misspelt attribute of a node": (
        "g.json",
        '{"nodes": [{"id": 0, "kind": "gpu", "hosts": "a"}], "edges": []}',
        "g.json:1:46: error: node 0: hosts: unknown attribute",
    ),
    "bandwidth under another name": (
        "g.json",
        '{"nodes": [{"id": 0, "kind": "gpu"}, {"id": 1}],\n "edges": [{"source": 0, "target": 1, "bw": "9 GB/s"}]}',
        "g.json:2:45: error: edge 0 - 1: bw: unknown attribute",
    ),
    "no bandwidth at all": (
        "g.json",
        '{"nodes": [{"id": 0, "kind": "gpu"}, {"id": 1}],\n "edges": [\n'
        '  {"source": 0, "target": 1, "bandwidth": "0 GB/s"}]}',
        "g.json:3:43: error: edge 0 - 1: bandwidth: got '0 GB/s'",
    ),
    "bare overhead": (
        "g.json",
        '{"nodes": [{"id": 0, "kind": "gpu"}, {"id": 1}],\n "edges": [{"source": 0, "target": 1, "overhead": 3}]}',
        "g.json:2:51: error: edge 0 - 1: overhead: got a bare number (3)",
    ),
    "negative latency": (
        "g.json",
        '{"nodes": [{"id": 0, "kind": "gpu"}, {"id": 1}],\n "edges": [\n'
        '  {"source": 0, "target": 1, "latency": "-1 us"}]}',
        "g.json:3:41: error: edge 0 - 1: latency: got '-1 us'",
    ),
    "edgedefault": (
        "g.graphml",
        '<graphml><graph edgedefault="both"/></graphml>',
        "g.graphml:1:10: error: <graph>: edged",
    ),
    "directed edge": (
        "g.graphml",
        '<graphml><graph><edge source="a" target="b" directed="yes"/></graph></graphml>',
        "g.graphml:1:17: error: <edge>: directed: got 'yes'; it is true or false",
    ),
    "node twice": (
        "g.graphml",
        '<graphml><key id="k" for="node" attr.name="kind"><default>gpu</default></key><graph>\n'
        ' <node id="a"/>\n <node id="a"/></graph></graphml>',
        "g.graphml:3:2: error: node a: stands in the file twice",
    ),
    "text under a key that is not declared": (
        "g.graphml",
        '<graphml><graph><node id="a">\n<data key="kind">gpu</data></node></graph></graphml>',
        "g.graphml:2:1: error: <data>: there is no <key> with id 'kind'",
    ),
    "text twice under one key": (
        "g.graphml",
        '<graphml><key id="k" for="node" attr.name="kind"/><graph><node id="a">\n'
        '<data key="k">gpu</data><data key="k">nic</data></node></graph></graphml>',
        "g.graphml:2:25: error: <data>: the key 'k' stands twice in one <node>",
    ),
    "a default": (
        "g.graphml",
        '<graphml><key id="k" for="edge" attr.name="latency">\n<default>soon</default></key><graph><node id="a"/>'
        '<node id="b"/><edge source="a" target="b"/></graph></graphml>',
        "g.graphml:2:1: error: edge a - b: latency: got 'soon'",
    ),
    "bare bandwidth": (
        "g.graphml",
        '<graphml><key id="w" for="edge" attr.name="bandwidth" attr.type="double"/><graph edgedefault="undirected">\n'
        '<node id="a"/><node id="b"/><edge source="a" target="b"><data key="w">100.0</data></edge></graph></graphml>',
        "g.graphml:2:57: error: edge a - b: bandwidth: got '100.0' without a unit",
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
        binary: r"binary.json:1:1: error: not UTF-8 text: byte 0xff",
        large: "at most 50 MB",
    }
    for path, message in expected.items():
        with pytest.raises(TopologyError, match=message):
            built(path)
