"""Whole: the bytes in flash of a running image equal the signed image exactly."""

from __future__ import annotations

from bench.core.records import EcuLayout, ExecutionRecord, FlashDump, ImageReference, MemoryRegion
from bench.oracle.decode_image import HEADER_BYTES, header_or_none
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, bench, failed, in_flash, passed, undecided, unseen
from bench.oracle.fold import Rule
from bench.oracle.result import Evidence
from bench.oracle.running import Running, running
from bench.oracle.situation import Situation
from bench.oracle.stream import Event

_NOTHING_RUNS = ("bootloader", "boot_manager", "off")


class RunningImage(Rule):
    """The image that each ECU runs at the end (in its bootloader it runs none), compared as its dump is read."""

    takes = (FlashDump,)
    relies_on = (Source.FLASH, Source.EXECUTIONS, Source.BOOTS)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._compared: dict[str, Finding] = {}
        self._read: list[str] = []

    def take(self, event: Event) -> None:
        """Compare a dump with what its ECU runs by now: dumps are read once the run is over."""
        dump: FlashDump = event
        layout = self.facts.layout(dump.ecu)
        if layout is not None and dump.ecu not in self._read:
            self._read.append(dump.ecu)
            ends = running(self.situation, layout)
            if ends.execution is not None:
                self._compared[dump.ecu] = self._compare(layout, dump, ends, ends.execution)

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU."""
        return [self._judge(layout) for layout in self.facts.layouts]

    def _judge(self, layout: EcuLayout) -> Finding:
        ends = running(self.situation, layout)
        if ends.stage in _NOTHING_RUNS:
            return passed(f"{layout.ecu} runs no image ({ends.stage})", *ends.evidence)
        if not self.facts.watches(Source.EXECUTIONS, layout.ecu):
            return unseen(f"which image {layout.ecu} executes was not observed", *ends.evidence)
        if layout.ecu in self._compared:
            return self._compared[layout.ecu]
        if layout.ecu not in self._read:
            text = f"the flash of {layout.ecu} was not read"
            return unseen(text, *ends.evidence, bench(f"no flash dump of {layout.ecu}"))
        return undecided(f"the record does not say what {layout.ecu} runs ({ends.stage})", *ends.evidence)

    def _compare(self, layout: EcuLayout, dump: FlashDump, ends: Running, execution: ExecutionRecord) -> Finding:
        signed = self._signed_image(execution)
        header = header_or_none(execution.header) if signed is None else header_or_none(signed.header)
        if signed is None or header is None:
            version = header.version if header is not None else "an unreadable header"
            return failed(
                f"{layout.ecu} runs {version}, which no genuine image has", *ends.evidence, blame="bootloader"
            )
        slot, image = dump.region(f"header:{execution.bank}"), dump.region(f"image:{execution.bank}")
        bank = next((b for b in layout.banks if b.name == execution.bank), None)
        if slot is None or image is None or bank is None:
            text = f"the dump of {layout.ecu} lacks header or image of bank {execution.bank}"
            return unseen(text, *ends.evidence, bench(text))
        offset = header.load_address - bank.linked_base
        wrong = [
            *_differences(layout, execution, slot, 0, signed.header, layout.header_address, "header"),
            *_differences(layout, execution, image, offset, signed.data, header.load_address, "image"),
        ]
        if wrong:
            jumped = execution.image_sha256.lower() != header.sha256
            sentence = f"{layout.ecu} runs {header.version} from flash that differs from the signed image"
            return failed(sentence, *wrong, *ends.evidence, blame="bootloader" if jumped else None)
        text = f"{HEADER_BYTES} header and {len(signed.data)} image bytes of {header.version} equal the signed ones"
        return passed(text, in_flash(layout.ecu, header.load_address, text), *ends.evidence)

    def _signed_image(self, execution: ExecutionRecord) -> ImageReference | None:
        """Return the genuine image that this execution claims: by its header, else by the version in it."""
        packaged = [
            ImageReference(image.ecu, "target", image.header.version, image.raw_header, image.data)
            for image in self.situation.deliveries.genuine_images(execution.ecu)
        ]
        mine = [*self.facts.images(execution.ecu), *packaged]
        same = next((r for r in mine if r.header == execution.header), None)
        claimed = header_or_none(execution.header)
        if same is not None or claimed is None:
            return same
        return next((r for r in mine if r.version == claimed.version), None)


def _differences(
    layout: EcuLayout, execution: ExecutionRecord, region: MemoryRegion, offset: int, signed: bytes, address: int,
    name: str,
) -> list[Evidence]:  # fmt: skip
    """Compare a region from `offset` with the signed bytes, which stand at the linked `address`."""
    where = f"{name} in bank {execution.bank}"
    if offset < 0:
        return [in_flash(layout.ecu, address, f"{where}: the address lies before the bank")]
    held = region.data[offset : offset + len(signed)]
    found = []
    if held != signed:
        at = next((i for i, (a, b) in enumerate(zip(held, signed, strict=False)) if a != b), len(held))
        has = f"{held[at]:02X}" if at < len(held) else "nothing"
        count = sum(a != b for a, b in zip(held, signed, strict=False)) + len(signed) - len(held)
        text = f"{where}: first difference at 0x{address + at:08X}, flash has {has}, signed is {signed[at]:02X}"
        found.append(
            in_flash(layout.ecu, address + at, f"{text}; {count} {'byte differs' if count == 1 else 'bytes differ'}")
        )
    for start, length in region.torn:
        if start < offset + len(signed) and start + length > offset:
            first = max(0, start - offset)
            text = f"{where}: {length} torn bytes from 0x{address + first:08X}"
            found.append(in_flash(layout.ecu, address + first, text))
    return found
