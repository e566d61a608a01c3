"""RequestFileTransfer (0x38): the application's small directory; files are added, replaced, read, listed, deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.wire.download_format import PLAIN
from bench.wire.transfer_format import TransferFormat
from bench.wire.uds import Nrc, RequestTransferExit, Sid, TransferData, positive
from bench.wire.uds_memory import FileMode, RequestFileTransfer, file_transfer_response
from ecu_sim.memory.files import FileArea
from ecu_sim.uds.services import Answer, Refused
from ecu_sim.uds.transfers import OutgoingData

DIRECTORY = b"/"
SEPARATOR = b"\n"
"""Ends each name in a listing."""


class _IncomingFile:
    """A file that is being sent."""

    def __init__(self, name: bytes, size_bytes: int) -> None:
        self.name, self.size_bytes = name, size_bytes
        self.data = b""
        self.last_counter: int | None = None

    def state(self, now_ns: int) -> State:
        """Return what has come of it."""
        del now_ns
        return self.name, self.size_bytes, self.data, self.last_counter

    @property
    def complete(self) -> bool:
        return len(self.data) == self.size_bytes


class FileTransfer:
    """The file transfers of one life; at most one at a time. A file is stored whole, by its 0x37."""

    def __init__(self, life: Incarnation, area: FileArea, counters: TransferFormat, max_block_length: int) -> None:
        self._life, self._area, self._counters, self._max_block_length = life, area, counters, max_block_length
        self._incoming: _IncomingFile | None = None
        self._outgoing: OutgoingData | None = None
        self._modes: Mapping[int, Callable[[RequestFileTransfer], Awaitable[Answer]]] = {
            FileMode.ADD: self._add,
            FileMode.REPLACE: self._replace,
            FileMode.READ: self._read,
            FileMode.READ_DIRECTORY: self._read_directory,
            FileMode.DELETE: self._delete,
        }

    def state(self, now_ns: int) -> State:
        """Return the transfer under way."""
        incoming = None if self._incoming is None else self._incoming.state(now_ns)
        return incoming, None if self._outgoing is None else self._outgoing.state(now_ns)

    @property
    def open(self) -> bool:
        """See `TransferParty`."""
        return self._incoming is not None or self._outgoing is not None

    def abort(self) -> None:
        """Forget the transfer (session change); what was stored stays."""
        self._incoming = self._outgoing = None

    async def request_file_transfer(self, request: RequestFileTransfer) -> Answer:
        """Serve 0x38; resumeFile is not offered (0x31, as an unknown mode)."""
        serve = self._modes.get(request.mode)
        if serve is None or request.data_format not in (None, PLAIN.data_format):
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        if self.open:
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        return await serve(request)

    async def _add(self, request: RequestFileTransfer) -> Answer:
        if request.path in self._area.files:
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        return await self._replace(request)

    async def _replace(self, request: RequestFileTransfer) -> Answer:
        sizes = request.sizes or (0, 0)
        if sizes[0] != sizes[1] or request.path == DIRECTORY:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        if not self._area.fits(request.path, sizes[0]):
            raise Refused(Nrc.UPLOAD_DOWNLOAD_NOT_ACCEPTED)
        self._incoming = _IncomingFile(request.path, sizes[0])
        return Answer(file_transfer_response(request.mode, self._max_block_length))

    async def _read(self, request: RequestFileTransfer) -> Answer:
        data = self._known(request.path)
        self._outgoing = OutgoingData(data, self._max_block_length)
        sizes = (len(data), len(data))
        return Answer(file_transfer_response(request.mode, self._max_block_length, sizes=sizes))

    async def _read_directory(self, request: RequestFileTransfer) -> Answer:
        if request.path != DIRECTORY:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        listing = b"".join(name + SEPARATOR for name in self._area.files)
        self._outgoing = OutgoingData(listing, self._max_block_length)
        return Answer(file_transfer_response(request.mode, self._max_block_length, sizes=(len(listing),)))

    async def _delete(self, request: RequestFileTransfer) -> Answer:
        self._known(request.path)
        await self._area.delete(self._life, request.path)
        return Answer(file_transfer_response(request.mode, self._max_block_length))

    def _known(self, path: bytes) -> bytes:
        data = self._area.files.get(path)
        if data is None:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        return data

    async def transfer_data(self, request: TransferData) -> Answer:
        """See `TransferParty`."""
        if self._outgoing is not None:
            return self._outgoing.block(request, self._counters.counter_after(self._outgoing.last_counter))
        if self._incoming is None:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        return self._take(self._incoming, request)

    def _take(self, incoming: _IncomingFile, request: TransferData) -> Answer:
        if not request.data:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        if request.counter != incoming.last_counter:
            if incoming.complete:
                raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
            if request.counter != self._counters.counter_after(incoming.last_counter):
                raise Refused(Nrc.WRONG_BLOCK_SEQUENCE_COUNTER)
            # maxNumberOfBlockLength of the answer to 0x34 is the length of the request as a whole (ISO 14229-1, 0x34)
            if len(request.data) + 2 > self._max_block_length:
                raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
            if len(incoming.data) + len(request.data) > incoming.size_bytes:
                raise Refused(Nrc.TRANSFER_DATA_SUSPENDED)
            incoming.data += request.data
            incoming.last_counter = request.counter
        return Answer(positive(Sid.TRANSFER_DATA, bytes((request.counter,))))

    async def request_transfer_exit(self, request: RequestTransferExit) -> Answer:
        """See `TransferParty`: a file that came whole is stored now."""
        done = self._outgoing if self._outgoing is not None else self._incoming
        if done is None or not done.complete:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        if self._incoming is not None:
            await self._area.put(self._life, self._incoming.name, self._incoming.data)
        self.abort()
        return Answer(positive(request.SID))
