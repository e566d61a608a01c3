"""`otabench demo`: the whole story in a few seconds."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.firmware_option import Firmware
from bench.cli.many import RunTask, Shown, reported, run_all
from bench.cli.options import common, find
from bench.cli.output import Watch
from bench.cli.outputs import RUN_BYTES, check_room

DEMO = ("healthy", "power_cut_ecu", "power_cut_agent", "forged_signature", "wrong_ecu", "planted_no_verification")
"""The demo's story, in this order."""


@click.command(short_help="the story in seconds: updates, power cuts, forgeries")
@common
def demo(as_json: bool, out: Path, seed: int) -> int:
    """Show a car being updated, a power cut in the middle, forged packages refused, a defect caught.

    \b
    Examples:
      otabench demo
      otabench demo --json | python3 -m json.tool
      otabench demo --seed 7 --out /tmp/otabench
    """
    check_room(out, RUN_BYTES)
    none = Firmware({}, crop=False, base=None)
    tasks = [RunTask(find("scenarios", name), find("benches", "sim"), seed, none, out) for name in DEMO]
    with Watch("demo") as watch:
        outcomes = run_all(tasks, 1, Shown(watch, DEMO), watch.flash)
    return reported(outcomes, out, as_json)
