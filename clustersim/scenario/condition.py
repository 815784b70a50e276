"""Conditions: expressions over the keys of a scenario, such as ``parallelism.tp * parallelism.pp <= 64``.

They are read with Python's grammar, of which they may use arithmetic (``+ - * / // %``), comparisons, ``in`` a list,
``and``, ``or`` and ``not``; nothing is ever called or executed. A quantity is text with its unit: ``'10 ms'``.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from clustersim.scenario.kinds import kind_of_unit, split_quantity

MAX_LENGTH = 1000
_MAX_DEPTH = 100

ValueOf = Callable[[str], Any]
"""Gives the value under a dotted key, as a file would hold it; KeyError where there is none."""


class ConditionError(ValueError):
    """A condition that can't be read, or not be answered; `offset` is the character at which it goes wrong."""

    def __init__(self, offset: int, what: str) -> None:
        self.offset = offset
        self.what = what
        super().__init__(f"column {offset + 1}: {what}")


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount in the base unit of its kind; only what is of one kind is added and compared."""

    amount: Fraction
    kind: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that was read and has no part that is not allowed."""

    text: str
    tree: ast.expr

    def named_keys(self) -> Iterator[tuple[str, int]]:
        """Yield each dotted key that it names, with its offset."""
        yield from _keys(self.tree, self.text)

    def holds(self, value_of: ValueOf) -> bool:
        """Return whether it holds.

        Raises
        ------
        ConditionError
            It makes no sense for these values.

        Examples
        --------
        >>> condition = parse_condition("tp * pp <= 64 and schedule in ['1f1b', 'gpipe']")
        >>> condition.holds({"tp": 8, "pp": 8, "schedule": "1f1b"}.__getitem__)
        True
        """
        found = _Answer(self.text, value_of).of(self.tree)
        if not isinstance(found, bool):
            raise ConditionError(0, "a condition is true or false; compare it with something")
        return found


