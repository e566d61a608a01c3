"""The part of *authentic* about what makes an image valid: its mark is programmed once the image was checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.records import EcuLayout, FlashOperation
from bench.oracle.decode_download import Block
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, hidden, passed
from bench.oracle.fold import Rule
from bench.oracle.pairing import Requested
from bench.oracle.situation import Situation
from bench.oracle.stream import Event

MARK_REGION = "mark:"
"""Begins the name of the region of a bank's validity mark."""


@dataclass(slots=True)
class _Ecu:
    only_shown: ClassVar[tuple[str, ...]] = ("marks",)

    block_ns: int | None = None
    """The last data that came."""
    check_ns: int | None = None
    """The last request to check them."""
    marks: int = 0


class MarkedOnceChecked(Rule):
    """A bank is marked as valid after the check that its data ask for, never while they still come.

    A mark that stands before the check makes whatever lies there bootable after a power cut in between.
    """

    takes = (FlashOperation, Block, Requested)
    relies_on = (Source.FRAMES, Source.FLASH_OPERATIONS)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._ecus = {layout.ecu: _Ecu() for layout in facts.layouts}
        self._early: dict[str, Finding] = {}

    def take(self, event: Event) -> None:
        """Follow data, check and mark of each ECU."""
        if isinstance(event, FlashOperation):
            self._take_operation(event)
        elif isinstance(event, Block):
            if event.ecu in self._ecus:
                self._ecus[event.ecu].block_ns = event.t_ns
        else:
            layout = self.facts.layout(event.exchange.ecu or "")
            if layout is not None and event.exchange.is_routine(layout.check_routine):
                self._ecus[layout.ecu].check_ns = event.exchange.request.t_end_ns

    def _take_operation(self, operation: FlashOperation) -> None:
        ecu = self._ecus.get(operation.ecu)
        if ecu is None or operation.kind != "program" or not operation.region.startswith(MARK_REGION):
            return
        ecu.marks += 1
        unchecked = ecu.block_ns is not None and (ecu.check_ns is None or ecu.check_ns < ecu.block_ns)
        if unchecked and ecu.block_ns is not None:
            sent = at("frame", operation.ecu, ecu.block_ns, "the last data came; nobody asked for a check since")
            marked = at("flash", operation.ecu, operation.t_ns, f"{operation.region} is programmed")
            sentence = f"{operation.ecu} marked an image as valid before it was checked"
            self._early.setdefault(operation.ecu, failed(sentence, sent, marked, blame="bootloader"))

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU."""
        return [self._of(layout) for layout in self.facts.layouts]

    def _of(self, layout: EcuLayout) -> Finding:
        if layout.ecu in self._early:
            return self._early[layout.ecu]
        seen = self.facts.watches(Source.FLASH_OPERATIONS, layout.ecu)
        if not seen or not self.facts.watches(Source.FRAMES, layout.channel):
            return hidden(f"when {layout.ecu} marks an image", bench("no flash operations or no frames"))
        text = bench(f"{self._ecus[layout.ecu].marks} marks were programmed")
        return passed(f"{layout.ecu} marked nothing unchecked", text)
