"""`python -m bench.cli` is `otabench`; loaded by way of this package, it minds Ctrl-C a little later."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bench.cli import exit_code_of
from bench.cli.commands import load_command
from bench.process.command import run

if TYPE_CHECKING:
    from bench.process.command import CommandLine


def _load() -> CommandLine:
    load_command(sys.argv[1:])
    return exit_code_of


if __name__ == "__main__":
    run(_load)
