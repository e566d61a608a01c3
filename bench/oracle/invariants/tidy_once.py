"""The part of *tidy* about work done twice: no image is downloaded, and no range erased, again without need."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.core.canonical import sha256_hex
from bench.core.records import EcuLayout, ExecutionRecord, PowerRecord
from bench.oracle.decode_download import Download
from bench.oracle.decode_image import header_or_none
from bench.oracle.decode_uds import is_passed_check
from bench.oracle.exchange import DOWNLOAD, Exchange
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, failed, on_bus, passed
from bench.oracle.fold import Rule
from bench.oracle.invariants.tidy_bus import command_evidence
from bench.oracle.pairing import AnsweredLate, Exchanged
from bench.oracle.result import Evidence
from bench.oracle.situation import Situation
from bench.oracle.stream import Event

AGENT = "agent"
"""The part of a `PowerRecord` that is the tester's computer."""


@dataclass(frozen=True, slots=True)
class _Downloaded:
    """A completed download: its bytes are kept as their hash."""

    ecu: str
    begun_ns: int
    completed_ns: int
    address: int
    size_bytes: int
    sha256: str

    def holds_what(self, other: _Downloaded) -> bool:
        """Return whether both put the same bytes in the same place."""
        return (self.address, self.sha256) == (other.address, other.sha256)


@dataclass(frozen=True, slots=True)
class _Ran:
    """An execution: the image that its header names."""

    ecu: str
    t_ns: int
    header: bytes


@dataclass(frozen=True, slots=True)
class _Check:
    """A check of a downloaded image that the ECU passed."""

    asked_ns: int
    answered_ns: int


