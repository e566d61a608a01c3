"""Small changes of a package's code, one a line (JSON): file, place, what stood there, what stands there now.

Runs in an environment of its own (build/mutants) with cosmic-ray, whose operators make the changes:
`build/mutants/bin/python tests/mutants/generate.py bench/oracle`. Left alone is what mypy watches and nothing
executes here: type annotations, and `frozen`, `slots` and `kw_only` of classes.
"""

from __future__ import annotations

import ast
import copy
import json
import sys
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.plugins import get_operator

PER_LINE = 10_000
"""More than a line has columns: line * PER_LINE + column orders places."""
LEVELS = 3
COMPARISONS = (
    "Eq_NotEq", "NotEq_Eq", "Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt", "Is_IsNot",
    "IsNot_Is",
)  # fmt: skip
"""Each comparison at its boundary, and turned round; the others are killed by the tests that kill these."""
ARITHMETIC = (
    "Add_Sub", "Sub_Add", "Mul_FloorDiv", "Div_Mul", "FloorDiv_Mul", "Mod_FloorDiv", "LShift_RShift", "RShift_LShift",
    "BitAnd_BitOr", "BitOr_BitAnd", "BitXor_BitOr",
)  # fmt: skip
OPERATORS = (
    *(f"core/ReplaceComparisonOperator_{pair}" for pair in COMPARISONS),
    *(f"core/ReplaceBinaryOperator_{pair}" for pair in ARITHMETIC),
    "core/ReplaceUnaryOperator_USub_UAdd", "core/ReplaceUnaryOperator_Delete_Not", "core/AddNot", "core/NumberReplacer",
    "core/ReplaceAndWithOr", "core/ReplaceOrWithAnd", "core/ReplaceTrueWithFalse", "core/ReplaceFalseWithTrue",
    "core/ReplaceBreakWithContinue", "core/ReplaceContinueWithBreak", "core/ZeroIterationForLoop",
    "core/ExceptionReplacer",
)  # fmt: skip


def annotated(tree: ast.AST) -> list[tuple[int, int]]:
    """Return the (first, last) places of what mypy watches, each as line * PER_LINE + column in bytes."""
    found: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            found.append(node.annotation)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            found.append(node.returns)
        if isinstance(node, ast.Assign) and _is_alias(node):
            found.append(node.value)
        if isinstance(node, ast.ClassDef):
            found += [each for each in node.decorator_list if isinstance(each, ast.Call)]
    return [
        (each.lineno * PER_LINE + each.col_offset, (each.end_lineno or 0) * PER_LINE + (each.end_col_offset or 0))
        for each in found
    ]


def _is_alias(node: ast.Assign) -> bool:
    """Return whether this is `Name = Some | Other` or `Name = Callable[...]`: a type that has a name."""
    names = [child for child in ast.walk(node.value) if isinstance(child, ast.Name | ast.Attribute | ast.Constant)]
    unions = isinstance(node.value, ast.BinOp | ast.Subscript)
    types = (isinstance(each, ast.Name) and (each.id[:1].isupper() or each.id in _BUILT_IN) for each in names)
    return unions and all(types)


_BUILT_IN = {"bytes", "int", "str", "float", "bool", "tuple", "list", "dict", "set", "frozenset", "object"}


def mutants(path: Path) -> Iterator[dict[str, object]]:
    """Yield every change of one file."""
    code = path.read_text(encoding="utf-8")
    spans = annotated(ast.parse(code))
    starts = list(accumulate((len(line) for line in code.splitlines(keepends=True)), initial=0))
    operators = [(name.removeprefix("core/"), get_operator(name)()) for name in OPERATORS]
    for node in ast_nodes(get_ast(code)):
        line, column = node.get_start_pos_of_prefix()
        begin, old_code = starts[line - 1] + column, node.get_code()
        for name, operator in operators:
            for index, _place in enumerate(operator.mutation_positions(node)):
                at, old, new = _difference(old_code, operator.mutate(_copy(node), index).get_code())
                line, column = _line_and_column(code, begin + at)
                bytes_before = len(code[starts[line - 1] : begin + at].encode())
                place = line * PER_LINE + bytes_before
                changed = code[: begin + at] + new + code[begin + at + len(old) :]
                if old != new and not any(first <= place < last for first, last in spans) and _compiles(changed):
                    yield {
                        "file": path.as_posix(), "line": line, "column": column, "operator": name,
                        "offset": begin + at, "old": old, "new": new,
                    }  # fmt: skip


def _compiles(code: str) -> bool:
    """Return whether this is Python: the `*` of a signature is no product."""
    try:
        compile(code, "changed", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


def _copy(node: Any) -> Any:
    """Return a copy of a node with what is just around it: an operator changes the node, and looks at its parents."""
    path: list[int] = []
    top = node
    while top.parent is not None and len(path) < LEVELS:
        path.append(next(at for at, child in enumerate(top.parent.children) if child is top))
        top = top.parent
    around, top.parent = top.parent, None
    try:
        copied = copy.deepcopy(top)
    finally:
        top.parent = around
    for at in reversed(path):
        copied = copied.children[at]
    return copied


def _difference(before: str, after: str) -> tuple[int, str, str]:
    """Return where two texts begin to differ, and what stands there in each, in whole words."""
    shorter = min(len(before), len(after))
    start = next((at for at in range(shorter) if before[at] != after[at]), shorter)
    end = next((at for at in range(shorter - start) if before[-1 - at] != after[-1 - at]), shorter - start)
    while start and _is_in_word(before[start - 1]):
        start -= 1
    while end and _is_in_word(before[len(before) - end]):
        end -= 1
    return start, before[start : len(before) - end], after[start : len(after) - end]


def _is_in_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1)


if __name__ == "__main__":
    for source in sorted(Path(sys.argv[1]).rglob("*.py")):
        for mutant in mutants(source):
            print(json.dumps(mutant))
