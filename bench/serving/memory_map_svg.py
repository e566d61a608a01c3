"""An ECU's memory map as a picture: an SVG file without dependencies, readable on light and dark ground.

Heights follow the logarithm of a region's size, since a mark of 16 KiB and a bank of 64 MiB share the picture.
"""

from __future__ import annotations

from math import log2
from textwrap import wrap

from bench.description.ecu_description import EcuDescription, Region
from bench.drawing.svg import Svg
from bench.serving.memory_map import Stretch, geometry_words, size_words, stretches

WIDTH, LEFT, TOP = 960.0, 128.0, 84.0
BOX_WIDTH, NOTES_AT = 300.0, 446.0
GAP, NOTE_LETTERS = 30.0, 68
LEAST_HEIGHT, PER_DOUBLING = 40.0, 6.0
KINDS = {
    "image": "software", "header": "signed header", "mark": "validity mark", "boot": "bootloader",
    "staging": "staging", "user_data": "user data",
}  # fmt: skip
STYLE = """
text { font: 14px system-ui, sans-serif; fill: #1b1f24; }
.title { font-size: 20px; font-weight: 600; }
.quiet { fill: #57606a; }
.address { font: 13px ui-monospace, monospace; fill: #57606a; }
.name { font-weight: 600; }
.ground { fill: #ffffff; }
rect.box { stroke: #57606a; stroke-width: 1; }
.gap { stroke: #8c959f; stroke-dasharray: 3 5; stroke-width: 2; }
.image { fill: #cfe3fb; } .header { fill: #d8f0d4; } .mark { fill: #fbe7b8; } .boot { fill: #e5dcf7; }
.staging { fill: #cdeff0; } .user_data { fill: #fbd9d3; } .other { fill: #e7eaee; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .quiet, .address { fill: #a3adb8; } .ground { fill: #0d1117; }
rect.box { stroke: #a3adb8; }
.image { fill: #1d3f66; } .header { fill: #1f4a2b; } .mark { fill: #594510; } .boot { fill: #43326b; }
.staging { fill: #124a4d; } .user_data { fill: #66302a; } .other { fill: #333b45; }
}
"""


def memory_map_svg(description: EcuDescription) -> str:
    """Return the picture as the text of a file."""
    laid = stretches(description)
    heights = [_height(stretch) for stretch in laid]
    height = TOP + sum(heights) + GAP * (len(laid) + 1) + 30
    svg = Svg(WIDTH, f"Memory map of {description.name}")
    svg.add("title", text=f"Memory map of {description.name}: {description.title}")
    svg.add("desc", text=_in_words(laid))
    svg.add("style", text=STYLE)
    svg.add("rect", x=0, y=0, width=WIDTH, height=height, class_="ground")
    svg.add("text", x=24, y=38, class_="title", text=description.title)
    svg.add("text", x=24, y=62, class_="quiet", text=f"{description.name}: linked addresses, sizes and sectors")
    y = TOP
    for number, (stretch, tall) in enumerate(zip(laid, heights, strict=True)):
        if number and stretch.start > laid[number - 1].end + 1:
            middle = LEFT + BOX_WIDTH / 2
            svg.add("line", x1=middle, y1=y - GAP + 4, x2=middle, y2=y - 4, class_="gap")
        _stretch(svg, stretch, y, tall)
        y += tall + GAP
    _legend(svg, laid, y + 14)
    return f"{svg.render(height, 'memory-map')}\n"


def _stretch(svg: Svg, stretch: Stretch, y: float, tall: float) -> None:
    """Draw what lies at the same addresses side by side, notes to the right."""
    width = BOX_WIDTH / len(stretch.regions)
    svg.add("text", x=LEFT - 12, y=y + 12, class_="address", text_anchor="end", text=f"0x{stretch.start:08X}")
    svg.add("text", x=LEFT - 12, y=y + tall, class_="address", text_anchor="end", text=f"0x{stretch.end:08X}")
    for column, region in enumerate(stretch.regions):
        x = LEFT + column * width
        svg.add(
            "rect", x=x, y=y, width=width, height=tall, rx=3, class_=f"box {_kind(region)}",
            title=_region_words(region),
        )  # fmt: skip
        middle = y + tall / 2
        svg.add("text", x=x + width / 2, y=middle - 3, class_="name", text_anchor="middle", text=region.name)
        svg.add("text", x=x + width / 2, y=middle + 14, text_anchor="middle", text=size_words(region.size_bytes))
    notes = dict.fromkeys(geometry_words(region) for region in stretch.regions)
    lines = [line for note in notes for line in wrap(note, NOTE_LETTERS)]
    for number, line in enumerate(lines):
        svg.add("text", x=NOTES_AT, y=y + 18 * number + tall / 2 + 14 - 9 * len(lines), class_="quiet", text=line)


def _legend(svg: Svg, laid: list[Stretch], y: float) -> None:
    kinds = dict.fromkeys(_kind(region) for stretch in laid for region in stretch.regions)
    for number, kind in enumerate(kinds):
        x = LEFT + 140 * number
        svg.add("rect", x=x, y=y - 12, width=16, height=16, rx=3, class_=f"box {kind}")
        svg.add("text", x=x + 24, y=y + 1, class_="quiet", text=KINDS.get(kind, "other"))


def _in_words(laid: list[Stretch]) -> str:
    return ". ".join(
        f"0x{stretch.start:08X} to 0x{stretch.end:08X}: {', '.join(map(_region_words, stretch.regions))}"
        for stretch in laid
    )


def _region_words(region: Region) -> str:
    return f"{region.name}, {size_words(region.size_bytes)}, {geometry_words(region)}"


def _kind(region: Region) -> str:
    """Return the class of a region: what stands before its colon, unless it is external flash."""
    kind, _, place = region.name.partition(":")
    if place == "staging":
        return "staging"
    return kind if kind in KINDS else "other"


def _height(stretch: Stretch) -> float:
    largest = max(region.size_bytes for region in stretch.regions)
    return LEAST_HEIGHT + PER_DOUBLING * max(0.0, log2(largest / 16_384))
