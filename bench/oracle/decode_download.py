"""Downloads as they were on the bus: which 0x36 belongs to which 0x34, what it brings, what the ECU took (ISO 14229-1).

A block of a packed download is what it adds to the image, unpacked.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from bench.core.canonical import sha256_hex
from bench.core.records import DownloadPacking, EcuLayout
from bench.oracle.decode_packing import StreamReader, Unreadable, unpacked
from bench.oracle.exchange import (
    DOWNLOAD,
    FILE_TRANSFER,
    RESET,
    SESSION,
    TRANSFER,
    TRANSFER_EXIT,
    UPLOAD,
    WRITE_MEMORY,
    Exchange,
    range_bytes,
)
from bench.oracle.state import frozen

_DELETE_FILE = 0x02


@dataclass(frozen=True, slots=True)
class Block:
    """The data of one 0x36 of a download, or of one 0x3D; `stored` when the ECU took it as new data.

    Of a packed download it is what the block adds to the image, unpacked; the bytes of the bus when they cannot be
    unpacked (`readable` then says whether the judge knows the format at all).
    """

    t_ns: int
    data: bytes
    stored: bool
    readable: bool = True
    ecu: str = ""


@dataclass(frozen=True, slots=True)
class Download:
    """One 0x34 that was not refused, with the 0x36 that belong to it; `completed_t_ns` is the yes to its 0x37."""

    ecu: str
    t_start_ns: int
    data_format: int
    address: int
    size_bytes: int
    data: bytes
    completed_t_ns: int | None


@dataclass(slots=True)
class _Open:
    """A download under way: which counter comes next, what was stored, as sent and unpacked."""

    start: Download
    packing: DownloadPacking | None
    reader: StreamReader | None
    expected: int
    after_ff: int
    sent: bytearray = field(default_factory=bytearray)
    last_bytes: int = 0
    last_counter: int | None = None
    stored: bytearray = field(default_factory=bytearray)

    @classmethod
    def of(cls, start: Download, layout: EcuLayout) -> _Open:
        packing = layout.packing
        if packing is None or packing.data_format != start.data_format:
            packing = None
        reader = StreamReader(packing, start.size_bytes) if packing else None
        return cls(start, packing, reader, layout.first_counter, layout.counter_after_ff)

    def close(self, t_ns: int | None) -> Download:
        return replace(self.start, data=bytes(self.stored), completed_t_ns=t_ns)

    def take(self, exchange: Exchange) -> Block:
        """Return the block; it is stored when the ECU took it for new data, not for a repetition."""
        payload = exchange.request.payload
        counter = payload[1] if len(payload) > 1 else -1
        stored = exchange.positive and counter == self.expected
        again = counter == self.last_counter
        data, readable = self._unpacked(payload[2:], stored=stored, again=again)
        if stored:
            self.sent += payload[2:]
            self.last_bytes, self.last_counter = len(payload) - 2, counter
            self.stored += data
            self.expected = self.after_ff if counter == 0xFF else counter + 1
        return Block(exchange.request.t_end_ns, data, stored, readable, self.start.ecu)

    def _unpacked(self, sent: bytes, *, stored: bool, again: bool) -> tuple[bytes, bool]:
        """Return what a block adds, and whether its format is known; one that cannot be unpacked stays as it is."""
        if self.packing is None or self.reader is None:
            return sent, self.start.data_format == 0
        before = bytes(self.sent[: len(self.sent) - self.last_bytes] if again else self.sent)
        try:
            if stored:
                return self.reader.read(sent), True
            return unpacked(self.packing, self.start.size_bytes, before, sent), True
        except Unreadable:
            return sent, True

    def key(self) -> Hashable:
        return (frozen(self.start), self.expected, self.last_bytes, self.last_counter, sha256_hex(bytes(self.sent)))


class Transfers:
    """Follows the transfers into one ECU; the 0x36 of an upload or a file are no blocks of an image."""

    def __init__(self, layout: EcuLayout) -> None:
        self._layout = layout
        self._running: _Open | None = None
        self._elsewhere = False

    def take(self, exchange: Exchange) -> list[Block | Download]:
        """Return the blocks of a settled exchange, and the download that it ends."""
        found: list[Block | Download] = [*self._blocks(exchange)]
        ended = exchange.positive and exchange.service in (SESSION, RESET, TRANSFER_EXIT)
        started = _start(self._layout.ecu, exchange)
        if self._running is not None and (ended or started is not None):
            whole = exchange.service == TRANSFER_EXIT
            found.append(self._running.close(exchange.answered_t_ns if whole else None))
            self._running = None
        if started is not None:
            self._running = _Open.of(started, self._layout)
        self._elsewhere = _begins_elsewhere(exchange) or (self._elsewhere and not ended and started is None)
        return found

    def take_late(self, exchange: Exchange) -> list[Block | Download]:
        """Read an answer that came after its request had been given up: the ECU took the block all the same."""
        if self._running is None or not exchange.positive:
            return []
        if exchange.service == TRANSFER:
            return [self._running.take(exchange)]
        return self.take(exchange) if exchange.service == TRANSFER_EXIT else []

    def finish(self) -> list[Block | Download]:
        """Return the download that the run's end breaks off."""
        broken: list[Block | Download] = [] if self._running is None else [self._running.close(None)]
        self._running = None
        return broken

    def key(self) -> Hashable:
        """Return its state."""
        return (self._elsewhere, None if self._running is None else self._running.key())

    def _blocks(self, exchange: Exchange) -> list[Block]:
        """Return what one exchange brings of an image, if anything."""
        payload, t_ns, ecu = exchange.request.payload, exchange.request.t_end_ns, self._layout.ecu
        if exchange.service == WRITE_MEMORY:
            return [Block(t_ns, payload[1 + range_bytes(payload) :], stored=exchange.positive, ecu=ecu)]
        if exchange.service != TRANSFER or (self._elsewhere and self._running is None):
            return []
        if self._running is None:
            return [Block(t_ns, payload[2:], stored=False, ecu=ecu)]
        return [self._running.take(exchange)]


def _begins_elsewhere(exchange: Exchange) -> bool:
    """Return whether an upload or the transfer of a file begins."""
    if exchange.service == FILE_TRANSFER:
        return exchange.positive and exchange.sub_function != _DELETE_FILE
    return exchange.service == UPLOAD and exchange.positive


def _start(ecu: str, exchange: Exchange) -> Download | None:
    pdu = exchange.request.payload
    if exchange.service != DOWNLOAD or exchange.negative or not exchange.request.complete or len(pdu) < 3:
        return None
    size_bytes, address_bytes = pdu[2] >> 4, pdu[2] & 0x0F
    if len(pdu) != 3 + address_bytes + size_bytes:
        return None
    address = int.from_bytes(pdu[3 : 3 + address_bytes], "big")
    size = int.from_bytes(pdu[3 + address_bytes :], "big")
    return Download(ecu, exchange.request.t_start_ns, pdu[1], address, size, b"", None)
