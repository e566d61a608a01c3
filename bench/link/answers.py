"""The receiving side of a `DiagLink` whose ISO-TP is somebody else's: queue of messages, and whether one began.

Such a transport tells of whole messages only. That an answer *began* (what P2 asks) is seen on the bus itself:
its single or first frame passes by on the port.
"""

from __future__ import annotations

from bench.core.clock import NS_PER_MS, Clock
from bench.link.received import Received
from bench.ports.diagnostics import AnswerTimeout, LinkError
from bench.wire.isotp_address import IsoTpAddress
from bench.wire.isotp_params import FIRST, SINGLE, IsoTpError

MARGIN_NS = 250 * NS_PER_MS
"""Given to the transport beyond N_Cr before an answer that began counts as broken off."""


class Answers:
    """What arrived for one address pair; one `receive` at a time."""

    def __init__(self, clock: Clock, address: IsoTpAddress, n_cr_ms: int) -> None:
        self._clock, self._guard_ns = clock, n_cr_ms * NS_PER_MS + MARGIN_NS
        self._start = 0 if address.rx_extension is None else 1
        self._arrived = Received(clock)
        self._begun = self._ended = 0
        self._last_frame_ns = 0

    def saw_frame(self, data: bytes) -> None:
        """Note a frame that this side accepts: a single or first frame begins an answer, others carry it on."""
        kind = data[self._start] >> 4 if len(data) > self._start else None
        # P2 ends with the first frame of an answer (ISO 14229-2); a consecutive one only says that it goes on.
        if kind in (SINGLE, FIRST):
            self._begun += 1
        self._last_frame_ns = self._clock.now_ns()

    def asking(self) -> None:
        """Begin to count messages anew, for a transport whose messages may overtake the frames seen on the bus."""
        self._ended = 0

    def saw_request(self) -> None:
        """Begin to count frames anew: our own request passed by, what comes now came after it."""
        self._begun = 0

    def message(self, payload: bytes) -> None:
        """Queue a complete message."""
        self._arrive(payload)

    def broke_off(self, name: str, detail: str = "while receiving") -> None:
        """Queue the failure of a reception."""
        self._arrive(LinkError(name, detail))

    def _arrive(self, outcome: bytes | LinkError) -> None:
        self._ended += 1
        self._arrived.add(outcome)

    async def receive(self, start_within_ns: int) -> bytes:
        """See `DiagLink.receive`."""
        end_ns = self._clock.now_ns() + start_within_ns
        while not self._arrived:
            under_way = self._begun > self._ended
            # Once it began, N_Cr of the foreign transport guards it; the margin leaves that the first word on what went
            # wrong.
            due_ns = self._last_frame_ns + self._guard_ns if under_way else end_ns
            if self._clock.now_ns() < due_ns:
                await self._arrived.wait(due_ns)
            elif under_way:
                self._begun = self._ended
                raise LinkError(IsoTpError.TIMEOUT_CR, "an answer began and did not go on")
            else:
                raise AnswerTimeout(f"no answer began within {start_within_ns / NS_PER_MS:g} ms")
        return self._arrived.take()

    def discard(self) -> int:
        """Drop what has arrived so far; returns how many messages."""
        return self._arrived.discard()
