"""Text becomes values with positions, the same for YAML, JSON and TOML."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenario_examples import MINIMAL

from clustersim.errors import ScenarioError
from clustersim.scenario.document import read_document
from clustersim.scenario.load import load_scenario
from clustersim.scenario.node import Node, locate, plain
from clustersim.scenario.read_json import read_json
from clustersim.scenario.read_toml import read_toml
from clustersim.scenario.read_yaml import read_yaml
from clustersim.scenario.scalars import resolve_scalar
from clustersim.scenario.text import Text

CORE_SCHEMA = [
    *((word, None) for word in ("", "~", "null", "Null", "NULL")),
    *((word, True) for word in ("true", "True", "TRUE")),
    *((word, False) for word in ("false", "False", "FALSE")),
    *((word, word) for word in ("yes", "no", "on", "off", "y", "n", "No", "nULL", "tRUE")),
    ("010", 10),
    ("0o10", 8),
    ("0x1F", 31),
    ("0b11", "0b11"),
    ("-12", -12),
    ("+12", 12),
    ("1_000", "1_000"),
    ("1e-6", 1e-6),
    ("5e9", 5e9),
    ("1.", 1.0),
    (".5", 0.5),
    ("-1.5E+3", -1500.0),
    ("12:30", "12:30"),
    ("2026-01-01", "2026-01-01"),
    ("10 ms", "10 ms"),
    ("400Gbps", "400Gbps"),
]


@pytest.mark.parametrize(("text", "value"), CORE_SCHEMA)
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    resolved = resolve_scalar(text)
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize("text", ['"010"', "'010'"])
def test_quoted_scalars_are_text(text: str) -> None:
    assert plain(read_yaml(Text("a.yaml", f"a: {text}"))) == {"a": "010"}


def _places(root: Node) -> dict[str, tuple[int, int]]:
    places = {}
    for path in (("a",), ("a", "b"), ("a", "c"), ("a", "c", 0), ("a", "c", 1)):
        position = locate(root, path).value
        assert position is not None
        places[".".join(map(str, path))] = (position.line, position.column)
    return places


def test_yaml_positions() -> None:
    root = read_yaml(Text("a.yaml", "# a comment\na:\n  b: x\n  c: [1, 22]\n"))
    assert plain(root) == {"a": {"b": "x", "c": (1, 22)}}
    assert _places(root) == {"a": (3, 3), "a.b": (3, 6), "a.c": (4, 6), "a.c.0": (4, 7), "a.c.1": (4, 10)}


def test_json_positions() -> None:
    root = read_json(Text("a.json", '{"a":\n  {"b": "x",\n   "c": [1, 22]}}'))
    assert plain(root) == {"a": {"b": "x", "c": (1, 22)}}
    assert _places(root) == {"a": (2, 3), "a.b": (2, 9), "a.c": (3, 9), "a.c.0": (3, 10), "a.c.1": (3, 13)}


def test_toml_positions_are_those_of_lines() -> None:
    root = read_toml(Text("a.toml", '# a comment\n[a]\nb = "x"\n"c" = [1, 22]\n'))
    assert plain(root) == {"a": {"b": "x", "c": (1, 22)}}
    assert _places(root) == {"a": (2, 2), "a.b": (3, 5), "a.c": (4, 7), "a.c.0": (4, 7), "a.c.1": (4, 7)}


def test_toml_arrays_of_tables_have_positions() -> None:
    root = read_toml(Text("a.toml", "[[a.b]]\nc = 1\n[[a.b]]\nc = 2\n"))
    assert plain(root) == {"a": {"b": ({"c": 1}, {"c": 2})}}
    positions = [locate(root, ("a", "b", index, "c")).value for index in (0, 1)]
    assert [str(position) for position in positions] == ["a.toml:2:5", "a.toml:4:5"]


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('ab"\\/\n\té\u20ac\U0001f600'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc", max_size=3), _JSON, max_size=4))
def test_json_is_read_as_the_standard_library_reads_it(value: dict[str, object]) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1)
    assert json.loads(json.dumps(plain(read_json(Text("a.json", text))))) == value


def test_aliases_and_merge_keys() -> None:
    text = "base: &base {x: 1, y: 2}\nown: {<<: *base, y: 3}\nsame: [*base, *base]\n"
    assert plain(read_yaml(Text("a.yaml", text))) == {
        "base": {"x": 1, "y": 2},
        "own": {"x": 1, "y": 3},
        "same": ({"x": 1, "y": 2}, {"x": 1, "y": 2}),
    }


def test_what_is_aliased_stands_where_it_was_written() -> None:
    root = read_yaml(Text("a.yaml", "one: &one 1\ntwo: *one\n"))
    assert str(locate(root, ("two",)).value) == "a.yaml:1:6"


def test_aliases_count_each_time() -> None:
    list_of_1000 = "[" + ", ".join(["x"] * 999) + "]"
    inside = f"a: &a {list_of_1000}\nb: [{', '.join(['*a'] * 98)}]\n"
    assert len(plain(read_yaml(Text("a.yaml", inside)))["b"]) == 98  # type: ignore[index]
    with pytest.raises(ScenarioError, match="more than 100,000 values"):
        read_yaml(Text("a.yaml", inside.replace("b: [", "b: [*a, *a, ")))


@pytest.mark.parametrize("reader", [read_yaml, read_json])
def test_fifty_levels_are_allowed_and_no_more(reader: Callable[[Text], Node]) -> None:
    reader(Text("a", '{"a": ' + "[" * 49 + "]" * 49 + "}"))
    with pytest.raises(ScenarioError, match="deeper than 50 levels"):
        reader(Text("a", '{"a": ' + "[" * 50 + "]" * 50 + "}"))


def test_aliases_add_their_depth() -> None:
    half = "[" * 26 + "]" * 26
    with pytest.raises(ScenarioError, match="deeper than 50 levels"):
        read_yaml(Text("a.yaml", f"a: &a {half}\nb: {'[' * 26}*a{']' * 26}\n"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems(end: str) -> None:
    root = read_yaml(Text("a.yaml", f"a: 1{end}b: 2{end}"))
    position = locate(root, ("b",)).value
    assert position is not None
    assert (position.line, position.column, position.source_line) == (2, 4, "b: 2")


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert load_scenario(path).batch.num_microbatches == 8


def _refused(path: Path, what: str) -> None:
    with pytest.raises(ScenarioError, match=what):
        read_document(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    _refused(tmp_path / "no.yaml", "no such file")
    _refused(tmp_path, "this is a folder")
    (tmp_path / "a.xml").write_text("<a/>")
    _refused(tmp_path / "a.xml", r"'.xml' is no known kind of file; allowed: .yaml, .yml, .json, .toml")


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text("a: " + "x" * 5_000_001)
    _refused(path, "larger than 5 MB")


def test_control_characters_never_reach_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: \x1b[31mred")
    with pytest.raises(ScenarioError) as caught:
        read_document(path)
    assert "\x1b" not in str(caught.value)
