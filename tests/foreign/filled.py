"""The guide's tables as edits of a draft: what stands under `gap of NAME` is what a reader writes."""

from __future__ import annotations

import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "unknown-ecu.md"
_ROW = re.compile(r"^\| `(?P<key>[^`]+)` \| (?:`(?P<value>[^`]+)`|delete) \|")
_HEADER = re.compile(r"^\[\[?(?P<name>[\w.]+)\]\]?$")


def rows(name: str) -> list[tuple[str, str | None]]:
    """Return key and value (None: delete) of each row of the guide's table for a recipe."""
    table = GUIDE.read_text(encoding="utf-8").partition(f"| gap of {name} |")[2].partition("\n\n")[0]
    found = [_ROW.match(line) for line in table.splitlines()[2:]]
    return [(match["key"], match["value"]) for match in found if match is not None]


def places(lines: list[str]) -> dict[str, tuple[int, int]]:
    """Return for each dotted key the first of its lines and the one behind its last, for each table its header."""
    found: dict[str, tuple[int, int]] = {}
    counts: dict[str, int] = {}
    above = ""
    for n, line in enumerate(lines):
        if header := _HEADER.match(line):
            name = header["name"]
            if line.startswith("[["):
                counts[name] = counts.get(name, -1) + 1
                name = f"{name}.{counts[name]}"
            above = f"{name}."
            end = next((k for k in range(n + 1, len(lines)) if lines[k].startswith("[")), len(lines))
            found[f"[{name}]"] = (n, end)
        elif match := re.match(r"^(\w+) = ", line):
            end = lines.index("]", n) + 1 if line.endswith("= [") else n + 1
            found[f"{above}{match[1]}"] = (n, end)
    return found


def filled(draft: str, name: str) -> str:
    """Return the draft as a reader of the guide leaves it."""
    lines = draft.splitlines()
    before = ""
    for key, value in rows(name):
        known = places(lines)
        table, _, last = key.rpartition(".")
        new = [] if value is None else [f"{last} = {value}"]
        if key in known:
            start, end = known[key]
        elif f"[{table}]" in known:
            start = end = known[before][1]
        else:
            start = end = len(lines)
            new = ["", f"[{table}]", *new]
        lines[start:end] = new
        before = key
    return "\n".join(lines) + "\n"
