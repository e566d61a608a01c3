"""Run the tests of `bench/oracle` against each small change of its code: a change that no test sees is a survivor.

`make mutants`. Changes come from `generate.py`. One process has everything loaded that the changed package does not
belong to, and forks for each change: a child loads the package with that change in it, runs the tests that reach the
changed function, and ends with the first that fails. What survives them is tried against all tests. A survivor must
be explained in `survivors.toml`, one by one; an explanation that fits no survivor is a mistake too.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import random
import resource
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import hypothesis
import pytest

PACKAGE, TESTS = "bench.oracle", "tests/oracle"
SURVIVORS = Path("tests/mutants/survivors.toml")
LIMIT_S = 120
"""Processor time of one child; an endless loop is seen by it (the whole suite takes 7 s)."""
KILLED, SURVIVED, BROKEN = "killed", "survived", "broken"
NO_TESTS = 5
"""pytest's code for "nothing was collected": then the run says nothing."""
OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=mutants", "-W", "ignore")


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


@dataclass
class Reach:
    """Which tests call which function, and the order of the tests: the quick ones first."""

    tests: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    times_s: dict[str, float] = field(default_factory=dict)

    def of(self, mutant: Mutant) -> list[str]:
        """Return the tests that call the changed function; none for code outside of functions, which all need."""
        return sorted(self.tests.get((mutant.file, mutant.function), ()), key=lambda test: self.times_s.get(test, 0))


# What is changed --------------------------------------------------------------------------------------


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


class _Changed(importlib.abc.MetaPathFinder):
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


# Children ---------------------------------------------------------------------------------------------


def load_surroundings() -> None:
    """Load what no change touches, so that children need not."""
    for name in ("bench.core.world", "cryptography.hazmat.primitives.asymmetric.ed25519", "hypothesis.strategies"):
        importlib.import_module(name)
    loaded = [name for name in sys.modules if name.startswith(PACKAGE)]
    assert not loaded, f"the changed package must be loaded by children only: {loaded}"


def child(work: Any) -> int:
    """Fork a child that does `work()` and ends with the code that it returns; returns its process id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 3
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S + 5))
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nowhere, descriptor)
        code = int(work())
    finally:
        os._exit(code)


def outcome(status: int) -> str:
    """Return what a child's end says of its change: an end by a signal is the limit of its time."""
    if os.WIFSIGNALED(status):
        return KILLED
    code = os.WEXITSTATUS(status)
    return {0: SURVIVED, NO_TESTS: BROKEN}.get(code, KILLED)


def run_tests(mutant: Mutant | None, tests: Sequence[str], plugins: Sequence[object] = ()) -> int:
    """Run tests with a change in place (in a child)."""
    if mutant is not None:
        module = ".".join(Path(mutant.file).with_suffix("").parts).removesuffix(".__init__")
        sys.meta_path.insert(0, _Changed(module, mutant))
    return pytest.main([*OPTIONS, *tests], plugins=list(plugins))


