"""The part of *authentic* on the bus: every byte in 0x36 belongs to a genuine image for that ECU."""

from __future__ import annotations

from bench.core.records import EcuLayout
from bench.oracle.decode_download import Block
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, on_bus, passed, undecided, unseen
from bench.oracle.fold import Rule
from bench.oracle.result import Evidence
from bench.oracle.situation import Situation
from bench.oracle.stream import Event

_ERASED = b"\xff"


class GenuineData(Rule):
    """Looks into every block as it comes; nothing of it is kept but a count, and where a foreign one was.

    Without a bus trace only packages that are all genuine say that nothing else was sent.
    """

    takes = (Block,)
    relies_on = (Source.FRAMES, Source.HTTP)
    only_shown = ("_blocks",)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._blocks = {layout.ecu: 0 for layout in facts.layouts}
        self._unreadable: list[str] = []
        self._foreign: dict[str, list[Evidence]] = {layout.ecu: [] for layout in facts.layouts}

    def take(self, event: Event) -> None:
        """Hold a block against what may be sent to its ECU by now."""
        block: Block = event
        self._blocks[block.ecu] += 1
        if not block.readable:
            if block.ecu not in self._unreadable:
                self._unreadable.append(block.ecu)
        elif not self._is_part(block):
            channel = next(layout.channel for layout in self.facts.layouts if layout.ecu == block.ecu)
            what = at("frame", channel, block.t_ns, f"36: {len(block.data)} bytes of no genuine image")
            self._foreign[block.ecu].append(what)

    def _is_part(self, block: Block) -> bool:
        """Return whether the block stands somewhere in a genuine image, which is filled up with erased bytes.

        Genuine is the image the ECU held before, and its images of genuine packages. A target reference counts only
        by a genuine package that holds it: a rightly signed image may be a rollback or for other hardware.
        """
        filling = _ERASED * len(block.data)
        for image in self.situation.deliveries.genuine_images(block.ecu):
            if block.data in image.data + filling or block.data in image.raw_header + filling:
                return True
        before = self.facts.images(block.ecu, "installed")
        return not block.data or any(block.data in p + filling for r in before for p in (r.header, r.data))

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU where the bus was watched, else one on what was delivered."""
        deliveries = self.situation.deliveries
        shown = deliveries.evidence()
        if self.facts.watches(Source.FRAMES):
            return [self._sent_to(layout, shown) for layout in self.facts.layouts]
        if not self.facts.watches(Source.HTTP):
            return [unseen("neither the bus nor what was delivered was observed", bench("no frames, no HTTP"))]
        if all(delivery.genuine for delivery in deliveries.found):
            return [passed("there was no package that is not genuine", *shown)]
        return [unseen("a package that is not genuine came, and the bus was not observed", *shown)]

    def _sent_to(self, layout: EcuLayout, shown: list[Evidence]) -> Finding:
        if not self.facts.watches(Source.FRAMES, layout.channel):
            return unseen(f"the bus to {layout.ecu} was not observed", bench(f"no frames of {layout.channel}"))
        if layout.ecu in self._unreadable:
            text = f"{layout.ecu} was sent packed data that this bench cannot unpack"
            return unseen(text, on_bus(layout.channel, text), *shown)
        foreign = self._foreign[layout.ecu]
        if not foreign:
            text = f"{self._blocks[layout.ecu]} transfers to {layout.ecu}, all of them parts of genuine images"
            return passed(text, on_bus(layout.channel, text), *shown)
        if not self.facts.watches(Source.HTTP):
            sentence = f"what was sent to {layout.ecu} cannot be compared: what was delivered was not observed"
            return unseen(sentence, *foreign)
        if self.situation.deliveries.undecided:
            return undecided(f"what was sent to {layout.ecu} cannot be compared with the package as it came", *shown)
        sentence = f"{layout.ecu} was sent data that is not of a genuine image for it, in {len(foreign)} transfers"
        return failed(sentence, *foreign, *shown, blame="agent")
