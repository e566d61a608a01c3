"""Silent where it must be: nothing is erased when the package is not genuine, or the car not as an ECU demands.

Here: packages. The car: `silent_car`.
"""

from __future__ import annotations

from bench.core.records import EcuLayout, FlashDump
from bench.oracle.exchange import DOWNLOAD, WRITE_MEMORY, Exchange
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, on_bus, passed, undecided, unseen
from bench.oracle.fold import Rule
from bench.oracle.pairing import Exchanged
from bench.oracle.result import Evidence
from bench.oracle.situation import Situation
from bench.oracle.stream import Event

_NAMES = {DOWNLOAD: "RequestDownload", WRITE_MEMORY: "WriteMemoryByAddress"}


def when_silent(situation: Situation) -> str:
    """Return the sentence of a pass."""
    if not situation.deliveries.found:
        return "no package was delivered and no ECU was touched"
    if situation.deliveries.first_genuine_ns() is None:
        return "the package is not genuine and no ECU was touched"
    return "the package is genuine, and no ECU was touched before it came"


class NothingTouchedTooEarly(Rule):
    """No erase routine, no 0x34 and no 0x3D unless the package that came last, with all its bytes, is genuine.

    Each delivery is judged by itself: a forged one that follows a genuine one arms nothing. Requests count even when
    they broke off or were refused: whoever sent them would have erased. The dumps' erase counters (operations since the
    run began) must agree where they are known.
    """

    takes = (Exchanged, FlashDump)
    relies_on = (Source.FRAMES, Source.HTTP)
    only_shown = ("_touching",)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._touching = {layout.ecu: 0 for layout in facts.layouts}
        self._early: dict[str, list[Evidence]] = {layout.ecu: [] for layout in facts.layouts}
        self._counted: dict[str, tuple[int, int]] = {}

    def take(self, event: Event) -> None:
        """Judge a request to erase or download; keep the counters of a dump."""
        if isinstance(event, FlashDump):
            self._counted[event.ecu] = (event.erases, event.programs)
            return
        exchange: Exchange = event.exchange
        layout = self.facts.layout(exchange.ecu or "")
        if layout is None or not (exchange.service in _NAMES or exchange.is_routine(layout.erase_routine)):
            return
        self._touching[layout.ecu] += 1
        delivery = self.situation.deliveries.last_before(exchange.request.t_start_ns)
        if delivery is None or not delivery.genuine:
            self._early[layout.ecu].append(_touched(exchange))

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU on the bus, and on its counters when no genuine package came at all."""
        deliveries = self.situation.deliveries
        shown = deliveries.evidence()
        if not self.facts.watches(Source.HTTP):
            return [unseen("what was delivered was not observed", bench("no HTTP exchanges"))]
        if self.facts.watches(Source.FRAMES):
            found = [self._bus(layout, shown) for layout in self.facts.layouts]
        else:
            found = [unseen("the bus was not observed", *shown)]
        if all(d.findings is not None and not d.findings.genuine for d in deliveries.found):
            found += [self._counters(layout) for layout in self.facts.layouts]
        return found

    def _bus(self, layout: EcuLayout, shown: list[Evidence]) -> Finding:
        early = self._early[layout.ecu]
        if not early and not self.facts.watches(Source.FRAMES, layout.channel):
            return unseen(f"the bus to {layout.ecu} was not observed", bench(f"no frames of {layout.channel}"))
        if not early:
            text = f"{self._touching[layout.ecu]} requests to erase or download, none of them without a genuine package"
            return passed(text, on_bus(layout.channel, f"{layout.ecu}: {text}"), *shown)
        if self.situation.deliveries.undecided:
            sentence = f"{layout.ecu} was touched, and the delivered package could not be put together"
            return undecided(sentence, *early, *shown)
        why = "a package that is not genuine" if self.situation.deliveries.found else "no package at all"
        sentence = f"{layout.ecu} was told to erase or download with {why} delivered"
        return failed(sentence, *early, *shown, blame="agent")

    def _counters(self, layout: EcuLayout) -> Finding:
        """Judge the erase counter of an ECU's flash. The ECU is to blame only when it is known that nobody asked it."""
        if layout.ecu not in self._counted:
            return passed("the flash was not read; the bus decides", bench(f"no flash dump of {layout.ecu}"))
        erases, programs = self._counted[layout.ecu]
        counted = Evidence("flash", f"{layout.ecu} flash", f"{erases} erasures, {programs} programmed units")
        if erases == 0:
            return passed(f"{layout.ecu}'s flash was not erased", counted)
        nobody_asked = self.facts.watches(Source.FRAMES, layout.channel) and not self._touching[layout.ecu]
        blame = "ecu" if nobody_asked else "agent"
        return failed(f"{layout.ecu}'s flash was erased without a genuine package", counted, blame=blame)


def _touched(exchange: Exchange) -> Evidence:
    name = _NAMES.get(exchange.service, "erase routine")
    ending = "broken off" if not exchange.request.complete else _answer(exchange)
    text = f"{exchange.request.sender} to {exchange.ecu}: {name} {exchange.request.payload.hex(' ').upper()}, {ending}"
    return at("frame", exchange.channel, exchange.request.t_end_ns, text)


def _answer(exchange: Exchange) -> str:
    return "no answer" if exchange.answer is None else f"answer {exchange.answer.payload.hex(' ').upper()}"
