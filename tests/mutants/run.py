"""Run the tests of `bench/oracle` against each small change of its code: a change that no test sees is a survivor.

`make mutants`. Changes come from `generate.py`. One process collects the tests once and forks for each change: a
child puts the changed function in place (`swap.py`) and runs the tests that call it, until one fails. A test that
never calls a function cannot see a change of it, so no other test is run. What is executed at import (constants,
defaults, class bodies) has no such place: then a child loads everything with the change in it, and all tests run.
A survivor must be explained in `survivors.toml`, one by one; an explanation that fits no survivor is a mistake too.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import re
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

import hypothesis
import pytest

from .changes import Mutant, read_mutants
from .children import BROKEN, KILLED, SURVIVED, Children, child, wait
from .session import Anew, InPlace

PACKAGE, TESTS = "bench.oracle", "tests/oracle"
SURVIVORS = Path("tests/mutants/survivors.toml")
OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=mutants", "-W", "ignore",
           "--assert=plain", "--tb=native", "-s", "-p", "no:logging")  # fmt: skip
"""Nobody reads why a test fails: no words are made for it, and nothing is captured."""


def load_surroundings() -> None:
    """Load what no change touches, so that children need not."""
    for name in ("bench.core.world", "cryptography.hazmat.primitives.asymmetric.ed25519", "hypothesis.strategies"):
        importlib.import_module(name)
    loaded = [name for name in sys.modules if name.startswith(PACKAGE)]
    assert not loaded, f"the changed package must be loaded by children only: {loaded}"


def judge(mutants: list[Mutant], workers: int) -> dict[Mutant, str]:
    """Return how every change fared."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.json"

        def in_place() -> int:
            nest = InPlace(mutants, Children(workers, Path(folder), len(mutants)))
            code = pytest.main([*OPTIONS, TESTS], plugins=[nest])
            said = {"ends": nest.ends(), "times_s": nest.reach.times_s, "telling": nest.reach.telling()}
            path.write_text(json.dumps(said), encoding="utf-8")
            return int(code)

        if status := wait(child(in_place, quiet=False)):
            raise SystemExit(f"the tests fail without any change (status {status}); next: pytest {TESTS}")
        said = json.loads(path.read_text(encoding="utf-8"))
        ends = {mutants[int(at)]: str(end) for at, end in said["ends"].items()}
        rest = [mutant for mutant in mutants if mutant not in ends]
        anew = Anew(OPTIONS, TESTS, said["times_s"], said["telling"])
        children = Children(workers, Path(folder), len(mutants), done=len(ends))
        return ends | children.run([(mutant, anew.work(mutant)) for mutant in rest])


# Survivors --------------------------------------------------------------------------------------------


def explained(path: Path) -> dict[tuple[str, str, str, str, str], str]:
    """Return the explanations by what they name."""
    rows: list[Mapping[str, str]] = tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", [])
    found = {(row["file"], row["function"], row["line"], row["operator"], row["new"]): row["why"] for row in rows}
    assert all(len(why) > 20 for why in found.values()), "an explanation says why no test can or need see the change"
    return found


def report(ends: Mapping[Mutant, str], reasons: Mapping[tuple[str, str, str, str, str], str], *, whole: bool) -> int:
    """Print the figure and what is not explained; returns how many mistakes there are.

    An explanation may be of several changes of one line; that none of them survived only a `whole` run can say.
    """
    survivors = [mutant for mutant, end in ends.items() if end == SURVIVED]
    unknown = [mutant for mutant in survivors if mutant.key() not in reasons]
    killed_now = [mutant for mutant, end in ends.items() if end == KILLED and mutant.key() in reasons]
    alive = {mutant.key() for mutant in survivors}
    stale = [mutant for mutant in killed_now if whole and mutant.key() not in alive]
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
    """Return the changes of files whose path matches `only`; with a sample so many of them, the same for a seed."""
    wanted = [mutant for mutant in mutants if re.search(only, mutant.file)]
    if not wanted:
        raise SystemExit(f"no change in any file named like {only!r}")
    if not 0 < sample < len(wanted):
        return wanted
    return random.Random(seed).sample(wanted, sample)


def main() -> int:
    """Read the command line, run, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mutants", type=Path, help="what generate.py printed")
    parser.add_argument("--only", default="", help="files whose path matches this (a regular expression)")
    parser.add_argument("--sample", type=int, default=0, help="so many of them alone")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    hypothesis.settings.register_profile("mutants", derandomize=True, deadline=None, database=None,
                                         phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate))  # fmt: skip
    mutants = chosen(read_mutants(given.mutants), given.only, given.sample, given.seed)
    load_surroundings()
    print(f"{len(mutants)} changes; first the tests as they are ...", flush=True)
    ends = judge(mutants, given.workers)
    return 1 if report(ends, explained(SURVIVORS), whole=not given.sample) else 0


if __name__ == "__main__":
    sys.exit(main())
