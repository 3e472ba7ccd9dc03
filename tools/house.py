"""How the tree is built: ``python tools/house.py [ROOT]`` prints rooms, arrows, circles and sizes.

A room is a package or module right below ``vifd``, or a plugin. An arrow is an import from one room
into another, also one for types alone. A circle is a set of modules that reach each other.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

BASES = (
    "agent",
    "plugins/ovs",
    "plugins/vhostuser",
    "plugins/linuxbridge",
    "plugins/ovn",
    "plugins/noop",
)
TESTS = ("tests", "bench", "agent/vifd/testing")

Graph = Mapping[str, set[str]]


def modules(root: Path) -> dict[str, Path]:
    """Every module of the product by its dotted name; the kit for tests is none of it."""
    found = {}
    for base in BASES:
        for path in sorted((root / base).rglob("*.py")):
            parts = path.relative_to(root / base).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if not name.startswith("vifd.testing"):
                found[name] = path
    return found


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Every (module, name) that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)


def graph(root: Path) -> dict[str, set[str]]:
    """By module, the modules of the tree that it imports."""
    known = modules(root)
    found = {}
    for name, path in known.items():
        targets = (f"{m}.{n}" if f"{m}.{n}" in known else m for m, n in imports(path))
        found[name] = {target for target in targets if target in known} - {name}
    return found


def room(module: str) -> str:
    """The room that a module is in."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "vifd" else parts[0]


def arrows(imported: Graph) -> set[tuple[str, str]]:
    """From which room into which other one."""
    pairs = {(room(one), room(other)) for one, others in imported.items() for other in others}
    return {(one, other) for one, other in pairs if one != other and other != "vifd"}


def circles(imported: Graph) -> list[list[str]]:
    """Sets of modules that reach each other by imports."""
    reach = {name: _reached(name, imported) for name in imported}
    found = {frozenset(m for m in reach[n] if n in reach[m]) for n in imported if n in reach[n]}
    return [sorted(each) for each in found]


def _reached(start: str, imported: Graph) -> set[str]:
    seen: set[str] = set()
    left = list(imported[start])
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left += imported[name]
    return seen


def entries(root: Path) -> list[Path]:
    """What lies at the root of the agent; not what Python left of a package that moved."""
    found = (root / "agent/vifd").iterdir()
    return [e for e in found if e.is_file() or any(e.rglob("*.py"))]


def functions(paths: Iterator[Path]) -> list[int]:
    """The lines of every function, shortest first, without its docstring and decorators."""
    sizes = []
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                last = node.end_lineno or 0
                sizes.append(last - body[0].lineno + 1 if body else 0)
    return sorted(sizes)


def lines(paths: Iterator[Path]) -> int:
    return sum(len(path.read_text().splitlines()) for path in paths)


def measure(root: Path) -> dict[str, object]:
    """The figures by name."""
    imported = graph(root)
    product = modules(root).values()
    tests = {path for base in TESTS for path in (root / base).rglob("*.py")}
    sizes = functions(iter(product))
    return {
        "entries at the root of agent/vifd": len(entries(root)),
        "rooms": len({room(name) for name in imported} - {"vifd"}),
        "arrows between rooms": len(arrows(imported)),
        "circles of modules": len(circles(imported)),
        "lines of the product": lines(iter(product)),
        "lines of tests and benches": lines(iter(tests)),
        "functions": len(sizes),
        "lines of a function, median": statistics.median(sizes),
        "lines of a function, 95th percentile": sizes[int(len(sizes) * 0.95)],
        "lines of the longest function": sizes[-1],
        "words of DESIGN.md": len((root / "DESIGN.md").read_text().split()),
    }


if __name__ == "__main__":
    for what, figure in measure(Path(sys.argv[1] if len(sys.argv) > 1 else ".")).items():
        print(f"{what:40} {figure}")