def parse_condition(text: str) -> Condition:
    """Return the condition in a text.

    Raises
    ------
    ConditionError
        Where and why it is none.

    Examples
    --------
    >>> parse_condition("len(schedule) > 3")
    Traceback (most recent call last):
    clustersim.scenario.condition.ConditionError: column 1: calls are not allowed; allowed: + - * / // %, comparisons, \
in, and, or, not
    """
    line = " ".join(text.split())
    if len(line) > MAX_LENGTH:
        raise ConditionError(MAX_LENGTH, f"a condition has at most {MAX_LENGTH} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's advice on how to write programs
            tree = ast.parse(line, mode="eval").body
    except SyntaxError as error:
        offset = error.offset - 1 if error.offset else len(line)  # none at the end
        raise ConditionError(offset, f"no expression: {error.msg}; texts and quantities have quotes") from None
    except (RecursionError, MemoryError, ValueError):
        raise ConditionError(0, "no expression that can be read") from None
    _check(tree, line, 0)
    return Condition(line, tree)


_ALLOWED = "allowed: + - * / // %, comparisons, in, and, or, not"
_NAMES: dict[type[ast.AST], str] = {
    ast.Call: "calls",
    ast.Subscript: "subscripts",
    ast.Lambda: "functions",
    ast.IfExp: "choices with if and else",
    ast.JoinedStr: "formatted texts",
    ast.Dict: "mappings",
    ast.Pow: "powers",
    ast.NamedExpr: "assignments",
    ast.Is: "tests with 'is'",
    ast.IsNot: "tests with 'is'",
}
_ARITHMETIC: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: dict[type[ast.AST], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_MEMBERSHIP = (ast.In, ast.NotIn)


def _offset(node: ast.expr, text: str) -> int:
    """Return where a part starts; Python counts the bytes before it."""
    return len(text.encode()[: node.col_offset].decode())


def _check(node: ast.expr, text: str, depth: int) -> None:
    """Raise ConditionError at the first part that no condition may have."""
    if depth > _MAX_DEPTH:
        raise ConditionError(_offset(node, text), "nested too deeply")
    operators: list[ast.AST] = []
    match node:
        case ast.BoolOp(values=parts):
            pass
        case ast.UnaryOp(operand=operand):
            parts, operators = [operand], [] if isinstance(node.op, ast.Not | ast.USub) else [node.op]
        case ast.BinOp(left=left, right=right):
            parts, operators = [left, right], [] if type(node.op) in _ARITHMETIC else [node.op]
        case ast.Compare(left=left, comparators=rest):
            parts = [left, *rest]
            operators = [op for op in node.ops if type(op) not in _COMPARISONS and not isinstance(op, _MEMBERSHIP)]
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            pass
        case ast.Constant(value=bool() | int() | float() | str()):
            return
        case ast.Name() | ast.Attribute() if _key(node):
            return
        case _:
            parts, operators = [], [node]
    for refused in operators:
        name = _NAMES.get(type(refused), "such expressions")
        raise ConditionError(_offset(node, text), f"{name} are not allowed; {_ALLOWED}")
    for part in parts:
        _check(part, text, depth + 1)


def _key(node: ast.expr) -> str:
    """Return the dotted key that a part is, an empty text if it is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (parent := _key(node.value)):
        return f"{parent}.{node.attr}"
    return ""


def _keys(node: ast.AST, text: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Name | ast.Attribute):
        yield _key(node), _offset(node, text)
        return
    for part in ast.iter_child_nodes(node):
        yield from _keys(part, text)


class _Answer:
    """What the parts of one condition come to, for the values of one point."""

    def __init__(self, text: str, value_of: ValueOf) -> None:
        self.text = text
        self.value_of = value_of

    def of(self, node: ast.expr) -> Any:
        match node:
            case ast.BoolOp(op=op, values=parts):
                # as in Python, parts after the one that decides are not looked at
                answers = (self._truth(part) for part in parts)
                return all(answers) if isinstance(op, ast.And) else any(answers)
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return not self._truth(part)
            case ast.UnaryOp(operand=part):
                return self._arithmetic(node, operator.mul, -1, self.of(part))
            case ast.BinOp(left=left, op=op, right=right):
                return self._arithmetic(node, _ARITHMETIC[type(op)], self.of(left), self.of(right))
            case ast.Compare(left=left, ops=ops, comparators=rest):
                values = [self.of(part) for part in (left, *rest)]
                return all(self._compared(node, op, *values[i : i + 2]) for i, op in enumerate(ops))
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return [self.of(part) for part in parts]
            case ast.Constant(value=value):
                return _number_of(value)
        return self._looked_up(node)

    def _looked_up(self, node: ast.expr) -> Any:
        key = _key(node)
        try:
            return _number_of(self.value_of(key))
        except KeyError:
            raise self._error(node, f"'{key}' has no value here") from None

    def _truth(self, node: ast.expr) -> bool:
        value = self.of(node)
        if not isinstance(value, bool):
            raise self._error(node, f"{_shown(value)} is not true or false; compare it with something")
        return value

    def _arithmetic(self, node: ast.expr, operate: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
        try:
            return _operated(operate, left, right)
        except ZeroDivisionError:
            raise self._error(node, "a division by zero") from None
        except (TypeError, OverflowError):
            raise self._error(node, f"{_shown(left)} and {_shown(right)} can't be calculated with so") from None

    def _compared(self, node: ast.expr, op: ast.cmpop, left: Any, right: Any) -> bool:
        if isinstance(op, _MEMBERSHIP):
            if not isinstance(right, list):
                raise self._error(node, f"{_shown(right)} is no list")
            return (left in right) == isinstance(op, ast.In)
        of_one_sort = _sort(left) == _sort(right)
        has_order = isinstance(left, Quantity) or _sort(left) == "number"
        if not (of_one_sort and has_order) and not isinstance(op, ast.Eq | ast.NotEq):
            raise self._error(node, f"{_shown(left)} can't be compared with {_shown(right)}")
        if of_one_sort and isinstance(left, Quantity):
            left, right = left.amount, right.amount
        return bool(_COMPARISONS[type(op)](left, right))

    def _error(self, node: ast.expr, what: str) -> ConditionError:
        return ConditionError(_offset(node, self.text), what)


def _number_of(value: Any) -> Any:
    """Return a value to calculate with: text that is a quantity becomes one."""
    found = split_quantity(value) if isinstance(value, str) else None
    unit = kind_of_unit(found[1]) if found else None
    return Quantity(found[0] * unit[1], unit[0]) if found and unit else value


def _operated(operate: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """Return what an operation gives; TypeError for what has no meaning, as a time and a size added."""
    sorts = _sort(left), _sort(right)
    if sorts == ("number", "number"):
        return operate(left, right)
    if not isinstance(left, Quantity) and not isinstance(right, Quantity):
        raise TypeError
    if sorts[0] == sorts[1]:
        result = operate(left.amount, right.amount)
        if operate in (operator.truediv, operator.floordiv):
            return result
        if operate is not operator.mul:
            return Quantity(result, left.kind)
    elif operate is operator.mul and "number" in sorts:
        quantity, number = (left, right) if isinstance(left, Quantity) else (right, left)
        return Quantity(quantity.amount * Fraction(number), quantity.kind)
    elif operate is operator.truediv and sorts[1] == "number":
        return Quantity(left.amount / Fraction(right), left.kind)
    raise TypeError


def _sort(value: Any) -> str:
    if isinstance(value, Quantity):
        return value.kind
    if isinstance(value, bool):
        return "truth value"
    return "number" if isinstance(value, int | float | Fraction) else type(value).__name__


def _shown(value: Any) -> str:
    if isinstance(value, Quantity):
        return f"a {value.kind}"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float | str) else f"a {_sort(value)}"
