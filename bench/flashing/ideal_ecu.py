"""An ECU that answers every request positively and at once, but for the times that its personality file names.

It stands on a simulated bus in the place of the real one, so that a dry run goes through the real flasher, real
ISO-TP and real frame durations. It checks nothing and holds what it shall hold; what it answers follows from the recipe
(`ideal_answers`).
"""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import Callable
from dataclasses import replace

from bench.core.clock import NS_PER_MS, NS_PER_US
from bench.core.node import Incarnation, Node
from bench.core.world import World
from bench.description.ecu_entry import EcuEntry
from bench.flasher.recipe import Recipe
from bench.flasher.software import Software
from bench.flashing import ideal_answers
from bench.flashing.ideal_answers import Transfer
from bench.flashing.ideal_times import EcuTimes
from bench.ports.can import CanBus, CanPort
from bench.wire.can import CanFrame
from bench.wire.frame_run import FrameRun
from bench.wire.isotp import IsoTpAddress, IsoTpEndpoint
from bench.wire.isotp_habits import IsoTpHabits
from bench.wire.outcome import OutcomeCallback
from bench.wire.uds import (
    DecodeError,
    MemoryRange,
    Nrc,
    Session,
    Sid,
    download_response,
    negative,
    session_response,
)
from bench.wire.uds_dtc import dtc_list_response

SEED = bytes.fromhex("1122334455667788")
POSITIVE, SUPPRESS = 0x40, 0x80
HOLDS_OTHER_IMAGE = b"\x01"
"""The validity mark stands."""
NVM_RECORDS = 4
"""What one change of the small memory writes."""
Send = Callable[[bytes, Callable[[str | None], None]], None]
KEEP_ALIVE = bytes((Sid.TESTER_PRESENT, SUPPRESS))
TRANSFERS = (Sid.REQUEST_DOWNLOAD, Sid.REQUEST_UPLOAD, Sid.TRANSFER_DATA, Sid.REQUEST_TRANSFER_EXIT)
BLOCK_OVERHEAD_BYTES = 2
"""Service id and counter count into maxNumberOfBlockLength."""
MEMORY_SERVICES = (Sid.ROUTINE_CONTROL, Sid.REQUEST_DOWNLOAD, Sid.TRANSFER_DATA, Sid.REQUEST_TRANSFER_EXIT)
"""What waits for a block that is still being programmed."""
WITH_SUB_FUNCTION = (Sid.ECU_RESET, Sid.SECURITY_ACCESS, Sid.TESTER_PRESENT, Sid.COMMUNICATION_CONTROL)


