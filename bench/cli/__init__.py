"""The command line (`docs/contracts.md`): names, exit codes, JSON; errors in one message, tracebacks with --debug."""

from __future__ import annotations

import tempfile
import traceback

import click

from bench import __version__
from bench.cli.commands import Commands
from bench.cli.usage import explained, shows_help, with_next_step
from bench.core.errors import NO_ROOM, InputError, OtabenchError, unwritable
from bench.core.stop import STOP
from bench.runs.exit_codes import EQUIPMENT, INPUT


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="otabench")
def cli() -> None:
    """Prove that over-the-air updates of cars cannot go wrong.

    \b
    Examples:
      otabench demo                        the whole story in a few seconds
      otabench run healthy --bench sim     one scenario on one bench
      otabench replay ID                   the same run again, to the byte
      otabench dashboard                   look at the results in a browser

    Exit codes: 0 all as expected, 1 a verdict failed, 2 wrong usage or input, 3 equipment error,
    4 inconclusive, 130 interrupted, 143 ended by SIGTERM.
    """


def exit_code_of(arguments: list[str]) -> int:
    """Run one command line and return its exit code; nothing but the result goes to standard output."""
    debug = "--debug" in arguments
    try:
        result = cli.main(args=arguments, prog_name="otabench", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        if shows_help(error):
            error.show()
            return INPUT
        message = explained(error, arguments)
        _tell(error, with_next_step(message), debug)
        return INPUT
    except (KeyboardInterrupt, click.Abort):
        click.echo("\ninterrupted: nothing half written is left", err=True)
        return STOP.exit_code
    except OtabenchError as error:
        _tell(error, with_next_step(error) if isinstance(error, InputError) else str(error), debug)
        return error.exit_code if error.exit_code != 1 else EQUIPMENT
    except Exception as error:  # the last resort: one message, never a bare traceback
        _tell(error, _unforeseen(error), debug)
        return EQUIPMENT
    finally:
        STOP.withdraw()
    return result if isinstance(result, int) else 0


def _unforeseen(error: Exception) -> str:
    """Return what is said of an error that nobody expected; a full disk is no riddle, wherever it strikes."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        where = str(error.filename or tempfile.gettempdir())
        return str(unwritable("a file", where, error, hint="name another folder (--out, or TMPDIR)"))
    return f"otabench failed: {type(error).__name__}: {error}\n  next    run it again with --debug"


def _tell(error: BaseException, text: str, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    click.echo(f"error: {text}", err=True)
