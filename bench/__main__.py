"""`otabench`, and `python -m bench`: the command line as a process."""

from __future__ import annotations

from bench.process.command import run

TYPE_CHECKING = False
if TYPE_CHECKING:  # the real `typing` is not loaded before signals are minded
    from bench.process.command import CommandLine


def main() -> None:
    """Run the command line and exit with its code."""
    run(_load)


def _load() -> CommandLine:
    from bench.cli import exit_code_of  # takes a second: signals are minded before

    return exit_code_of


if __name__ == "__main__":
    main()
