"""RequestUpload (0x35): the bootloader lets its bank be read block by block."""

from __future__ import annotations

from bench.core.continuing import State
from bench.wire.download_format import PLAIN
from bench.wire.uds import Nrc, RequestTransferExit, Sid, TransferData, download_response, positive
from bench.wire.uds_memory import RequestUpload
from ecu_sim.memory.banks import EcuMemory
from ecu_sim.uds.memory_access import read_flash, readable_place
from ecu_sim.uds.services import Answer, Refused
from ecu_sim.uds.transfer import Transfer
from ecu_sim.uds.transfers import OutgoingData


class Upload:
    """The uploads of one life; at most one at a time, and none beside a download."""

    def __init__(self, memory: EcuMemory, download: Transfer) -> None:
        self._memory, self._download = memory, download
        self._max_block_length = memory.personality.uds.max_block_length
        self._outgoing: OutgoingData | None = None

    def state(self, now_ns: int) -> State:
        """Return the upload under way."""
        return () if self._outgoing is None else self._outgoing.state(now_ns)

    @property
    def open(self) -> bool:
        """See `TransferParty`."""
        return self._outgoing is not None

    def abort(self) -> None:
        """Forget the upload (session change)."""
        self._outgoing = None

    async def request_upload(self, request: RequestUpload) -> Answer:
        """Begin an upload, plain only, of what stands in flash now."""
        if request.data_format != PLAIN.data_format:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        place = readable_place(self._memory, self._memory.target_bank, request.memory)
        await self._download.written()
        if self.open or self._download.open:
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        self._outgoing = OutgoingData(read_flash(self._memory, place), self._max_block_length)
        return Answer(download_response(self._max_block_length, Sid.REQUEST_UPLOAD))

    async def transfer_data(self, request: TransferData) -> Answer:
        """See `TransferParty`."""
        if self._outgoing is None:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        expected = self._memory.personality.transfer.counter_after(self._outgoing.last_counter)
        return self._outgoing.block(request, expected)

    async def request_transfer_exit(self, request: RequestTransferExit) -> Answer:
        """End it, once all was read."""
        if self._outgoing is None or not self._outgoing.complete:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        self.abort()
        return Answer(positive(request.SID))
