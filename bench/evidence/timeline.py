"""The timeline as an SVG image: lanes over one time axis, a few dozen kilobytes however long the run."""

from __future__ import annotations

from markupsafe import Markup

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.drawing.svg import Svg, shorten
from bench.evidence.axis import Ruler
from bench.evidence.text import duration
from bench.evidence.view import AXIS_WIDTH, BINS, Density, Lane, Mark, Span, Timeline

WIDTH, LEFT, RIGHT = 1200.0, 128.0, 14.0
PLOT = WIDTH - LEFT - RIGHT
AXIS_HEIGHT, FAULT_HEIGHT, PADDING = 24.0, 18.0, 7.0
STATE_HEIGHT, ACTIVITY_HEIGHT, MARK_HEIGHT, DENSITY_HEIGHT, ROW_GAP = 13.0, 15.0, 11.0, 22.0, 4.0
MIN_LANE = 34.0
MIN_TICK = 92.0
MAX_TICKS = 60
MIN_SPAN = 1.5
MAX_FAULT_LABELS = 12
POWER_MARKS = ("cut", "restore")
SUPPLY_MARKS_LABEL = {"cut": "power cut", "restore": "restored"}
LABEL_CHAR = 6.2


def timeline_svg(timeline: Timeline) -> Markup:
    """Return the image."""
    return _Drawing(timeline).draw()


