"""One checkout's side of `benchmarks.faulted_run`: runs the faulted run on request and says what it cost.

Started as a file, with the checkout as its working directory, so that the packages of that checkout are measured,
whatever is installed. For each line on its input it writes one line of JSON.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MAKERS = ("bench.rig.job",)
"""Where `make_job` is found: checkouts of different ages are measured by this one file."""
SCENARIO, BENCH = "scenarios/power_cut_ecu.toml", "benches/sim.toml"


def make_job(root: Path) -> Any:
    """Return the demo's job with a power cut; RuntimeError when `root` is not the checkout that was loaded."""
    bench = importlib.import_module("bench")
    if not Path(str(bench.__file__)).is_relative_to(root):
        raise RuntimeError(f"{root} is not measured: the package bench was loaded from {bench.__file__}")
    for name in MAKERS:
        if importlib.util.find_spec(name) is not None:
            maker: Callable[..., Any] = importlib.import_module(name).make_job
            return maker(root / "fixtures" / SCENARIO, root / "fixtures" / BENCH)
    raise RuntimeError(f"{root} has none of {', '.join(MAKERS)}")


def measured(runner: Any, job: Any) -> dict[str, object]:
    """Run the job once and return what it cost, its journal and hash included; the golden run is kept by the runner."""
    gc.collect()  # what an earlier round left behind must not fall on this one
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    result = runner.run(job)
    trace, lines = result.trace_sha256, len(result.journal)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    return {
        "wall_ms": wall_s * 1e3,
        "cpu_ms": cpu_s * 1e3,
        "trace_sha256": trace,
        "lines": lines,
        "verdict": str(result.verdict.verdict),
    }


def main() -> None:
    """Answer each line on the input with one round."""
    root = Path.cwd()
    sys.path[0] = str(root)
    runner: Any = importlib.import_module("bench.runs.runner").Runner()
    job = make_job(root)
    runner.run(job)  # the golden run, and everything that only a first run does
    for _ in sys.stdin:
        print(json.dumps(measured(runner, job)), flush=True)


if __name__ == "__main__":
    main()