class IdealEcu:
    """One ideal ECU on its bus."""

    def __init__(
        self, world: World, bus: CanBus, entry: EcuEntry, recipe: Recipe, times: EcuTimes, new: Software | None
    ) -> None:
        """Build it without power; after a reset it runs `new`."""
        self.node = Node(world, entry.id, self._boot)
        self._bus, self._entry, self._recipe, self._times, self._new = bus, entry, recipe, times, new
        before = entry.installed
        self._version, self._software_id = "" if before is None else before.version, entry.software_id
        self._session = Session.DEFAULT
        self._image_bytes = 0 if before is None else before.size_bytes
        self._runs_new = False
        self._transfer: Transfer | None = None
        self._downloaded = bytearray()
        self._unprogrammed_bytes = self._missing_bytes = self._written_ns = 0
        self._busy_in: Incarnation | None = None
        self._final_answer: bytes | None = None
        """The final answer to 10 02 that the bootloader gives."""

    # Life -------------------------------------------------------------------------------------------

    def _boot(self, life: Incarnation) -> None:
        boot = self._times.boot
        ms = boot.manager_ms
        if self._session is Session.PROGRAMMING:
            ms += boot.bootloader_ms
        else:
            ms += -(-self._image_bytes // boot.verify_bytes_per_ms) + boot.application_ms
        life.call_at_ns(life.now_ns() + ms * NS_PER_MS, self._listen, life)

    def _listen(self, life: Incarnation) -> None:
        address = mirrored(self._entry.address())
        ear = _Ear(life, self._bus.attach(life), address, self._habits(), self._received)
        answer, self._final_answer = self._final_answer, None
        if answer is not None:
            life.spawn(_sent(ear.send, answer), "final answer")

    def _habits(self) -> IsoTpHabits:
        own, asked = self._times.isotp, self._entry.flow_control
        return own if asked is None else own.model_copy(update={"block_size": asked.bs, "st_min": asked.st_min})

    def _restart(self, session: Session) -> None:
        if session is Session.DEFAULT:
            self._take_new_software()
        self._session = session
        self.node.reset()

    # Requests ---------------------------------------------------------------------------------------

    def _received(self, life: Incarnation, pdu: bytes, send: Send) -> None:
        if self._busy_in is life or pdu == KEEP_ALIVE:
            return
        self._busy_in = life
        answer, work_ns, then = self._answer(pdu)
        work_ns = self._beside_writing(life, pdu[0], work_ns)
        life.spawn(self._respond(life, pdu, answer, work_ns, then, send), "request")

    async def _respond(
        self,
        life: Incarnation,
        pdu: bytes,
        answer: bytes,
        work_ns: int,
        then: Session | None,
        send: Send,
    ) -> None:
        """Answer once the work is done, with 0x78 before each limit runs out."""
        uds = self._times.uds
        done_ns, limit_ms = life.now_ns() + work_ns, uds.p2_ms
        while done_ns >= (due_ns := life.now_ns() + (limit_ms - uds.pending_margin_ms) * NS_PER_MS):
            await life.sleep_ns(due_ns - life.now_ns())
            await _sent(send, negative(pdu[0], Nrc.RESPONSE_PENDING))
            limit_ms = uds.p2_star_ms
        await life.sleep_ns(done_ns - life.now_ns())
        await _sent(send, answer)
        if then is None:
            self._busy_in = None
        else:  # nothing is served any more: a reset is due
            due_ns = life.now_ns() + self._times.boot.reset_delay_ms * NS_PER_MS
            life.call_at_ns(due_ns, self._restart, then)

    def _answer(self, pdu: bytes) -> tuple[bytes, int, Session | None]:
        """Return the positive answer, how long the ECU works for it, and the session that a reset leads to."""
        sid = pdu[0]
        echo = bytes((sid + POSITIVE,))
        if sid == Sid.DIAGNOSTIC_SESSION_CONTROL:
            return self._session_control(pdu)
        if sid == Sid.READ_DATA_BY_IDENTIFIER:
            return echo + pdu[1:3] + self._value(int.from_bytes(pdu[1:3], "big")), 0, None
        if sid == Sid.WRITE_DATA_BY_IDENTIFIER:
            return echo + pdu[1:3], self._nvm_ns(), None
        if sid == Sid.READ_DTC_INFORMATION:
            return dtc_list_response(pdu[1], 0xFF, ()), 0, None
        if sid == Sid.SECURITY_ACCESS and pdu[1] % 2:
            return echo + pdu[1:2] + SEED, 0, None
        if sid == Sid.ROUTINE_CONTROL:
            return echo + pdu[1:4] + self._routine_record(pdu), self._routine_ns(pdu), None
        if sid in TRANSFERS:
            return self._transferred(pdu)
        if sid == Sid.READ_MEMORY_BY_ADDRESS:
            return echo + ideal_answers.memory(self._new, MemoryRange.decode(pdu[1:])), 0, None
        if sid == Sid.ECU_RESET:
            return echo + pdu[1:2], 0, Session.DEFAULT
        return echo + (pdu[1:2] if sid in WITH_SUB_FUNCTION else b""), 0, None

    def _transferred(self, pdu: bytes) -> tuple[bytes, int, Session | None]:
        """Return the answer to 0x34, 0x35, 0x36 or 0x37, and how long the ECU works for it."""
        sid, transfer = pdu[0], self._transfer
        echo, longest = bytes((sid + POSITIVE,)), self._times.uds.max_block_length
        if sid in (Sid.REQUEST_DOWNLOAD, Sid.REQUEST_UPLOAD):
            self._transfer = Transfer(MemoryRange.decode(pdu[2:]), upload=sid == Sid.REQUEST_UPLOAD)
            self._downloaded.clear()
            self._unprogrammed_bytes = 0
            self._missing_bytes = 0 if self._transfer.upload else self._transfer.memory.size_bytes
            return download_response(longest, sid), 0, None
        if sid == Sid.REQUEST_TRANSFER_EXIT:
            self._transfer = None
            record = ideal_answers.exit_record(self._recipe, transfer, bytes(self._downloaded))
            return echo + record, self._program_ns(0, last=True), None
        if transfer is None or not transfer.upload:
            self._downloaded += pdu[2:]
            return echo + pdu[1:2], self._program_ns(len(pdu) - 2, last=False), None
        place, sent = transfer.memory, transfer.sent_bytes
        size = min(place.size_bytes - sent, longest - BLOCK_OVERHEAD_BYTES)
        data = ideal_answers.memory(self._new, replace(place, address=place.address + sent, size_bytes=size))
        self._transfer = replace(transfer, sent_bytes=sent + size)
        return echo + pdu[1:2] + data, 0, None

    def _routine_record(self, pdu: bytes) -> bytes:
        """Return the status; asked how much it holds, the ECU says that all of it must be erased first."""
        routine_id, option = int.from_bytes(pdu[2:4], "big"), pdu[4:]
        ok = ideal_answers.routine_record(self._recipe, routine_id)
        if routine_id != self._recipe.routines.report_progress:
            return ok
        length = MemoryRange.decode(option).size_bytes
        return ok + option + HOLDS_OTHER_IMAGE + struct.pack(">II", 0, length) + hashlib.sha256(b"").digest()

    def _session_control(self, pdu: bytes) -> tuple[bytes, int, Session | None]:
        session = Session(pdu[1])
        answer = session_response(session, self._times.uds.p2_ms, self._times.uds.p2_star_ms)
        if session is Session.PROGRAMMING and self._session is not Session.PROGRAMMING:
            if self._times.answers_after_reset:
                self._final_answer, answer = answer, negative(Sid.DIAGNOSTIC_SESSION_CONTROL, Nrc.RESPONSE_PENDING)
            return answer, 0, session
        self._session = session
        return answer, 0, None

    def _value(self, did: int) -> bytes:
        dids = self._recipe.dids
        known = {
            dids.active_session: bytes((self._session,)),
            dids.hardware_id: self._entry.hardware_id.encode(),
            dids.software_id: self._software_id.encode(),
            dids.version: self._version.encode(),
        } | ideal_answers.identified(self._recipe, self._new, runs=self._runs_new)
        return known.get(did, b"\x00")

    def _take_new_software(self) -> None:
        if self._new is not None:
            self._version, self._software_id, self._runs_new = self._new.version, self._new.software_id, True
            self._image_bytes = ideal_answers.stored_bytes(self._new)

    # Times ------------------------------------------------------------------------------------------

    def _nvm_ns(self) -> int:
        return NVM_RECORDS * self._times.nvm.record_us * NS_PER_US

    def _program_ns(self, length: int, *, last: bool) -> int:
        """Return how long the whole units take that have come; what was packed smaller is made up for at the end."""
        unit_bytes, program_ns = self._times.download_flash.programming("image")
        length = self._missing_bytes if last else min(length, self._missing_bytes)
        self._missing_bytes -= length
        self._unprogrammed_bytes += length
        units, left = divmod(self._unprogrammed_bytes, unit_bytes)
        self._unprogrammed_bytes = 0 if last else left
        return (units + (1 if last and left else 0)) * program_ns

    def _beside_writing(self, life: Incarnation, sid: int, work_ns: int) -> int:
        """Return how long a request takes where blocks are programmed while the next one comes."""
        if not self._times.flash.while_receiving or sid not in MEMORY_SERVICES:
            return work_ns
        waits_ns = max(0, self._written_ns - life.now_ns())
        if sid != Sid.TRANSFER_DATA:
            return waits_ns + work_ns
        self._written_ns = life.now_ns() + waits_ns + work_ns
        return waits_ns

    def _routine_ns(self, pdu: bytes) -> int:
        routine, routines = int.from_bytes(pdu[2:4], "big"), self._recipe.routines
        if routine == routines.erase:
            return self._erase_ns(pdu[4:])
        if routine == routines.check_memory and self._new is not None:
            return self._times.check_ns(ideal_answers.stored_bytes(self._new), self._image_bytes)
        return self._nvm_ns() if routine in (routines.activate, routines.confirm) else 0

    def _erase_ns(self, option: bytes) -> int:
        try:
            wanted = MemoryRange.decode(option)
        except DecodeError:
            return 0
        flash, offset = self._times.download_flash, wanted.address - self._recipe.memory.region_base
        return flash.slots_ns() + flash.erase_ns("image", offset, wanted.size_bytes)


def mirrored(address: IsoTpAddress) -> IsoTpAddress:
    """Return the ECU's view of a tester's address pair."""
    return replace(
        address,
        tx_id=address.rx_id,
        rx_id=address.tx_id,
        tx_extension=address.rx_extension,
        rx_extension=address.tx_extension,
    )


class _Ear:
    """The diagnostic connection of one life; functional requests are heard and not answered."""

    def __init__(
        self,
        life: Incarnation,
        port: CanPort,
        address: IsoTpAddress,
        habits: IsoTpHabits,
        received: Callable[[Incarnation, bytes, Send], None],
    ) -> None:
        self._life, self._port, self._address, self._received = life, port, address, received
        self._flags = address.flags | habits.frame_flags
        self._endpoint = IsoTpEndpoint(
            life, habits.params(), self._transmit, self, address=address, transmit_run=self._transmit
        )
        self.send: Send = self._endpoint.send
        port.subscribe(self._heard, (address.rx_identifier,), self._endpoint)

    def _transmit(self, data: bytes, ended: OutcomeCallback, run: FrameRun | None = None) -> None:
        self._port.send(CanFrame(self._address.tx_id, data, self._flags), ended, run)

    def _heard(self, frame: CanFrame, t_ns: int) -> None:
        if self._address.accepts(frame):
            self._endpoint.on_frame(frame.data, t_ns)

    def on_start(self, length: int) -> None:
        """See `IsoTpListener`."""

    def on_message(self, payload: bytes) -> None:
        """See `IsoTpListener`."""
        self._received(self._life, payload, self._endpoint.send)

    def on_error(self, name: str) -> None:
        """See `IsoTpListener`."""


async def _sent(send: Send, pdu: bytes) -> None:
    """Send and wait until the last frame is on the bus, or given up."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    send(pdu, lambda _error: None if done.done() else done.set_result(None))
    await done
