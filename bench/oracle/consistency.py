"""Sources held against each other: what one shows another must have carried, or one of both was not really watched.

A contradiction says nothing of the vehicle. It makes every pass inconclusive that relies on the source which is silent
about what the other shows (blame: bench); a failure stays a failure.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from bench.core.records import BootRecord, DidReading, ExecutionRecord, FlashOperation, HttpRecord, ServerEvent
from bench.oracle.bus import ChannelHeard
from bench.oracle.coverage import Doubt
from bench.oracle.decode_image import header_or_none
from bench.oracle.exchange import TRANSFER, WRITE_MEMORY
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, of_reading, undecided
from bench.oracle.pairing import Requested
from bench.oracle.result import Evidence
from bench.oracle.running import SOFTWARE_VERSION, executed_version, version_text
from bench.oracle.situation import Situation
from bench.oracle.state import state_of
from bench.oracle.stream import Event

_OF_AN_IMAGE = ("image:", "header:")
"""Regions that only a tester's data changes; marks and counters an ECU writes by itself."""


@dataclass(frozen=True, slots=True)
class _Unsent:
    """What data must have brought that nobody has heard by then."""

    t_ns: int
    finding: Finding


class Consistency:
    """Reads along with the rules; `doubts` says which sources contradict each other."""

    takes: ClassVar[tuple[type, ...]] = (
        Requested, ChannelHeard, FlashOperation, ExecutionRecord, DidReading, BootRecord, HttpRecord, ServerEvent,
    )  # fmt: skip

    def __init__(self, facts: Facts, situation: Situation) -> None:
        self.facts, self.situation = facts, situation
        self._sent_ns: dict[str, int] = {}
        """When the first 0x36 (or 0x3D) to an ECU had come."""
        self._unsent: dict[str, _Unsent] = {}
        """What an ECU shows although nothing had been sent to it, by ECU."""
        self._heard: list[str] = []
        self._found: dict[tuple[str, str], Doubt] = {}
        self._exchanged = self._sessions = False

    def take(self, event: Event) -> None:
        """Read one event; what contradicts what is known by now is noted once for each ECU."""
        match event:
            case Requested():
                ecu = event.exchange.ecu
                if event.exchange.service in (TRANSFER, WRITE_MEMORY) and ecu is not None:
                    self._sent_ns.setdefault(ecu, event.exchange.request.t_end_ns)
            case ChannelHeard():
                self._heard.append(event.channel)
            case HttpRecord():
                self._exchanged = True
            case ServerEvent():
                self._sessions |= event.kind == "session_started"
            case FlashOperation():
                self._take_operation(event)
            case ExecutionRecord():
                self._take_execution(event)
            case BootRecord():
                self._take_boot(event)
            case DidReading():
                self._take_reading(event)

    def _doubt(self, source: Source, ecu: str, sentence: str, *seen: Evidence) -> None:
        """Note a contradiction, where the source that should have shown it was watched at all."""
        layout = self.facts.layout(ecu)
        place = layout.channel if layout is not None and source is Source.FRAMES else ecu
        if self.facts.watches(source, place):
            finding = undecided(sentence, *seen, blame="bench")
            self._found.setdefault((source.value, f"{ecu} {sentence}"), Doubt((source,), finding))

    def _without_data(self, ecu: str, t_ns: int, sentence: str, seen: Evidence) -> None:
        """Note what data must have brought. Data of this very instant count: an ECU acts as soon as it has a frame."""
        layout = self.facts.layout(ecu)
        if layout is not None and ecu not in self._sent_ns and self.facts.watches(Source.FRAMES, layout.channel):
            self._unsent.setdefault(ecu, _Unsent(t_ns, undecided(sentence, seen, blame="bench")))

    def _take_operation(self, event: FlashOperation) -> None:
        if event.kind == "program" and event.region.startswith(_OF_AN_IMAGE):
            seen = at("flash", event.ecu, event.t_ns, f"program of {event.length} bytes in {event.region}")
            sentence = f"the flash of {event.ecu} was programmed, and no 0x36 to it was heard on the bus before"
            self._without_data(event.ecu, event.t_ns, sentence, seen)

    def _take_execution(self, event: ExecutionRecord) -> None:
        installed = [reference.header for reference in self.facts.images(event.ecu, "installed")]
        if event.header not in installed and header_or_none(event.header) is not None:
            seen = at("execution", event.ecu, event.t_ns, f"executes {executed_version(event)} from bank {event.bank}")
            self._without_data(event.ecu, event.t_ns, f"{event.ecu} executes an image that no 0x36 brought", seen)

    def _take_boot(self, event: BootRecord) -> None:
        """A boot without supply: at the very instant of a cut the ECU may still have begun one."""
        ecu = self.situation.ecus[event.ecu]
        if self.facts.layout(event.ecu) is None:
            return
        if ecu.power is None or (not ecu.power.on and ecu.power.t_ns < event.t_ns):
            seen = at("boot", event.ecu, event.t_ns, f"{event.stage}: {event.reason}")
            sentence = f"{event.ecu} boots while its supply is recorded as off"
            self._doubt(Source.POWER, event.ecu, sentence, seen)

    def _take_reading(self, event: DidReading) -> None:
        layout = self.facts.layout(event.ecu)
        if layout is None or not event.answered:
            return
        if layout.channel not in self._heard:
            sentence = f"{event.ecu} answered a tester, and no frame was heard on {layout.channel}"
            self._doubt(Source.FRAMES, event.ecu, sentence, of_reading(event))
        before = [reference.version for reference in self.facts.images(event.ecu, "installed")]
        version = version_text(event)
        if event.did != SOFTWARE_VERSION or not before or version in ("", *before):
            return
        sentence = f"{event.ecu} reads {version!r}, and no 0x36 to it was heard on the bus"
        self._without_data(event.ecu, event.t_ns, sentence, of_reading(event))
        if not self.situation.deliveries.found:
            sentence = f"{event.ecu} reads {version!r}, and no delivery of a package was seen"
            self._doubt(Source.HTTP, event.ecu, sentence, of_reading(event))

    def doubts(self) -> list[Doubt]:
        """Return the contradictions, once the run is over."""
        found = list(self._found.values())
        for ecu, unsent in self._unsent.items():
            if self._sent_ns.get(ecu, unsent.t_ns + 1) > unsent.t_ns:
                found.append(Doubt((Source.FRAMES,), unsent.finding))
        placed, logged = self.facts.orders_placed, len(self.situation.server.orders)
        if self.facts.watches(Source.SERVER_EVENTS) and logged < placed:
            seen = bench(f"{placed} orders placed, {logged} in the log, {self.situation.server.events} events in all")
            sentence = f"the bench placed {placed} orders, the server's log has {logged}"
            found.append(Doubt((Source.SERVER_EVENTS,), undecided(sentence, seen, blame="bench")))
        if self.facts.watches(Source.HTTP) and self._sessions and not self._exchanged:
            seen = bench("session_started in the log, and no HTTP exchange")
            sentence = "the server had sessions with the vehicle, and no exchange was seen on the network"
            found.append(Doubt((Source.HTTP,), undecided(sentence, seen, blame="bench")))
        return found

    def key(self) -> Hashable:
        """Return its state."""
        return state_of(self, without=("facts", "situation"))
