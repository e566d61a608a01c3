"""Pages of a run: one template serves `report.html` and the dashboard; nothing in it needs a script or a network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.config.output import Tool
from bench.drawing.svg import shorten
from bench.evidence import text
from bench.evidence.build import View
from bench.evidence.contract import NotRun, Run, values_text
from bench.evidence.sequence import sequence_svgs
from bench.evidence.timeline import timeline_svg
from bench.evidence.view import InputRow
from bench.oracle.result import Verdict

TEMPLATES = Path(__file__).with_name("templates")
IMAGES = "images/"


class Legend(NamedTuple):
    """One colour of the timeline and its meaning."""

    css: str
    meaning: str


LEGEND = (
    Legend("s-application", "application"),
    Legend("s-bootloader", "bootloader"),
    Legend("s-boot-manager", "boot manager"),
    Legend("s-powered", "powered"),
    Legend("s-off", "no power"),
    Legend("a-erase", "erase"),
    Legend("a-transfer", "transfer"),
    Legend("a-check", "check"),
    Legend("a-talk", "other UDS"),
    Legend("a-download", "download"),
    Legend("a-install", "install"),
    Legend("a-session", "DM session"),
    Legend("d-program", "flash programs"),
    Legend("d-erase", "flash erases"),
    Legend("d-frame", "frames"),
    Legend("d-storage", "storage writes"),
    Legend("m-execute", "image executed"),
    Legend("p-cut", "power cut"),
    Legend("p-restore", "power restored"),
)


class Entry(NamedTuple):
    """One run in an index: its page's address, RUN, and what the table shows besides.

    `firmware` names the ECUs that were updated with the user's own firmware, each with the start of its hash.
    """

    href: str
    run: Run
    title: str
    ecus: str
    not_observed: tuple[str, ...]
    firmware: str
    notes: tuple[str, ...]
    written_utc: str


def entry_of(href: str, run: Run, view: View) -> Entry:
    """Return the line of a run for a table."""
    return Entry(
        href=href,
        run=run,
        title=view.title,
        ecus=", ".join(view.ecus),
        not_observed=tuple(item.value for item in view.not_observed),
        firmware=own_firmware(view.inputs),
        notes=view.notes,
        written_utc=view.written_utc,
    )


def own_firmware(inputs: Sequence[InputRow]) -> str:
    """Return `body 1a2b3c4d, gateway 5e6f7a8b` from the inputs below `images/`; empty when all was made here."""
    rows = [row for row in inputs if row.name.startswith(IMAGES)]
    return ", ".join(f"{row.name.removeprefix(IMAGES).partition('.')[0]} {row.sha256[:8]}" for row in rows)


@cache
def environment() -> Environment:
    """Return the templates, every value escaped, an unknown name an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    add_helpers(made)
    return made


def add_helpers(made: Environment) -> None:
    """Give an environment the filters and names that the run templates use."""
    made.filters.update(
        instant=text.instant,
        duration=text.duration,
        size=text.size,
        percent=text.percent,
        values=values_text,
        stretches=stretches,
        breakable=breakable,
        minute=text.minute,
        shorten=shorten,
    )
    made.globals.update(
        SIGNS=text.SIGNS,
        WORDS=text.VERDICT_WORDS,
        QUESTIONS=text.QUESTIONS,
        Verdict=Verdict,
        headline=text.headline,
        fault_points=text.fault_points,
        is_real_time=text.is_real_time,
    )


def stretches(cells: str) -> list[tuple[str, int, int]]:
    """Return (letter, first, length) of each stretch of equal letters."""
    found = []
    start = 0
    for letter, group in groupby(cells):
        length = len(list(group))
        found.append((letter, start, length))
        start += length
    return found


def breakable(value: str) -> Markup:
    """Return text that may break its line after `:` and `.`, as fault points need it in narrow columns."""
    return Markup(re.sub(r"(?<=[:.])(?=[^:.])", "<wbr>", str(escape(value))))  # noqa: S704  # escaped, then marked


@cache
def stylesheet() -> str:
    """Return the one style sheet of report, index and dashboard."""
    return TEMPLATES.joinpath("style.css").read_text(encoding="utf-8")


def run_context(run: Run, view: View) -> dict[str, object]:
    """Return what the template of a run needs besides helpers; images are made here, from values only."""
    timeline = timeline_svg(view.timeline)
    return {
        "run": run,
        "view": view,
        "timeline": timeline,
        "legend": [item for item in LEGEND if re.search(rf'class="{item.css}[" -]', timeline)],
        "sequence": sequence_svgs(view.sequence),
    }


def render_report(run: Run, view: View, files: Sequence[str]) -> str:
    """Return `report.html`; `files` are the names of what lies beside it."""
    template = environment().get_template("report.html.j2")
    return template.render(**run_context(run, view), files=list(files), css=_inline(stylesheet()))


def render_index(entries: Sequence[Entry], not_run: Sequence[NotRun], tool: Tool, written_utc: str) -> str:
    """Return `index.html`, a table of runs, after it the scenarios that could not be run."""
    template = environment().get_template("index.html.j2")
    return template.render(
        entries=list(entries), not_run=list(not_run), tool=tool, written_utc=written_utc, css=_inline(stylesheet())
    )


def _inline(css: str) -> Markup:
    """Return the style sheet for a <style> element; it is ours and holds no end tag."""
    return Markup(css)  # noqa: S704  # a file of this package