class _Drawing:
    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.ruler = Ruler(timeline.axis)
        names = ", ".join(lane.title for lane in timeline.lanes)
        self.svg = Svg(WIDTH, f"Timeline of {duration(timeline.ended_t_ns)}: {names}")
        self.faults = sorted(timeline.faults, key=lambda fault: fault.t_ns)
        self.top = AXIS_HEIGHT + FAULT_HEIGHT * min(MAX_FAULT_LABELS, len(self.faults))

    def x(self, t_ns: int) -> float:
        return LEFT + self.ruler.x(t_ns) / AXIS_WIDTH * PLOT

    def draw(self) -> Markup:
        heights = [_lane_height(lane) for lane in self.timeline.lanes]
        bottom = self.top + sum(heights)
        self._lane_grounds(heights)
        self._axis(bottom)
        y = self.top
        for lane, height in zip(self.timeline.lanes, heights, strict=True):
            self._lane(lane, y, height)
            y += height
        for number, fault in enumerate(self.faults):
            self._fault(fault, number, bottom)
        return self.svg.render(bottom + 2, "timeline")

    def _lane_grounds(self, heights: list[float]) -> None:
        y = self.top
        for number, height in enumerate(heights):
            self.svg.add("rect", x=0, y=y, width=WIDTH, height=height, class_=f"t-lane t-lane{number % 2}")
            y += height

    def _axis(self, bottom: float) -> None:
        centres = []
        for gap in self.timeline.axis.gaps:
            left, right = self.x(gap.start_t_ns), self.x(gap.end_t_ns)
            length = duration(gap.end_t_ns - gap.start_t_ns)
            tip = f"{length} without any event, shortened"
            self.svg.add(
                "rect", x=left, y=self.top, width=right - left, height=bottom - self.top, class_="t-gap", title=tip
            )
            centre = (left + right) / 2
            centres.append(centre)
            self.svg.add("path", d=_hatch(left, right, self.top, bottom), class_="t-hatch")
            self.svg.add("text", x=centre, y=15, class_="t-gaptext", text_anchor="middle", text=f"+{length}")
        if all(WIDTH - centre > 86 for centre in centres):
            end = _tick_text(self.timeline.ended_t_ns // NS_PER_MS * NS_PER_MS)
            self.svg.add("text", x=WIDTH - RIGHT, y=15, class_="t-tick", text_anchor="end", text=end)
        for t_ns in self._ticks():
            x = self.x(t_ns)
            self.svg.add("line", x1=x, x2=x, y1=self.top - 4, y2=bottom, class_="t-grid")
            if x < WIDTH - 74 and all(abs(x - centre) > 46 for centre in centres):
                self.svg.add("text", x=x, y=15, class_="t-tick", text_anchor="middle", text=_tick_text(t_ns))

    def _ticks(self) -> list[int]:
        """Return round instants, at least `MIN_TICK` apart where time is not shortened."""
        gaps = self.timeline.axis.gaps
        shown_ns = self.timeline.ended_t_ns - sum(gap.end_t_ns - gap.start_t_ns for gap in gaps)
        step = _round_step(max(1, int(shown_ns / PLOT * MIN_TICK)))
        found: list[int] = []
        t_ns = 0
        while t_ns <= self.timeline.ended_t_ns and len(found) < MAX_TICKS:
            inside = next((gap for gap in gaps if gap.start_t_ns < t_ns < gap.end_t_ns), None)
            if inside is None:
                found.append(t_ns)
                t_ns += step
            else:
                t_ns = -(-inside.end_t_ns // step) * step
        return found

    def _lane(self, lane: Lane, y: float, height: float) -> None:
        middle = y + height / 2
        self.svg.add("text", x=12, y=middle - 1, class_="t-name", text=shorten(lane.title, 16))
        self.svg.add("text", x=12, y=middle + 12, class_="t-sub", text=shorten(lane.subtitle, 20))
        row = y + PADDING
        if lane.states:
            for span in lane.states:
                self._span(span, row, STATE_HEIGHT, "s")
            row += STATE_HEIGHT + ROW_GAP
        if lane.activities:
            for span in lane.activities:
                self._span(span, row, ACTIVITY_HEIGHT, "a")
            row += ACTIVITY_HEIGHT + ROW_GAP
        row_marks = [mark for mark in lane.marks if mark.kind not in POWER_MARKS]
        for mark in row_marks:
            self._mark(mark, row)
        row += MARK_HEIGHT + ROW_GAP if row_marks else 0
        self._densities(lane.densities, row)
        for mark in lane.marks:
            if mark.kind in POWER_MARKS:
                self._power(mark, y, height)

    def _span(self, span: Span, y: float, height: float, prefix: str) -> None:
        left, right = self.x(span.start_t_ns), self.x(span.end_t_ns)
        width = max(MIN_SPAN, right - left)
        tip = f"{span.label}\n{_instant(span.start_t_ns)} to {_instant(span.end_t_ns)}"
        classes = f"{prefix}-{_class(span.kind)}"
        self.svg.add("rect", x=left, y=y, width=width, height=height, rx=2, class_=classes, title=tip)
        name = span.kind.replace("_", " ") if prefix == "s" else span.label.split(",")[0]
        if prefix == "a" and span.kind in ("talk", "reset"):
            return
        if width > len(name) * LABEL_CHAR + 8:
            self.svg.add(
                "text", x=left + 5, y=y + height - 3.5, class_=f"t-in t-in-{prefix}-{_class(span.kind)}", text=name
            )

    def _mark(self, mark: Mark, y: float) -> None:
        x, middle = self.x(mark.t_ns), y + MARK_HEIGHT / 2
        tip = f"{mark.label}\n{_instant(mark.t_ns)}"
        if mark.kind == "execute":
            path = f"M{x:.1f} {y + 1:.1f}l8 4.5l-8 4.5z"
        elif mark.kind in ("decision", "refusal"):
            path = f"M{x:.1f} {middle - 5:.1f}l5 5l-5 5l-5 -5z"
        else:
            path = f"M{x - 1:.1f} {y + 1:.1f}h2v9h-2z"
        self.svg.add("path", d=path, class_=f"m-{_class(mark.kind)}", title=tip)

    def _power(self, mark: Mark, y: float, height: float) -> None:
        x = self.x(mark.t_ns)
        kind = _class(mark.kind)
        tip = f"{mark.label}\n{_instant(mark.t_ns)}"
        self.svg.add("line", x1=x, x2=x, y1=y + 1, y2=y + height - 1, class_=f"p-{kind}")
        if mark.kind == "cut":
            self.svg.add("path", d=f"M{x - 5:.1f} {y + 1:.1f}h10l-5 8z", class_=f"p-{kind}-head", title=tip)
        else:
            self.svg.add("path", d=f"M{x - 5:.1f} {y + height - 1:.1f}h10l-5 -8z", class_=f"p-{kind}-head", title=tip)

    def _densities(self, densities: tuple[Density, ...], y: float) -> None:
        for density in densities:
            peak = max(density.counts, default=0)
            if peak:
                tip = f"{density.label}: {density.total:,}"
                path = _steps(density.counts, peak, y + DENSITY_HEIGHT)
                self.svg.add("path", d=path, class_=f"d-{_class(density.kind)}", title=tip)

    def _fault(self, fault: Mark, number: int, bottom: float) -> None:
        """Draw a fault's line with its label in a row of its own; the earliest stands on top, so none is crossed."""
        x = self.x(fault.t_ns)
        y = AXIS_HEIGHT + FAULT_HEIGHT * min(number, MAX_FAULT_LABELS)
        whole = f"fault {fault.label} at {_instant(fault.t_ns)}"
        self.svg.add("line", x1=x, x2=x, y1=y + 2, y2=bottom, class_="t-fault", title=whole)
        if number < MAX_FAULT_LABELS:
            label = shorten(whole, 90)
            after = x + len(label) * LABEL_CHAR < WIDTH
            self.svg.add(
                "text",
                x=x + (6 if after else -6),
                y=y + 11,
                class_="t-faulttext",
                text_anchor="start" if after else "end",
                text=label,
            )


def _lane_height(lane: Lane) -> float:
    rows = [STATE_HEIGHT] * bool(lane.states) + [ACTIVITY_HEIGHT] * bool(lane.activities)
    rows += [MARK_HEIGHT] * any(mark.kind not in POWER_MARKS for mark in lane.marks)
    rows += [DENSITY_HEIGHT] * bool(lane.densities)
    return max(MIN_LANE, sum(rows) + ROW_GAP * max(0, len(rows) - 1) + 2 * PADDING)


def _steps(counts: tuple[int, ...], peak: int, base: float) -> str:
    """Return the outline of a bar chart; neighbours of equal height are one bar, empty columns are left out."""
    column = PLOT / BINS
    path = []
    start = 0
    for number in range(1, len(counts) + 1):
        if number < len(counts) and counts[number] == counts[start]:
            continue
        if counts[start]:
            height = max(2.0, counts[start] / peak * DENSITY_HEIGHT)
            width = (number - start) * column
            path.append(f"M{LEFT + start * column:.1f} {base:.1f}v-{height:.1f}h{width:.1f}v{height:.1f}z")
        start = number
    return "".join(path)


def _hatch(left: float, right: float, top: float, bottom: float) -> str:
    """Return slanted lines across a break of the axis."""
    width = right - left
    rows = int((bottom - top) / 8)
    return "".join(f"M{left:.1f} {top + 8 * row + 8:.1f}l{width:.1f} -8" for row in range(rows))


def _round_step(at_least_ns: int) -> int:
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor >= at_least_ns:
                return step * factor
        step *= 10


def _tick_text(t_ns: int) -> str:
    text = f"{t_ns / NS_PER_S:.6f}".rstrip("0").rstrip(".")
    return f"{text} s"


def _instant(t_ns: int) -> str:
    return f"{t_ns / NS_PER_S:.6f} s"


def _class(kind: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in kind)
