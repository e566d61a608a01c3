"""docs/guides/where-to-put.md names places that exist, and never more than three of them for one thing."""

from __future__ import annotations

import re
from pathlib import Path

PLACE = re.compile(r"`([a-z_]+/[\w/.<>-]*)`")
LINK = re.compile(r"\]\(([\w./-]+)\)")


def rows(text: str) -> dict[str, list[str]]:
    """Return the places of each row, as paths of the project."""
    table = text.partition("| --- | --- | --- |\n")[2].partition("\n\n")[0]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()]
    return {
        what: [*PLACE.findall(where), *(f"docs/guides/{link}" for link in LINK.findall(where))]
        for what, where, _ in cells
    }


def missing(places: list[str], project: Path) -> list[str]:
    """Return places that are not there; one with a name to be chosen is there when it has a neighbour of its kind."""
    return [place for place in places if not list(project.glob(re.sub(r"<\w+>", "*", place).rstrip("/")))]


def test_every_place_exists_and_no_thing_needs_more_than_three(project: Path) -> None:
    found = rows((project / "docs" / "guides" / "where-to-put.md").read_text(encoding="utf-8"))
    assert len(found) > 10
    assert {what: missing(places, project) for what, places in found.items() if missing(places, project)} == {}
    assert {what: places for what, places in found.items() if len(places) > 3} == {}


def test_place_that_is_gone_and_a_row_of_four_files_are_caught(project: Path) -> None:
    head = "| a | b | c |\n| --- | --- | --- |\n"
    table = f"{head}| x | `bench/gone.py` `bench/cli/<name>.py` `bench/core/world.py` [d](gone.md) | y |\n\n"
    [places] = rows(table).values()
    assert missing(places, project) == ["bench/gone.py", "docs/guides/gone.md"]
    assert len(places) == 4
