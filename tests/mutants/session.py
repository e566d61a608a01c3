"""The two ways to run the tests against a change: in place in collected tests, or with everything loaded anew."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType

import pytest

from .changes import Changed, Mutant, module_of
from .children import Children, child, limit, wait
from .swap import Places, called_names, loaded_functions, replacements

SOURCES = "bench/oracle/"
IMPORT_S = 6.0
"""What loading and collecting takes, amply; a change may loop there too."""
TELLING = 2
"""So many test files are tried before all of them."""
Name = tuple[str, str]
"""A function: its file, and its qualified name."""


@dataclass
class Reach:
    """Which tests call which function, how long they take, and which of them saw changes so far."""

    tests: dict[Name, set[str]] = field(default_factory=dict)
    at_import: set[Name] = field(default_factory=set)
    times_s: dict[str, float] = field(default_factory=dict)
    seen: Counter[Name] = field(default_factory=Counter)

    def ordered(self, mutant: Mutant, items: Sequence[pytest.Item]) -> list[pytest.Item]:
        """Return those that call the changed function, in the order in which they are likely to see the change.

        First what saw most changes of the file so far, then the test files that did or that are named like it, then
        the quick ones.
        """
        mine = self.tests.get((mutant.file, mutant.function), set())

        found = [item for item in items if item.nodeid in mine]
        files: Counter[str] = Counter()
        for (file, test), count in self.seen.items():
            files[test.partition("::")[0]] += count if file == mutant.file else 0
        name = Path(mutant.file).stem

        def rank(item: pytest.Item) -> tuple[int, bool, int, float]:
            test = item.nodeid.partition("::")[0]
            return -self.seen[mutant.file, item.nodeid], name not in test, -files[test], self.times_s[item.nodeid]

        return sorted(found, key=rank)

    def telling(self) -> dict[str, list[str]]:
        """Return the test files that saw most changes of each source file."""
        files: dict[str, Counter[str]] = {}
        for (file, test), count in self.seen.items():
            files.setdefault(file, Counter())[test.partition("::")[0]] += count
        return {file: [test for test, _ in counts.most_common(TELLING)] for file, counts in files.items()}


class _Calls:
    """A plug-in that notes which functions of the package each test calls, fixtures included."""

    def __init__(self) -> None:
        self.times_s: dict[str, float] = {}
        self._codes: dict[str, set[CodeType]] = {}

    def watch(self, test: str) -> None:
        """Note the calls from now on."""
        codes = self._codes.setdefault(test, set())

        def note(frame: FrameType, _event: str, _argument: object) -> None:
            codes.add(frame.f_code)

        sys.settrace(note)  # tells of calls alone when it returns nothing; a profile tells of every return too

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Watch the calls of one test."""
        self.watch(item.nodeid)
        try:
            return (yield)
        finally:
            sys.settrace(None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how long a test takes."""
        self.times_s[report.nodeid] = self.times_s.get(report.nodeid, 0.0) + report.duration

    def names(self, test: str) -> set[Name]:
        """Return the functions that a test called, and those around them."""
        root = str(Path.cwd()) + os.sep
        codes = ((code.co_filename.removeprefix(root), code.co_qualname) for code in self._codes[test])
        return {(file, name) for file, code in codes if file.startswith(SOURCES) for name in called_names(code)}

    def called(self) -> list[tuple[str, list[Name]]]:
        """Return what each test called."""
        return [(test, sorted(self.names(test))) for test in self._codes]


class InPlace:
    """A plug-in that runs the collected tests against every change that has a place, instead of running them once."""

    def __init__(self, mutants: Sequence[Mutant], children: Children) -> None:
        self.reach = Reach()
        self._mutants, self._children = mutants, children
        self._found: dict[Mutant, str] = {}
        self._imports = _Calls()
        self._imports.watch("")
        children.ended = self._saw

    def ends(self) -> dict[int, str]:
        """Return how the changes fared, by their number; the others have no place."""
        return {at: self._found[mutant] for at, mutant in enumerate(self._mutants) if mutant in self._found}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's own loop."""
        sys.settrace(None)
        self._find_reach(session)
        places = loaded_functions(str(Path(SOURCES).resolve()))
        gc.collect()
        gc.freeze()  # children share what is here as long as nobody writes to it
        works = [(mutant, self._work(session, mutant, places)) for mutant in self._mutants]
        self._found = self._children.run([(mutant, work) for mutant, work in works if work is not None])
        return True

    def _find_reach(self, session: pytest.Session) -> None:
        """Run all tests once, unchanged, in a child; they must pass."""
        path = self._children.folder / "reach.json"

        def work() -> int:
            calls = _Calls()
            session.config.pluginmanager.register(calls)
            for item, following in _with_next(session.items):
                item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            path.write_text(json.dumps({"calls": calls.called(), "times_s": calls.times_s}), encoding="utf-8")
            return session.testsfailed

        if wait(child(work)):
            raise pytest.UsageError("the tests fail without any change")
        said = json.loads(path.read_text(encoding="utf-8"))
        self.reach.times_s = said["times_s"]
        for test, names in said["calls"]:
            for file, name in names:
                self.reach.tests.setdefault((file, name), set()).add(test)
        self.reach.at_import = self._imports.names("")

    def _work(self, session: pytest.Session, mutant: Mutant, places: Places) -> Callable[[], int] | None:
        """Return what a child has to do; None when the change must be there before the tests are collected."""
        swaps = replacements(mutant, places)
        if not mutant.function or not swaps or (mutant.file, mutant.function) in self.reach.at_import:
            return None
        return lambda: self._run(session, mutant, swaps)

    def _run(self, session: pytest.Session, mutant: Mutant, swaps: Sequence[tuple[FunctionType, CodeType]]) -> int:
        session.config.pluginmanager.unregister(name="terminalreporter")
        for function, code in swaps:
            function.__code__ = code
        for item, following in _with_next(self.reach.ordered(mutant, session.items)):
            limit(self.reach.times_s[item.nodeid])
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                self._children.note().write_text(item.nodeid, encoding="utf-8")
                return 1
        return 0

    def _saw(self, mutant: Mutant, test: str) -> None:
        self.reach.seen[mutant.file, test] += 1


def _with_next(items: Sequence[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    """Yield each test with the one after it, for which fixtures may stay."""
    return zip(items, [*items[1:], None], strict=True)


class _Quick:
    """A plug-in that runs the quick tests first and limits the time of each."""

    def __init__(self, times_s: Mapping[str, float]) -> None:
        self._times_s = times_s

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Order the tests."""
        items.sort(key=lambda item: self._times_s.get(item.nodeid, 0.0))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Let a test that never ends be the end of the process."""
        limit(self._times_s.get(item.nodeid, 0.0))


@dataclass(frozen=True)
class Anew:
    """Loads everything with a change in it, and runs all tests: first those that tell most of the changed file."""

    options: Sequence[str]
    tests: str
    times_s: Mapping[str, float]
    telling: Mapping[str, Sequence[str]]

    def work(self, mutant: Mutant) -> Callable[[], int]:
        """Return what a child has to do."""
        return lambda: self._run(mutant)

    def _run(self, mutant: Mutant) -> int:
        limit(IMPORT_S)
        sys.meta_path.insert(0, Changed(module_of(mutant.file), mutant))
        code = 0
        for tests in (self.telling.get(mutant.file) or self._alike(mutant.file), (self.tests,)):
            if tests and code == 0:
                code = pytest.main([*self.options, *tests], plugins=[_Quick(self.times_s)])
        return code

    def _alike(self, file: str) -> list[str]:
        """Return the test files that are named like a source file."""
        word = Path(file).stem.partition("_")[0]
        return sorted({test.partition("::")[0] for test in self.times_s if word in test.partition("::")[0]})
