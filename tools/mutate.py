"""Changes one thing of a module at a time and runs tests: ``python tools/mutate.py FILE TESTS…``.

What lives is a change that no test noticed: a missing test, or a part that is not needed. The file
is put back whatever happens. Comparisons, ``and``/``or``, ``not``, constants, early returns and
calls that stand for themselves are changed; ``--list`` shows the changes, ``--only N`` makes one.
"""

from __future__ import annotations

import argparse
import ast
import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_OTHER = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


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


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, words and text of every changed module."""
    tree = ast.parse(source)
    places = [
        (parent, name, at, child)
        for parent in ast.walk(tree)
        for name, value in ast.iter_fields(parent)
        for at, child in enumerate(value if isinstance(value, list) else [value])
        if isinstance(child, ast.AST)
    ]
    for parent, name, at, child in places:
        for words, new in changes(child):
            before = getattr(parent, name)
            if isinstance(before, list):
                setattr(parent, name, [*before[:at], new, *before[at + 1 :]])
            else:
                setattr(parent, name, new)
            text = ast.unparse(ast.fix_missing_locations(tree))
            setattr(parent, name, before)
            yield getattr(child, "lineno", 0), words, text


def survives(path: Path, text: str, tests: list[str]) -> bool:
    """Whether the tests pass with this text in the file."""
    path.write_text(text)
    argv = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--only", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("tests", nargs="*")
    chosen = parser.parse_args()
    source = chosen.file.read_text()
    found = list(enumerate(mutants(source)))
    alive = 0
    try:
        for number, (line, words, text) in found:
            if chosen.only is not None and number != chosen.only:
                continue
            if chosen.list:
                print(f"{number}: line {line}: {words}")
            elif survives(chosen.file, text, chosen.tests):
                alive += 1
                print(f"{number}: line {line}: {words} lives: {source.splitlines()[line - 1]}")
    finally:
        chosen.file.write_text(source)
    print(f"{len(found)} changes, {alive} live")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
