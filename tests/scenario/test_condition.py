"""Conditions: they mean what Python means by them, and can do nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.scenario.condition import ConditionError, parse_condition

VALUES: dict[str, Any] = {
    "tp": 8,
    "pp": 4,
    "a.b": 2.5,
    "forward": "10 ms",
    "weights": "1 GiB",
    "schedule": "1f1b",
    "is_on": True,
}

_numbers = st.one_of(st.integers(0, 50).map(str), st.sampled_from(["tp", "pp", "0.5", "-3"]))
_sums = st.recursive(
    _numbers,
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(
        lambda parts: f"({' '.join(parts)})"
    ),
    max_leaves=6,
)
_comparisons = st.tuples(_sums, st.sampled_from(["<", "<=", "==", "!=", ">", ">="]), _sums).map(" ".join)
_conditions = st.recursive(
    _comparisons,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda part: f"(not {part})"),
    ),
    max_leaves=4,
)


@given(_conditions)
def test_arithmetic_and_logic_are_python_s(text: str) -> None:
    names = {"tp": 8, "pp": 4}
    try:
        expected = eval(text, {"__builtins__": {}}, names)
    except ZeroDivisionError:
        with pytest.raises(ConditionError, match="division by zero"):
            parse_condition(text).holds(names.__getitem__)
    else:
        assert parse_condition(text).holds(names.__getitem__) is expected


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("tp * pp <= 32", True),
        ("8 == tp < pp", False),
        ("a.b == 2.5", True),
        ("schedule in ['1f1b', 'gpipe'] and schedule != 'zb-h1'", True),
        ("schedule not in ('1f1b',)", False),
        ("schedule == 3", False),
        ("forward <= '10000 us'", True),
        ("2 * forward - '5 ms' > '14 ms'", True),
        ("forward / '1 ms' == 10", True),
        ("weights * 4 // '1 GiB' == 4", True),
        ("is_on and not tp == 4", True),
        ("tp == 4 or\n  tp == 8", True),
        ("tp == 8 or schedule < 2", True),  # as in Python, what decides ends it
        ("'9 USD/MWh' < '0.1 USD/kWh'", True),
        ("'120 USD/MWh' < '0.1 USD/kWh'", False),
        ("'2 days' > '3 h'", True),
    ],
)
def test_quantities_and_text(text: str, holds: bool) -> None:
    assert parse_condition(text).holds(VALUES.__getitem__) is holds


@pytest.mark.parametrize(
    ("text", "column", "what"),
    [
        ("tp ** 9 > 1", 1, "powers are not allowed"),
        ("tp > 1 and __import__('os')", 12, "calls are not allowed"),
        ("tp.__class__ == 1 or ().__class__", 22, "such expressions are not allowed"),
        ("é == 1 and (lambda: 1)", 13, "functions are not allowed"),
        ("tp == tp[0]", 7, "subscripts are not allowed"),
        ("tp is 4", 1, "tests with 'is' are not allowed"),
        ("tp if pp else 2", 1, "choices with if and else"),
        ("tp <", 5, "no expression"),
        ("-" * 900 + "1", 102, "nested too deeply"),
        ("x" * 1001, 1001, "at most 1000 characters"),
        ("forward < 10", 1, "a time can't be compared with 10"),
        ("pp == 4 and forward + weights > '1 ms'", 13, "a time and a size can't be calculated with so"),
        ("schedule * 2 == 'x'", 1, "'1f1b' and 2 can't be calculated with so"),
        ("forward * forward > '1 ms'", 1, "can't be calculated with so"),
        ("tp", 1, "a condition is true or false"),
        ("not tp", 5, "8 is not true or false"),
        ("tp in pp", 1, "4 is no list"),
        ("'100 USD/MWh' < '2 USD/h'", 1, "can't be compared"),
        ("schedule < 'x'", 1, "'1f1b' can't be compared with 'x'"),
        ("[1] < ['a']", 1, "can't be compared"),
        ("pp == 4 and dp == 1", 13, "'dp' has no value here"),
    ],
)
def test_mistakes_are_told_with_their_column(text: str, column: int, what: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse_condition(text).holds(VALUES.__getitem__)
    assert (caught.value.offset + 1, what in caught.value.what) == (column, True), caught.value


@pytest.mark.parametrize("text", ["tp = 4", "(" * 500, "1f1b", "tp == 'a", "", "tp == \\d"])
def test_what_python_cannot_read_is_no_condition(text: str) -> None:
    with pytest.raises(ConditionError, match="no expression"):
        parse_condition(text)


def test_the_keys_that_it_names_are_found() -> None:
    assert list(parse_condition("a.b < 1 and not c == a.b").named_keys()) == [("a.b", 0), ("c", 16), ("a.b", 21)]
