"""The commands by name, each loaded when it is asked for: `otabench image` needs no rig and `run` no web server."""

from __future__ import annotations

from collections.abc import Sequence

import click

NAMES = ("canlog", "dashboard", "demo", "doctor", "ecu", "flash", "image", "recipe", "replay", "run")


class Commands(click.Group):
    """A group whose commands are loaded one by one; its help, which shows them all, loads them all."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names as help shows them."""
        return list(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None where none has this name."""
        return command_named(cmd_name)


def load_command(arguments: Sequence[str]) -> None:
    """Load the command that a command line names.

    Whoever does so before it is run can end the process at once meanwhile: nothing has been begun.
    """
    command_named(next((word for word in arguments if not word.startswith("-")), ""))


def command_named(name: str) -> click.Command | None:
    """Return a command, or None where none has this name.

    Each import stands here as a statement, so that import rules and type checks see it.
    """
    match name:
        case "canlog":
            from bench.cli.canlog import canlog as command
        case "dashboard":
            from bench.cli.dashboard import dashboard as command
        case "demo":
            from bench.cli.demo import demo as command
        case "doctor":
            from bench.cli.doctor.command import doctor as command
        case "ecu":
            from bench.cli.ecu.command import ecu as command
        case "flash":
            from bench.cli.flash.command import flash as command
        case "image":
            from bench.cli.image import image as command
        case "recipe":
            from bench.cli.recipe import recipe as command
        case "replay":
            from bench.cli.replay import replay as command
        case "run":
            from bench.cli.run import run as command
        case _:
            return None
    return command
