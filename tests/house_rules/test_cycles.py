"""No module imports, by whatever way round, a module that imports it: also not in a function or for types alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

Graph = Mapping[str, set[str]]


def module_of(path: str) -> str:
    """Return the name under which a source file is imported."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports_of(source: str) -> Iterator[str]:
    """Yield every module that a source may name in an import; `from a import b` may mean `a` or `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph_of(sources: Mapping[str, str]) -> Graph:
    """Return which modules of the project each of them imports."""
    modules = {module_of(path) for path in sources}
    return {module_of(path): {*imports_of(text)} & modules - {module_of(path)} for path, text in sources.items()}


def reached(graph: Graph, start: str) -> set[str]:
    """Return every module that `start` imports, directly or not."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for name in graph[waiting.pop()] - found:
            found.add(name)
            waiting.append(name)
    return found


def in_cycles(sources: Mapping[str, str]) -> set[str]:
    """Return the modules that import themselves by way of others."""
    graph = graph_of(sources)
    return {module for module in graph if module in reached(graph, module)}


def test_no_module_imports_itself_by_way_of_others(sources: dict[str, str]) -> None:
    assert len(graph_of(sources)) > 300
    assert in_cycles(sources) == set()


def test_a_cycle_is_caught_also_for_types_alone_and_in_a_function() -> None:
    house = {
        "bench/kitchen.py": "from bench.pantry import bread\n",
        "bench/pantry.py": "if TYPE_CHECKING:\n    from bench.cellar import wine\n",
        "bench/cellar/__init__.py": "def fetch():\n    from bench import kitchen\n",
        "bench/garden.py": "import bench.kitchen\n",
    }
    assert in_cycles(house) == {"bench.kitchen", "bench.pantry", "bench.cellar"}
