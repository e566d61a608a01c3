"""The part of *authentic* about who may program: a seed is given once (ISO 14229-1, 0x27)."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.core.records import BootRecord, EcuLayout
from bench.oracle.exchange import Exchange
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, passed
from bench.oracle.fold import Rule
from bench.oracle.pairing import Exchanged
from bench.oracle.situation import Situation
from bench.oracle.stream import Event

SECURITY_ACCESS = 0x27
SHORTEST_SEED_BYTES = 4
"""A shorter seed repeats by chance too often for one run to say anything: 2 bytes in one of 65,536 pairs."""


@dataclass(slots=True)
class _Ecu:
    seeds: list[tuple[int, bytes]] = field(default_factory=list)
    """Level and seed of every attempt so far."""
    pending: tuple[int, bytes] | None = None
    """What was given last and not used up: asking again before a key may give the same seed."""


class SeedsDiffer(Rule):
    """No seed is given for two attempts of one level: a key that was overheard once would open the ECU for ever.

    Zeros say that the level is open already. An ECU whose file says that its seed stays (`static_seed`) may repeat it
    until the right key came or a reset.
    """

    takes = (Exchanged, BootRecord)
    relies_on = (Source.FRAMES,)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._ecus = {layout.ecu: _Ecu() for layout in facts.layouts}
        self._again: dict[str, Finding] = {}

    def take(self, event: Event) -> None:
        """Note seeds; a key or a reset uses one up."""
        if isinstance(event, BootRecord):
            if event.ecu in self._ecus:
                self._use_up(self._ecus[event.ecu])
            return
        exchange: Exchange = event.exchange
        ecu = self._ecus.get(exchange.ecu or "")
        level = exchange.sub_function
        if ecu is None or exchange.service != SECURITY_ACCESS or level is None:
            return
        if level % 2 == 0:
            layout = self.facts.layout(exchange.ecu or "")
            if not (layout is not None and layout.static_seed and exchange.negative):
                self._use_up(ecu)
        elif exchange.positive and exchange.answer is not None:
            self._take_seed(exchange, ecu, level, exchange.answer.payload[2:])

    def _take_seed(self, exchange: Exchange, ecu: _Ecu, level: int, seed: bytes) -> None:
        if len(seed) < SHORTEST_SEED_BYTES or not any(seed) or ecu.pending == (level, seed):
            return
        if (level, seed) in ecu.seeds and exchange.ecu is not None:
            t_ns = exchange.request.t_end_ns
            text = at("frame", exchange.channel, t_ns, f"67 {level:02X} {seed.hex(' ').upper()}: given before")
            sentence = f"{exchange.ecu} gave the same seed for two attempts"
            self._again.setdefault(exchange.ecu, failed(sentence, text, blame="ecu"))
        ecu.pending = (level, seed)

    @staticmethod
    def _use_up(ecu: _Ecu) -> None:
        if ecu.pending is not None:
            ecu.seeds.append(ecu.pending)
            ecu.pending = None

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU that gave seeds."""
        if not self.facts.watches(Source.FRAMES):
            return []
        return [self._of(layout) for layout in self.facts.layouts]

    def _of(self, layout: EcuLayout) -> Finding:
        if layout.ecu in self._again:
            return self._again[layout.ecu]
        count = len(self._ecus[layout.ecu].seeds)
        return passed(f"{layout.ecu} gave no seed twice", bench(f"{count} seeds were used up"))
