"""The part of *silent* about the supply: nothing is erased or programmed at a voltage that the ECU must refuse."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from bench.core.records import EcuLayout, VoltageRecord
from bench.oracle.exchange import DOWNLOAD, TRANSFER, Exchange
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, hidden, passed
from bench.oracle.fold import Rule
from bench.oracle.pairing import AnsweredLate, Exchanged
from bench.oracle.situation import Situation
from bench.oracle.stream import Event

SETTLED_NS = 1_000_000
"""The voltage must have been out of range for so long before the request came: an ECU measures now and then."""


class _Point(NamedTuple):
    """The voltage at an instant."""

    t_ns: int
    millivolts: int


class VoltageWasEnough(Rule):
    """An ECU obeys no erasure, download or block while its voltage is outside the range of its file.

    ISO 14229-1 has NRC 0x92 (voltage too high) and 0x93 (too low) for it: cells that are programmed at a low voltage
    may read well today and not tomorrow.
    """

    takes = (VoltageRecord, Exchanged, AnsweredLate)
    relies_on = (Source.FRAMES, Source.VOLTAGES)
    only_shown = ("_obeyed",)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._points: dict[str, tuple[_Point, ...]] = {}
        self._obeyed = {layout.ecu: 0 for layout in facts.layouts}
        self._outside: dict[str, Finding] = {}

    def take(self, event: Event) -> None:
        """Follow the voltage, and judge what an ECU obeys by the voltage at which it was asked."""
        if isinstance(event, VoltageRecord):
            self._points[event.part] = tuple(_Point(*point) for point in event.points)
            return
        exchange: Exchange = event.exchange
        layout = self.facts.layout(exchange.ecu or "")
        if layout is None or not exchange.positive:
            return
        if exchange.service in (DOWNLOAD, TRANSFER) or exchange.is_routine(layout.erase_routine):
            self._obeyed[layout.ecu] += 1
            self._judge(layout, exchange)

    def _judge(self, layout: EcuLayout, exchange: Exchange) -> None:
        points, asked_ns = self._points.get(layout.ecu), exchange.request.t_end_ns
        if points is None or asked_ns - SETTLED_NS < points[0][0]:
            return
        lowest, highest = layout.program_mv
        volts = [millivolts_at(points, t_ns) for t_ns in (asked_ns - SETTLED_NS, asked_ns)]
        if max(volts) < lowest or min(volts) > highest:
            begun = exchange.request.payload[:4].hex(" ").upper()
            text = f"{begun} was obeyed at {volts[1]} mV, allowed are {lowest} to {highest}"
            sentence = f"{layout.ecu} was erased or programmed at {volts[1]} mV"
            seen = at("frame", exchange.channel, asked_ns, text)
            self._outside.setdefault(layout.ecu, failed(sentence, seen, blame="bootloader"))

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU."""
        if not self.facts.watches(Source.FRAMES):
            return []
        return [self._of(layout) for layout in self.facts.layouts]

    def _of(self, layout: EcuLayout) -> Finding:
        if layout.ecu in self._outside:
            return self._outside[layout.ecu]
        if not self.facts.watches(Source.VOLTAGES, layout.ecu):
            return hidden(f"the voltage at {layout.ecu}", bench(f"no voltage of {layout.ecu}"))
        text = bench(f"{self._obeyed[layout.ecu]} erasures, downloads and blocks were obeyed")
        return passed(f"{layout.ecu} was programmed at no wrong voltage", text)


def millivolts_at(points: Sequence[tuple[int, int]], t_ns: int) -> int:
    """Return the voltage at an instant: linear between points, of two at one instant the later one."""
    for (t0, mv0), (t1, mv1) in pairwise(points):
        if t0 <= t_ns < t1:
            return mv0 + (mv1 - mv0) * (t_ns - t0) // (t1 - t0)
    return points[0 if t_ns < points[0][0] else -1][1]
