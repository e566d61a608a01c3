"""A diagnostic request with its answer, as it was on the bus (ISO 14229-1).

Positive answers carry the service plus 0x40, negative ones `7F service code`; 0x78 only announces the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.oracle.decode_isotp import Message

SESSION, RESET, COMMUNICATION, ROUTINE, DOWNLOAD, TRANSFER, TRANSFER_EXIT, DTC_SETTING = (
    0x10, 0x11, 0x28, 0x31, 0x34, 0x36, 0x37, 0x85,
)  # fmt: skip
UPLOAD, FILE_TRANSFER, WRITE_MEMORY, TESTER_PRESENT = 0x35, 0x38, 0x3D, 0x3E
START_ROUTINE = 0x01
NEGATIVE = 0x7F
RESPONSE_PENDING = 0x78
SUPPRESS = 0x80
"""suppressPosRspMsgIndicationBit of a sub-function: a positive answer is not sent."""
_ECHO_BYTES = {SESSION: 1, RESET: 1, 0x19: 1, 0x22: 2, 0x27: 1, COMMUNICATION: 1, 0x29: 1, 0x2E: 2, ROUTINE: 3,
               TRANSFER: 1, FILE_TRANSFER: 1, TESTER_PRESENT: 1, DTC_SETTING: 1}  # fmt: skip
"""How many bytes after the service a positive answer repeats; 0x3D repeats its range, whose length it tells."""
_WITH_SUB_FUNCTION = (SESSION, RESET, 0x19, 0x27, COMMUNICATION, 0x29, ROUTINE, TESTER_PRESENT, DTC_SETTING)


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
        payload = self.request.payload
        return payload[0] == ROUTINE and payload[1:4] == bytes((START_ROUTINE,)) + routine.to_bytes(2, "big")

    def is_tester_present(self) -> bool:
        """Return whether it only keeps the session, without wanting an answer."""
        return self.service == TESTER_PRESENT and self.request.payload[1:2] == bytes((SUPPRESS,))


def answers(request: Message, answer: bytes) -> bool:
    """Return whether an answer may be the final one of a request: same service, and what it must repeat."""
    sent = request.payload
    if not request.complete:
        return False
    if answer[0] == NEGATIVE:
        return len(answer) == 3 and answer[1] == sent[0] and answer[2] != RESPONSE_PENDING
    echo = bytearray(sent[1 : 1 + (range_bytes(sent) if sent[0] == WRITE_MEMORY else _ECHO_BYTES.get(sent[0], 0))])
    if echo and sent[0] in _WITH_SUB_FUNCTION:
        echo[0] &= 0x7F
    return answer[0] == sent[0] + 0x40 and answer[1 : 1 + len(echo)] == echo


def range_bytes(write: bytes) -> int:
    """Return how many bytes format, address and size take that stand behind the service id of a 0x3D."""
    return 1 + (write[1] >> 4) + (write[1] & 0x0F) if len(write) > 1 else 0
