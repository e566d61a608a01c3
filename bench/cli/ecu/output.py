"""What the parts of `otabench ecu` print in common."""

from __future__ import annotations

import json
from collections.abc import Mapping

import click

from bench.config.output import this_tool


def print_json(values: Mapping[str, object]) -> None:
    """Print one JSON object with `schema` and `tool`."""
    click.echo(json.dumps({"schema": 1, "tool": this_tool().model_dump(), **values}))
