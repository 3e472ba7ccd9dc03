"""Every single change of a module, as code: what ``tools/mutate.py`` tries one at a time.

Comparisons, ``and``/``or``, ``not``, choices, constants, branches, and calls that stand for
themselves. The tree keeps its line numbers, so that a changed function is found among those loaded.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

_OTHER = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip

#: A function by its qualified name and first line.
Key = tuple[str, int]


@dataclass(frozen=True)
class Mutant:
    """One change.

    :param code: the whole module with it
    :param functions: those that differ; none where the module's or a class's own lines changed
    """

    line: int
    words: str
    code: CodeType
    functions: dict[Key, CodeType]


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every single change of a node: in words, and the node instead."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _OTHER:
        new = copy.deepcopy(node)
        new.ops[0] = _OTHER[type(node.ops[0])]()
        yield "comparison", new
    elif isinstance(node, ast.BoolOp):
        new_op = copy.deepcopy(node)
        new_op.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "and/or", new_op
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not", node.operand
    elif isinstance(node, ast.IfExp):
        yield "choice", ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield "constant", ast.Constant(node.value + 1)
    elif isinstance(node, ast.If):
        gone = copy.deepcopy(node)
        gone.test = ast.Constant(False)
        yield "if never", gone
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "call left out", ast.Pass()
    elif isinstance(node, ast.AugAssign):
        yield "assignment left out", ast.Pass()


def functions(code: CodeType) -> dict[Key, CodeType]:
    """Every function in a module's code, nested ones as well."""
    found = {}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found[inner.co_qualname, inner.co_firstlineno] = inner
            found.update(functions(inner))
    return found


def mutants(source: str, path: str) -> Iterator[Mutant]:
    """Every changed module, from the top down."""
    tree = ast.parse(source)
    before = functions(compile(tree, path, "exec"))
    places = [
        (parent, name, at, child)
        for parent in ast.walk(tree)
        for name, value in ast.iter_fields(parent)
        for at, child in enumerate(value if isinstance(value, list) else [value])
        if isinstance(child, ast.AST)
    ]
    for parent, name, at, child in places:
        for words, new in changes(child):
            ast.copy_location(new, child)
            code = _with(tree, path, (parent, name, at), new)
            after = functions(code)
            differ = {key: after[key] for key in after if before.get(key) != after[key]}
            yield Mutant(getattr(child, "lineno", 0), words, code, _own(differ))


def _with(tree: ast.Module, path: str, place: tuple[ast.AST, str, int], new: ast.AST) -> CodeType:
    """The module with another node in one place, which is put back."""
    parent, name, at = place
    before = getattr(parent, name)
    if isinstance(before, list):
        setattr(parent, name, [*before[:at], new, *before[at + 1 :]])
    else:
        setattr(parent, name, new)
    try:
        return compile(ast.fix_missing_locations(tree), path, "exec")
    finally:
        setattr(parent, name, before)


def _own(differ: dict[Key, CodeType]) -> dict[Key, CodeType]:
    """Without the bodies of classes, which have run."""
    return {key: code for key, code in differ.items() if code.co_flags & 0x2}
