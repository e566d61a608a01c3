"""UDS as the judge needs it (ISO 14229-1): requests with their answers, downloads, erasures, communication control.

Positive answers carry the service plus 0x40, negative ones `7F service code`; 0x78 only announces the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bench.core.records import DownloadPacking, EcuLayout, RunRecord
from bench.oracle.decode_isotp import Bus, Message, messages
from bench.oracle.decode_packing import StreamReader, Unreadable, unpacked

SESSION, RESET, COMMUNICATION, ROUTINE, DOWNLOAD, TRANSFER, TRANSFER_EXIT, DTC_SETTING = (
    0x10, 0x11, 0x28, 0x31, 0x34, 0x36, 0x37, 0x85,
)  # fmt: skip
UPLOAD, FILE_TRANSFER, WRITE_MEMORY = 0x35, 0x38, 0x3D
START_ROUTINE = 0x01
NEGATIVE = 0x7F
RESPONSE_PENDING = 0x78
_ECHO_BYTES = {SESSION: 1, RESET: 1, 0x19: 1, 0x22: 2, 0x27: 1, COMMUNICATION: 1, 0x29: 1, 0x2E: 2, ROUTINE: 3,
               TRANSFER: 1, FILE_TRANSFER: 1, 0x3E: 1, DTC_SETTING: 1}  # fmt: skip
"""How many bytes after the service a positive answer repeats; 0x3D repeats its range, whose length it tells."""
_WITH_SUB_FUNCTION = (SESSION, RESET, 0x19, 0x27, COMMUNICATION, 0x29, ROUTINE, 0x3E, DTC_SETTING)
_DELETE_FILE = 0x02
_UNANSWERED_KEPT = 8
"""An answer is looked for among that many requests back."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its final answer; `ecu` is None for a functional one, `answer` when none was seen."""

    ecu: str | None
    channel: str
    request: Message
    answer: Message | None = None

    @property
    def service(self) -> int:
        """The service identifier of the request."""
        return self.request.payload[0]

    @property
    def sub_function(self) -> int | None:
        """The sub-function without the bit that suppresses the positive answer."""
        return self.request.payload[1] & 0x7F if len(self.request.payload) > 1 else None

    @property
    def positive(self) -> bool:
        """Whether the ECU said yes."""
        return self.answer is not None and self.answer.payload[0] != NEGATIVE

    @property
    def negative(self) -> bool:
        """Whether the ECU said no."""
        return self.answer is not None and self.answer.payload[0] == NEGATIVE

    @property
    def answered_t_ns(self) -> int | None:
        """The end of the final answer."""
        return None if self.answer is None else self.answer.t_end_ns

    def is_routine(self, routine: int) -> bool:
        """Return whether it starts `routine` (0x31 01); a first frame alone is enough to tell."""
        return self.request.payload[:4] == bytes((ROUTINE, START_ROUTINE)) + routine.to_bytes(2, "big")


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


@dataclass(frozen=True, slots=True)
class EcuTraffic:
    """Everything diagnostic that was heard of one ECU, in order of time."""

    layout: EcuLayout
    exchanges: tuple[Exchange, ...]
    downloads: tuple[Download, ...]
    blocks: tuple[Block, ...]

    def erasures(self) -> tuple[Exchange, ...]:
        """Return the requests to erase, whether obeyed or not, complete or not."""
        return tuple(e for e in self.exchanges if e.is_routine(self.layout.erase_routine))

    def download_requests(self) -> tuple[Exchange, ...]:
        """Return the 0x34 requests, whether obeyed or not, complete or not."""
        return tuple(e for e in self.exchanges if e.service == DOWNLOAD)

    def memory_writes(self) -> tuple[Exchange, ...]:
        """Return the 0x3D requests, whether obeyed or not, complete or not."""
        return tuple(e for e in self.exchanges if e.service == WRITE_MEMORY)

    def checks_passed(self) -> tuple[Exchange, ...]:
        """Return the checks of a downloaded image that the ECU answered with status 00."""
        return tuple(
            e
            for e in self.exchanges
            if e.is_routine(self.layout.check_routine) and e.positive and e.answer and e.answer.payload[4:5] == b"\x00"
        )