class FlashedOnce(Rule):
    """No image is downloaded again although it stood in flash completely checked.

    The first must have been checked before the second. A power loss or an injected fault since the check was answered
    excuses it (a flipped bit, a torn mark), and a power loss of the agent since it was asked for (it may have
    forgotten), unless the ECU executed that very image afterwards.
    """

    takes = (Download, Exchanged, AnsweredLate, ExecutionRecord, PowerRecord)
    relies_on = (Source.FRAMES,)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._complete: dict[str, list[_Downloaded]] = {layout.ecu: [] for layout in facts.layouts}
        self._checks: dict[str, list[_Check]] = {layout.ecu: [] for layout in facts.layouts}
        self._ran: list[_Ran] = []
        self._agent_off_ns: list[int] = []

    def take(self, event: Event) -> None:
        """Note what was downloaded, checked and executed."""
        if isinstance(event, ExecutionRecord):
            self._ran.append(_Ran(event.ecu, event.t_ns, event.header))
        elif isinstance(event, PowerRecord):
            if event.part == AGENT and not event.on:
                self._agent_off_ns.append(event.t_ns)
        elif isinstance(event, Download):
            if event.completed_t_ns is not None:
                done = _Downloaded(
                    event.ecu, event.t_start_ns, event.completed_t_ns, event.address, len(event.data),
                    sha256_hex(event.data),
                )  # fmt: skip
                self._complete[event.ecu].append(done)
        else:
            self._take_check(event.exchange)

    def _take_check(self, exchange: Exchange) -> None:
        layout = self.facts.layout(exchange.ecu or "")
        answered_ns = exchange.answered_t_ns
        if layout is not None and answered_ns is not None and is_passed_check(layout, exchange):
            self._checks[layout.ecu].append(_Check(exchange.request.t_start_ns, answered_ns))

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU."""
        if not self.facts.watches(Source.FRAMES):
            return []
        return [self._flashed_once(layout) for layout in self.facts.layouts]

    def _flashed_once(self, layout: EcuLayout) -> Finding:
        complete = [d for d in self._complete[layout.ecu] if d.address != layout.header_address]
        for first, again in ((a, b) for i, a in enumerate(complete) for b in complete[i + 1 :]):
            if first.holds_what(again) and self._needless(first, again):
                sentence = f"{layout.ecu} was flashed again with the image that it already held, checked"
                return failed(sentence, *(_evidence(layout, d) for d in (first, again)), blame="flasher")
        none = on_bus(layout.channel, f"no image was downloaded into {layout.ecu}")
        shown = [_evidence(layout, d) for d in complete] or [none]
        return passed(f"{layout.ecu} was flashed no more than necessary", *shown)

    def _needless(self, first: _Downloaded, again: _Downloaded) -> bool:
        """Return whether nothing excuses the second download."""
        checks = self._checks[first.ecu]
        check = next((c for c in checks if first.completed_ns <= c.answered_ns <= again.begun_ns), None)
        if check is None:
            return False
        excuses = [*self.situation.power_lost_ns, *(fault.t_ns for fault in self.situation.faults)]
        # The answer has crossed the bus whole: what struck before it did the image no harm, and the tester knows so,
        # unless the tester itself went down before it had written that into its log.
        late = [t_ns for t_ns in excuses if check.answered_ns <= t_ns <= again.begun_ns]
        forgotten = [t_ns for t_ns in self._agent_off_ns if check.asked_ns <= t_ns <= again.begun_ns]
        last_ns = max([*late, *forgotten], default=None)
        return last_ns is None or self._executed_since(first, last_ns, again.begun_ns)

    def _executed_since(self, image: _Downloaded, after_ns: int, until_ns: int) -> bool:
        for run in self._ran:
            header = header_or_none(run.header)
            named = header is not None and (header.length, header.load_address) == (image.size_bytes, image.address)
            if named and run.ecu == image.ecu and after_ns <= run.t_ns <= until_ns:
                same = [r for r in self.facts.references if r.header == run.header]
                return any(sha256_hex(reference.data) == image.sha256 for reference in same)
        return False


def _evidence(layout: EcuLayout, download: _Downloaded) -> Evidence:
    text = f"{layout.ecu}: {download.size_bytes} bytes at 0x{download.address:08X} completed"
    return at("frame", layout.channel, download.completed_ns, text)


@dataclass(slots=True)
class _Erasing:
    """What was erased in one ECU, and when somebody began to download."""

    obeyed: list[Exchange] = field(default_factory=list)
    downloads_ns: list[int] = field(default_factory=list)


class ErasedOnce(Rule):
    """No range is erased again although no download had been started since it was erased.

    Only obeyed requests count. A fault or a power loss meanwhile excuses the second one: its answer may have been
    lost, or the tester forgot.
    """

    takes = (Exchanged, AnsweredLate)
    relies_on = (Source.FRAMES,)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._erasing = {layout.ecu: _Erasing() for layout in facts.layouts}

    def take(self, event: Event) -> None:
        """Note an erasure that was obeyed, or the begin of a download."""
        exchange: Exchange = event.exchange
        layout = self.facts.layout(exchange.ecu or "")
        if layout is None:
            return
        if exchange.is_routine(layout.erase_routine) and exchange.positive:
            self._erasing[layout.ecu].obeyed.append(exchange)
        elif exchange.service == DOWNLOAD and isinstance(event, Exchanged):
            self._erasing[layout.ecu].downloads_ns.append(exchange.request.t_start_ns)

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU."""
        if not self.facts.watches(Source.FRAMES):
            return []
        return [self._erased_once(layout) for layout in self.facts.layouts]

    def _erased_once(self, layout: EcuLayout) -> Finding:
        erasing = self._erasing[layout.ecu]
        obeyed, starts = sorted(erasing.obeyed, key=lambda e: e.request.t_end_ns), erasing.downloads_ns
        for first, again in ((a, b) for i, a in enumerate(obeyed) for b in obeyed[i + 1 :]):
            since_ns, until_ns = first.request.t_start_ns, again.request.t_end_ns
            used = any(since_ns <= t_ns <= until_ns for t_ns in starts)
            if not used and _overlap(first, again) and not self._disturbed(since_ns, until_ns):
                sentence = f"needless erase: {layout.ecu} was erased again before anything was downloaded"
                return failed(sentence, command_evidence(first), command_evidence(again), blame="flasher")
        text = f"{layout.ecu}: {len(obeyed)} erasures, {len(starts)} requests to download"
        return passed(f"{layout.ecu} was erased no more than necessary", on_bus(layout.channel, text))

    def _disturbed(self, since_ns: int, until_ns: int) -> bool:
        """Return whether the supply was off, or a fault was there, at some time in between."""
        if any(since_ns <= t_ns <= until_ns for t_ns in self.situation.power_lost_ns):
            return True
        faults = [(f.t_ns, f.t_ns if f.over_ns is None else f.over_ns) for f in self.situation.faults]
        return any(begin <= until_ns and end >= since_ns for begin, end in faults)


def _overlap(first: Exchange, again: Exchange) -> bool:
    """Return whether two erasures share bytes; ranges that cannot be read are taken to."""
    ranges = [_range(exchange.request.payload[4:]) for exchange in (first, again)]
    (start, end), (other_start, other_end) = (r or (0, 1 << 64) for r in ranges)
    return start < other_end and other_start < end


def _range(option: bytes) -> tuple[int, int] | None:
    """Read format, address and length (the format byte as in 0x34); None when the bytes are no such range."""
    size_bytes, address_bytes = (option[0] >> 4, option[0] & 0x0F) if option else (0, 0)
    if not size_bytes or not address_bytes or len(option) != 1 + address_bytes + size_bytes:
        return None
    start = int.from_bytes(option[1 : 1 + address_bytes], "big")
    return start, start + int.from_bytes(option[1 + address_bytes :], "big")
