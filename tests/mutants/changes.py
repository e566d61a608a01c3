"""The changes that `generate.py` printed: read, named by the function they stand in, and loaded."""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType


@dataclass(frozen=True)
class Mutant:
    """One change; `where` names it in words that outlive edits elsewhere in the file."""

    file: str
    line: int
    offset: int
    old: str
    new: str
    operator: str
    function: str
    text: str
    """The line as it is, stripped."""

    @property
    def where(self) -> str:
        """Return the line to show."""
        return f"{self.file}:{self.line} {self.operator} {self.old!r} -> {self.new!r} in: {self.text}"

    def key(self) -> tuple[str, str, str, str, str]:
        """Return what an explanation must name."""
        return self.file, self.function, self.text, self.operator, self.new.strip()

    def source(self) -> str:
        """Return the whole file with the change in it."""
        code = Path(self.file).read_text(encoding="utf-8")
        return code[: self.offset] + self.new + code[self.offset + len(self.old) :]


def read_mutants(path: Path) -> list[Mutant]:
    """Read what `generate.py` printed."""
    functions: dict[str, list[tuple[int, int, str]]] = {}
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        each = json.loads(line)
        name = each["file"]
        if name not in functions:
            functions[name] = list(_functions(ast.parse(Path(name).read_text(encoding="utf-8"))))
        around = [span for span in functions[name] if span[0] <= each["line"] <= span[1]]
        text = Path(name).read_text(encoding="utf-8").splitlines()[each["line"] - 1].strip()
        found.append(
            Mutant(
                name, each["line"], each["offset"], each["old"], each["new"], each["operator"],
                max(around)[2] if around else "", text,
            )
        )  # fmt: skip
    return found


def _functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[int, int, str]]:
    """Yield first line, last line and qualified name of every function."""
    for node in ast.iter_child_nodes(tree):
        name = prefix
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}.{node.name}".lstrip(".")
            if not isinstance(node, ast.ClassDef):
                yield node.lineno, node.end_lineno or node.lineno, name
        yield from _functions(node, name)


def module_of(file: str) -> str:
    """Return the name under which a file is imported."""
    return ".".join(Path(file).with_suffix("").parts).removesuffix(".__init__")


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from its file with a change in it; compiled files of the unchanged one are left alone."""

    def __init__(self, module: str, mutant: Mutant) -> None:
        super().__init__(module, str(Path(mutant.file).resolve()))
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        """Compile the changed text."""
        del fullname
        code: CodeType = compile(self._mutant.source(), self.path, "exec")
        return code


class Changed(importlib.abc.MetaPathFinder):
    """Finds one module with a change in it."""

    def __init__(self, module: str, mutant: Mutant) -> None:
        self._module, self._loader = module, _Loader(module, mutant)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Claim the changed module alone."""
        del path, target
        if fullname != self._module:
            return None
        return importlib.util.spec_from_file_location(fullname, self._loader.path, loader=self._loader)
