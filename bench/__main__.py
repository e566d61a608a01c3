"""`otabench`, and `python -m bench`: the command line as a process."""

from __future__ import annotations

import sys

from bench.process.command import run

TYPE_CHECKING = False
if TYPE_CHECKING:  # the real `typing` is not loaded before signals are minded
    from bench.process.command import CommandLine


def main() -> None:
    """Run the command line and exit with its code."""
    run(_load)


def _load() -> CommandLine:
    from bench.cli import exit_code_of  # this and the command take a second: signals are minded before
    from bench.cli.commands import load_command

    load_command(sys.argv[1:])
    return exit_code_of


if __name__ == "__main__":
    main()
