"""The sequence as SVG images: lifelines on the left, what was said on the right, one line a message."""

from __future__ import annotations

from markupsafe import Markup

from bench.core.clock import NS_PER_S
from bench.drawing.svg import Svg, shorten
from bench.evidence.sequence_view import longest_silences
from bench.evidence.text import duration, instant
from bench.evidence.view import Sequence, Step

WIDTH, TIME_RIGHT = 1200.0, 82.0
HEAD, ROW, SILENCE_ROW = 30.0, 19.0, 17.0
ROWS_PER_IMAGE = 44
"""So many lines stand on one printed page; each image repeats the names."""
LIFELINES_WIDTH, MIN_LIFELINE = 430.0, 56.0
SILENCE_NS = NS_PER_S
CHAR = 6.7
GAP_CHARS = 3


def sequence_svgs(sequence: Sequence) -> list[Markup]:
    """Return the images from first to last line; empty when nothing was said."""
    steps = sequence.steps
    silences = longest_silences(steps, SILENCE_NS)
    off: dict[str, bool] = {}
    images = []
    numbered = list(enumerate(steps))
    for start in range(0, len(steps), ROWS_PER_IMAGE):
        drawing = _Drawing(sequence.participants, silences, off)
        images.append(drawing.draw(numbered[start : start + ROWS_PER_IMAGE]))
    return images


class _Drawing:
    """One image; `off` carries who is without power from image to image."""

    def __init__(self, participants: tuple[str, ...], silences: dict[int, int], off: dict[str, bool]) -> None:
        self.participants, self.silences, self.off = participants, silences, off
        self.svg = Svg(WIDTH, f"Messages between {', '.join(participants)}")
        spacing = max(MIN_LIFELINE, LIFELINES_WIDTH / max(1, len(participants)))
        self.places = {name: TIME_RIGHT + spacing * (i + 0.5) for i, name in enumerate(participants)}
        self.text_left = TIME_RIGHT + spacing * len(participants) + 10
        self.chars = int((WIDTH - self.text_left - 4) / CHAR)
        self.spacing = spacing

    def draw(self, steps: list[tuple[int, Step]]) -> Markup:
        y = HEAD
        for number, step in steps:
            if number in self.silences:
                self._silence(y, self.silences[number])
                y += SILENCE_ROW
            self._lifelines(y, ROW)
            self._step(step, y)
            if step.kind == "power":
                self.off[step.source] = step.outcome == "bad"
            y += ROW
        self._names()
        return self.svg.render(y + 4, "sequence")

    def _names(self) -> None:
        self.svg.add("text", x=TIME_RIGHT - 8, y=17, class_="q-time", text_anchor="end", text="seconds")
        for name, x in self.places.items():
            width = self.spacing - 8
            self.svg.add("rect", x=x - width / 2, y=3, width=width, height=20, rx=4, class_="q-head")
            text = shorten(name, int(width / 6.6))
            self.svg.add("text", x=x, y=17, class_="q-name", text_anchor="middle", text=text)

    def _lifelines(self, y: float, height: float) -> None:
        for name, x in self.places.items():
            kind = "q-dead" if self.off.get(name) else "q-life"
            self.svg.add("line", x1=x, x2=x, y1=y, y2=y + height, class_=kind)

    def _silence(self, y: float, length_ns: int) -> None:
        self._lifelines(y, SILENCE_ROW)
        middle = y + SILENCE_ROW / 2
        self.svg.add("line", x1=0, x2=self.text_left - 8, y1=middle, y2=middle, class_="q-silence")
        self.svg.add("text", x=self.text_left, y=middle + 3.5, class_="q-later", text=f" {duration(length_ns)} later ")

    def _step(self, step: Step, y: float) -> None:
        middle = y + ROW / 2
        self.svg.add("text", x=TIME_RIGHT - 8, y=middle + 3.5, class_="q-time", text_anchor="end", text=_time(step))
        if step.kind == "functional":
            self._to_all(step, middle)
        elif step.target is not None:
            self._arrow(step, middle)
        else:
            self._note(step, middle)
        self._words(step, middle + 3.8)

    def _arrow(self, step: Step, y: float) -> None:
        here, there = self.places.get(step.source), self.places.get(step.target or "")
        if here is None or there is None:
            return
        sign = 1.0 if there > here else -1.0
        classes = f"q-{step.kind} q-{step.outcome}"
        self.svg.add("line", x1=here, x2=there - 6 * sign, y1=y, y2=y, class_=classes)
        head = f"M{there:.1f} {y:.1f}l{-7 * sign:.0f} -3.5v7z"
        self.svg.add("path", d=head, class_=f"q-tip q-tip-{step.outcome}")
        if step.count > 1:
            middle = (here + there) / 2
            text = f"× {step.count}"
            width = len(text) * 6.2 + 8
            self.svg.add(
                "rect", x=middle - width / 2, y=y - 7, width=width, height=14, rx=7, class_=f"q-fold q-fold-{step.kind}"
            )
            self.svg.add("text", x=middle, y=y + 3.5, class_="q-count", text_anchor="middle", text=text)

    def _to_all(self, step: Step, y: float) -> None:
        here = self.places.get(step.source)
        ecus = [x for name, x in self.places.items() if name not in ("server", "agent", "tester", "car")]
        if here is None or not ecus:
            return
        self.svg.add("line", x1=here, x2=max(ecus), y1=y, y2=y, class_="q-functional q-info")
        for x in ecus:
            self.svg.add("circle", cx=x, cy=y, r=3, class_="q-hear")

    def _note(self, step: Step, y: float) -> None:
        x = self.places.get(step.source)
        if x is None or step.kind == "left_out":
            return
        if step.kind == "power":
            kind = "cut" if step.outcome == "bad" else "restore"
            self.svg.add("circle", cx=x, cy=y, r=7, class_=f"q-power-{kind}")
            cross = f"M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6"
            flash = f"M{x:.1f} {y - 4:.1f}v4.5"
            self.svg.add("path", d=cross if kind == "cut" else flash, class_="q-power-sign")
        elif step.kind == "boot":
            self.svg.add("rect", x=x - 5, y=y - 5, width=10, height=10, rx=2, class_="q-boot")
        else:
            self.svg.add(
                "path", d=f"M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z", class_=f"q-event-{step.outcome}"
            )

    def _words(self, step: Step, y: float) -> None:
        if step.kind == "left_out":
            text = f"… {step.count} more lines left out, {step.detail}"
            self.svg.add("text", x=self.text_left, y=y, class_="q-left", text=text)
            return
        who = f"{step.source}: " if step.kind in ("power", "boot") else ""
        text = shorten(who + step.text, max(20, self.chars * 2 // 3) if step.detail else self.chars)
        room = self.chars - len(text) - GAP_CHARS
        detail = shorten(step.detail, room) if room > 6 else ""
        joint = "" if not detail else "  →  " if step.target and step.kind != "functional" else "  "
        strong = "q-strong" if step.kind in ("power", "event") or step.outcome == "bad" else "q-text"
        parts = [(strong, text), ("q-faint", joint), (f"q-said q-said-{step.outcome}", detail)]
        self.svg.words(parts, x=self.text_left, y=y, class_="q-line")


def _time(step: Step) -> str:
    return instant(step.t_ns).removesuffix(" s")[:-3]
