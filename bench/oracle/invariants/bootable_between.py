"""The part of *bootable* about the time in between: an ECU with two banks has an application at every boot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.records import BootRecord, EcuLayout, FlashOperation
from bench.oracle.bus import FunctionalRequest
from bench.oracle.exchange import SESSION, Exchange
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, hidden, passed, undecided
from bench.oracle.fold import Rule
from bench.oracle.pairing import Requested
from bench.oracle.situation import Situation
from bench.oracle.stream import Event

PROGRAMMING = 0x02
"""diagnosticSessionType of the programming session (ISO 14229-1, 0x10)."""


@dataclass(slots=True)
class _Ecu:
    only_shown: ClassVar[tuple[str, ...]] = ("boots",)

    programming_asked: bool = False
    """Whether a tester asked for the programming session since the ECU's last boot."""
    boots: int = 0
    rotten: bool = False
    """Whether a bit of its flash flipped by itself: then the bank from before may be lost without anybody's fault."""


class ApplicationAtEveryBoot(Rule):
    """An ECU with two banks boots into an application, unless a tester asked for the programming session before.

    One bank always holds the software from before; an ECU that is found in its bootloader between two boots has lost
    it, though the last boot may look well again.
    """

    takes = (BootRecord, Requested, FunctionalRequest, FlashOperation)
    relies_on = (Source.BOOTS,)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._ecus = {layout.ecu: _Ecu() for layout in facts.layouts if len(layout.banks) > 1}
        self._lost: dict[str, Finding] = {}

    def take(self, event: Event) -> None:
        """Follow each boot, and what was asked for before it."""
        if isinstance(event, BootRecord):
            self._take_boot(event)
            return
        if isinstance(event, FlashOperation):
            if event.kind == "rot" and event.ecu in self._ecus:
                self._ecus[event.ecu].rotten = True
            return
        exchange: Exchange = event.exchange
        if exchange.service == SESSION and exchange.sub_function == PROGRAMMING:
            for layout in self.facts.layouts:
                reached = exchange.ecu == layout.ecu or (exchange.ecu is None and exchange.channel == layout.channel)
                if reached and layout.ecu in self._ecus:
                    self._ecus[layout.ecu].programming_asked = True

    def _take_boot(self, boot: BootRecord) -> None:
        ecu = self._ecus.get(boot.ecu)
        if ecu is None or boot.stage == "boot_manager":
            return
        ecu.boots += 1
        if boot.stage == "bootloader" and not ecu.programming_asked and not ecu.rotten:
            seen = at("boot", boot.ecu, boot.t_ns, f"bootloader: {boot.reason}; no programming session was asked for")
            sentence = f"{boot.ecu} has two banks and booted into its bootloader"
            self._lost.setdefault(boot.ecu, failed(sentence, seen, blame="bootloader"))
        ecu.programming_asked = False

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU with two banks."""
        return [self._of(layout) for layout in self.facts.layouts if layout.ecu in self._ecus]

    def _of(self, layout: EcuLayout) -> Finding:
        if layout.ecu in self._lost and self.facts.watches(Source.FRAMES, layout.channel):
            lost = self._lost[layout.ecu]
            if self.facts.watch(Source.FRAMES, layout.channel).lost:  # the request may be among what is missing
                return undecided(f"{lost.sentence}, and frames are missing", *lost.evidence, blame="bench")
            return lost
        both = self.facts.watches(Source.BOOTS, layout.ecu) and self.facts.watches(Source.FRAMES, layout.channel)
        if not both:
            return hidden(f"what {layout.ecu} boots in between", bench("no boots or no frames"))
        text = bench(f"{self._ecus[layout.ecu].boots} boots")
        return passed(f"{layout.ecu} booted into an application each time", text)