def listen(bus: Bus, layout: EcuLayout) -> EcuTraffic:
    """Return what was said physically to and by one ECU."""
    requests = messages(bus, layout.channel, layout.request)
    answers = messages(bus, layout.channel, layout.response)
    exchanges = _pair(layout, requests, answers)
    downloads, blocks = _downloads(layout, exchanges)
    return EcuTraffic(layout, exchanges, downloads, blocks)


def functional(bus: Bus, record: RunRecord) -> tuple[Exchange, ...]:
    """Return the requests to all ECUs, per channel in order of time."""
    channels = tuple(dict.fromkeys(layout.channel for layout in record.layouts))
    return tuple(
        Exchange(None, channel, message)
        for channel in channels
        for message in messages(bus, channel, record.functional_address(channel))
    )


def _pair(layout: EcuLayout, requests: Sequence[Message], answers: Sequence[Message]) -> tuple[Exchange, ...]:
    """Give each request the newest fitting answer after it; a late answer goes to an older equal request."""
    exchanges: list[Exchange] = []
    timeline = sorted(
        [(message.t_end_ns, 0, message) for message in requests]
        + [(message.t_end_ns, 1, message) for message in answers if message.complete],
        key=lambda entry: entry[:2],
    )
    for _, direction, message in timeline:
        if direction == 0:
            exchanges.append(Exchange(layout.ecu, layout.channel, message))
            continue
        for at in range(len(exchanges) - 1, max(-1, len(exchanges) - 1 - _UNANSWERED_KEPT), -1):
            if exchanges[at].answer is None and _answers(exchanges[at].request, message.payload):
                exchanges[at] = replace(exchanges[at], answer=message)
                break
    return tuple(exchanges)


def _answers(request: Message, answer: bytes) -> bool:
    asked = request.payload
    if not request.complete:
        return False
    if answer[0] == NEGATIVE:
        return len(answer) == 3 and answer[1] == asked[0] and answer[2] != RESPONSE_PENDING
    echo = bytearray(asked[1 : 1 + (_range_bytes(asked) if asked[0] == WRITE_MEMORY else _ECHO_BYTES.get(asked[0], 0))])
    if echo and asked[0] in _WITH_SUB_FUNCTION:
        echo[0] &= 0x7F
    return answer[0] == asked[0] + 0x40 and answer[1 : 1 + len(echo)] == echo


def _range_bytes(write: bytes) -> int:
    """Return how many bytes format, address and size take that stand behind the service id of a 0x3D."""
    return 1 + (write[1] >> 4) + (write[1] & 0x0F) if len(write) > 1 else 0


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
        return Block(exchange.request.t_end_ns, data, stored, readable)

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


def _downloads(layout: EcuLayout, exchanges: Sequence[Exchange]) -> tuple[tuple[Download, ...], tuple[Block, ...]]:
    """Follow the transfers; the 0x36 of an upload or a file are no blocks of an image."""
    downloads: list[Download] = []
    blocks: list[Block] = []
    running: _Open | None = None
    elsewhere = False
    for exchange in exchanges:
        blocks += _blocks(exchange, running, elsewhere=elsewhere)
        ended = exchange.positive and exchange.service in (SESSION, RESET, TRANSFER_EXIT)
        started = _start(layout.ecu, exchange)
        if running is not None and (ended or started is not None):
            whole = exchange.service == TRANSFER_EXIT
            downloads.append(running.close(exchange.answered_t_ns if whole else None))
            running = None
        running = _Open.of(started, layout) if started is not None else running
        elsewhere = _begins_elsewhere(exchange) or (elsewhere and not ended and started is None)
    if running is not None:
        downloads.append(running.close(None))
    return tuple(downloads), tuple(blocks)


def _blocks(exchange: Exchange, running: _Open | None, *, elsewhere: bool) -> list[Block]:
    """Return what one exchange brings of an image, if anything."""
    payload, t_ns = exchange.request.payload, exchange.request.t_end_ns
    if exchange.service == WRITE_MEMORY:
        return [Block(t_ns, payload[1 + _range_bytes(payload) :], stored=exchange.positive)]
    if exchange.service != TRANSFER or (elsewhere and running is None):
        return []
    return [Block(t_ns, payload[2:], stored=False) if running is None else running.take(exchange)]


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