class _Calls:
    """A plug-in that notes which functions of the package each test calls, fixtures included."""

    def __init__(self) -> None:
        self.reach = Reach()
        self._test = ""
        self._root = str(Path.cwd()) + os.sep

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Watch the calls of one test."""
        self._test = item.nodeid
        sys.setprofile(self._note)
        try:
            return (yield)
        finally:
            sys.setprofile(None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how long a test takes."""
        times_s = self.reach.times_s
        times_s[report.nodeid] = times_s.get(report.nodeid, 0.0) + report.duration

    def _note(self, frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(self._root):
            file = code.co_filename.removeprefix(self._root)
            if file.startswith("bench/oracle/"):
                name = code.co_qualname.replace(".<locals>", "")
                while name:
                    self.reach.tests.setdefault((file, name), set()).add(self._test)
                    name = name.rpartition(".")[0]


def find_reach() -> Reach:
    """Run all tests once, unchanged, and return which of them reach what; they must pass."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reach.json"

        def work() -> int:
            calls = _Calls()
            code = run_tests(None, [TESTS], [calls])
            found = [[file, name, sorted(tests)] for (file, name), tests in calls.reach.tests.items()]
            path.write_text(json.dumps({"tests": found, "times_s": calls.reach.times_s}), encoding="utf-8")
            return int(code)

        _pid, status = os.waitpid(child(work), 0)
        if status:
            raise SystemExit(f"the tests fail without any change (status {status}); next: pytest {TESTS}")
        said = json.loads(path.read_text(encoding="utf-8"))
    return Reach({(file, name): set(tests) for file, name, tests in said["tests"]}, said["times_s"])


def judge(mutants: Sequence[Mutant], reach: Reach, workers: int) -> dict[Mutant, str]:
    """Return how every change fared."""
    waiting = [(mutant, reach.of(mutant)) for mutant in reversed(mutants)]
    running: dict[int, tuple[Mutant, list[str]]] = {}
    ends: dict[Mutant, str] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            mutant, tests = waiting.pop()
            running[_start(mutant, tests)] = (mutant, tests)
        pid, status = os.wait()
        mutant, tests = running.pop(pid)
        end = outcome(status)
        if end == SURVIVED and tests:
            waiting.append((mutant, []))
            continue
        ends[mutant] = end
        if end != KILLED or len(ends) % 100 == 0:
            print(f"{len(ends)} of {len(mutants)}: {end} {mutant.where}", flush=True)
    return ends


def _start(mutant: Mutant, tests: list[str]) -> int:
    return child(lambda: run_tests(mutant, tests or [TESTS]))


# Survivors --------------------------------------------------------------------------------------------


def explained(path: Path) -> dict[tuple[str, str, str, str, str], str]:
    """Return the explanations by what they name."""
    rows: list[Mapping[str, str]] = tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", [])
    found = {(row["file"], row["function"], row["line"], row["operator"], row["new"]): row["why"] for row in rows}
    assert all(len(why) > 20 for why in found.values()), "an explanation says why no test can or need see the change"
    return found


def report(ends: Mapping[Mutant, str], reasons: Mapping[tuple[str, str, str, str, str], str]) -> int:
    """Print the figure and what is not explained; returns how many mistakes there are."""
    survivors = [mutant for mutant, end in ends.items() if end == SURVIVED]
    unknown = [mutant for mutant in survivors if mutant.key() not in reasons]
    killed_now = [mutant for mutant, end in ends.items() if end == KILLED and mutant.key() in reasons]
    alive = {mutant.key() for mutant in survivors}
    stale = [mutant for mutant in killed_now if mutant.key() not in alive]
    broken = [mutant for mutant, end in ends.items() if end == BROKEN]
    killed = sum(end == KILLED for end in ends.values())
    for mutant in unknown:
        print(f"survived, not explained: {mutant.where}")
        print(_row(mutant))
    for mutant in stale:
        print(f"explained in {SURVIVORS}, but killed: {mutant.where}")
    for mutant in broken:
        print(f"no test was collected: {mutant.where}")
    print(
        f"mutants: {len(ends)}, killed {killed} ({killed / max(1, len(ends)):.1%}), "
        f"survived {len(survivors)}: {len(survivors) - len(unknown)} explained, {len(unknown)} not"
    )
    return len(unknown) + len(stale) + len(broken)


def _row(mutant: Mutant) -> str:
    names = ("file", "function", "line", "operator", "new")
    rows = "".join(f"{name} = {json.dumps(value)}\n" for name, value in zip(names, mutant.key(), strict=True))
    return f'[[survivor]]\n{rows}why = ""\n'


def chosen(mutants: list[Mutant], only: str, sample: int, seed: int) -> list[Mutant]:
    """Return the changes of files whose path holds `only`; with a sample so many of them, the same for a seed."""
    wanted = [mutant for mutant in mutants if only in mutant.file]
    if not wanted:
        raise SystemExit(f"no change in any file named like {only!r}")
    if not 0 < sample < len(wanted):
        return wanted
    return random.Random(seed).sample(wanted, sample)


def main() -> int:
    """Read the command line, run, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mutants", type=Path, help="what generate.py printed")
    parser.add_argument("--only", default="", help="files whose path holds this text")
    parser.add_argument("--sample", type=int, default=0, help="so many of them alone")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    hypothesis.settings.register_profile("mutants", derandomize=True, deadline=None, database=None,
                                         phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate))  # fmt: skip
    mutants = chosen(read_mutants(given.mutants), given.only, given.sample, given.seed)
    load_surroundings()
    print(f"{len(mutants)} changes; first the tests as they are ...", flush=True)
    ends = judge(mutants, find_reach(), given.workers)
    return 1 if report(ends, explained(SURVIVORS)) else 0


if __name__ == "__main__":
    sys.exit(main())
