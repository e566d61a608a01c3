"""What the parts of `otabench ecu` print in common."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping

import click

from bench import __version__


def print_json(values: Mapping[str, object]) -> None:
    """Print one JSON object with `schema` and `tool`."""
    tool = {"version": __version__, "python": platform.python_version()}
    click.echo(json.dumps({"schema": 1, "tool": tool, **values}))
