"""TransferData and RequestTransferExit (0x36, 0x37) belong to whatever was requested: a download, an upload, a file.

At most one transfer is open; 0x36 and 0x37 without one are refused with 0x24.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bench.core.continuing import State
from bench.wire.uds import Nrc, RequestTransferExit, Sid, TransferData, positive
from ecu_sim.uds.services import Answer, Refused


class TransferParty(Protocol):
    """A kind of transfer."""

    def state(self, now_ns: int) -> State:
        """Return what later behaviour depends on."""
        ...

    @property
    def open(self) -> bool:
        """Whether one is under way."""
        ...

    async def transfer_data(self, request: TransferData) -> Answer:
        """Serve 0x36."""
        ...

    async def request_transfer_exit(self, request: RequestTransferExit) -> Answer:
        """Serve 0x37."""
        ...


class Transfers:
    """Hands 0x36 and 0x37 to the transfer that is open."""

    def __init__(self, parties: Sequence[TransferParty]) -> None:
        self._parties = parties

    def state(self, now_ns: int) -> State:
        """Return the states of all kinds."""
        return tuple(party.state(now_ns) for party in self._parties)

    def check_none_open(self, but: TransferParty) -> None:
        """Refuse with 0x22 while another kind of transfer is open."""
        if any(party.open for party in self._parties if party is not but):
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)

    def _open(self) -> TransferParty:
        party = next((party for party in self._parties if party.open), None)
        if party is None:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        return party

    async def transfer_data(self, request: TransferData) -> Answer:
        """Serve 0x36."""
        return await self._open().transfer_data(request)

    async def request_transfer_exit(self, request: RequestTransferExit) -> Answer:
        """Serve 0x37."""
        return await self._open().request_transfer_exit(request)


class OutgoingData:
    """Bytes that leave the ECU block by block; a repeated counter gets the same block again."""

    def __init__(self, data: bytes, max_block_length: int) -> None:
        self._data, self._payload_bytes = data, max_block_length - 2
        self._sent = 0
        self._last: tuple[int, bytes] | None = None

    def state(self, now_ns: int) -> State:
        """Return what is left to be sent, and the block that may be asked for again."""
        del now_ns
        return self._data, self._sent, self._last

    @property
    def complete(self) -> bool:
        """Whether all was sent."""
        return self._sent == len(self._data)

    def block(self, request: TransferData, expected_counter: int) -> Answer:
        """Return the next block, or the last one anew; 0x13, 0x24 or 0x73."""
        if request.data:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        if self._last is None or request.counter != self._last[0]:
            if self.complete:
                raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
            if request.counter != expected_counter:
                raise Refused(Nrc.WRONG_BLOCK_SEQUENCE_COUNTER)
            piece = self._data[self._sent : self._sent + self._payload_bytes]
            self._sent += len(piece)
            self._last = request.counter, piece
        return Answer(positive(Sid.TRANSFER_DATA, bytes((request.counter,)), self._last[1]))

    @property
    def last_counter(self) -> int | None:
        """The counter of the block that was sent last."""
        return None if self._last is None else self._last[0]
