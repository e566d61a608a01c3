"""`otabench dashboard`: the results in a browser."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.options import debug_only
from bench.dashboard.app import create_app
from bench.dashboard.serve import serve


@click.command(short_help="the results in a browser")
@debug_only
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("reports"), show_default=True, help="The reports to show."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8642, show_default=True, help="0 chooses a free one.")
def dashboard(out: Path, host: str, port: int) -> int:
    """Show the results in a browser: runs, verdicts, sequence and ECUs.

    \b
    Examples:
      otabench dashboard
      otabench dashboard --out nightly/reports --port 9000
    """
    serve(create_app(out), host, port)
    return 0
