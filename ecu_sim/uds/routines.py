"""RoutineControl (0x31): erase, check memory, check dependencies, activate (bootloader); confirm (application)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NoReturn

from bench.core.node import Incarnation
from bench.wire.image_header import ImageHeader
from bench.wire.uds import DecodeError, MemoryRange, Nrc
from ecu_sim.boot import manager, staging
from ecu_sim.boot.manager import Problem, Trust
from ecu_sim.memory.banks import EcuMemory, Place
from ecu_sim.memory.flash import FlashFault
from ecu_sim.memory.nvm import NvmRecord
from ecu_sim.personality.geometry import BOOT_SHADOW_REGION, header_region
from ecu_sim.supply import Supply
from ecu_sim.surroundings import Surroundings
from ecu_sim.uds.bootloader_update import ACTIVATE_BOOTLOADER, CHECK_BOOTLOADER, ShadowRoutines
from ecu_sim.uds.resume import download_progress
from ecu_sim.uds.routine_service import Routine, Work
from ecu_sim.uds.services import Refused
from ecu_sim.uds.transfer import Transfer
from ecu_sim.uds.voltage import refuse_by_voltage

ERASE_ROUTINE, CHECK_DEPENDENCIES = 0xFF00, 0xFF01
CRC_BYTES = 4
OK: Final = b"\x00"
CHECK_STATUS: Mapping[Problem, bytes] = {
    Problem.SIGNATURE: b"\x01",
    Problem.HARDWARE: b"\x02",
    Problem.RELEASE: b"\x03",
    Problem.HASH: b"\x04",
    Problem.TORN: b"\x04",
    Problem.NO_IMAGE: b"\x05",
}
"""What the check of memory answers."""
DEPENDENCIES_WRONG: Final = b"\x01"


def _no_option(option: bytes) -> None:
    if option:
        raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)


class BootloaderRoutines:
    """What the bootloader can be asked to do with the bank that is not active."""

    def __init__(self, life: Incarnation, memory: EcuMemory, trust: Trust, transfer: Transfer, supply: Supply) -> None:
        self._life, self._memory, self._trust, self._transfer = life, memory, trust, transfer
        self._supply = supply
        bootloader = memory.bootloader
        self._shadow = None if bootloader is None else ShadowRoutines(life, memory, bootloader, trust)

    def _settled(self, work: Work) -> Work:
        """Return `work` that begins once everything the tester had an answer for stands in flash."""

        async def settled(option: bytes) -> bytes:
            # A block is answered while it is still being programmed: hashing before that is done would find old cells.
            await self._transfer.written()
            return await work(option)

        return settled

    def table(self) -> dict[int, Routine]:
        """Return the routines of this ECU; only A/B has `activate`."""
        ids = self._memory.personality.diagnostics.routines
        routines = {
            ERASE_ROUTINE: Routine(self._settled(self.erase)),
            ids.check_memory: Routine(self._settled(self.check_memory)),
            ids.check_block: Routine(self._settled(self.check_block)),
            CHECK_DEPENDENCIES: Routine(self._settled(self.check_dependencies)),
        }
        if self._memory.personality.dual_bank:
            routines[ids.activate] = Routine(self.activate)
        if self._memory.personality.resume:
            routines[ids.report_progress] = Routine(self._settled(self.report_progress))
        if self._shadow is not None:
            routines[CHECK_BOOTLOADER] = Routine(self._settled(self._shadow.check))
            routines[ACTIVATE_BOOTLOADER] = Routine(self._settled(self._shadow.activate))
        return routines

    async def erase(self, option: bytes) -> bytes:
        """FF00: erase mark, header and the sectors of a linked range; a trial in that bank is given up first."""
        place = self._erase_place(option)
        refuse_by_voltage(self._supply)
        # What was answered for the download holds no longer: a block after the erase would go into cells that its check
        # does not know.
        self._transfer.abort()
        if self._shadow is not None and place.region == BOOT_SHADOW_REGION:
            await self._shadow.erase(place)
            return OK
        bank = self._memory.target_bank
        record = self._memory.nvm.record
        # A trial in the bank that is erased would boot what is half gone: given up before the first cell changes.
        if record.trial_bank is not None:
            await self._store(replace(record, trial_bank=None, trial_boots=0))
        try:
            await self._erase(bank, place)
        except FlashFault:
            self._memory_fault()
        return OK

    def _memory_fault(self) -> NoReturn:
        self._memory.report_fault()
        raise Refused(Nrc.GENERAL_PROGRAMMING_FAILURE) from None

    async def _erase(self, bank: str, place: Place) -> None:
        """Erase mark and header, and the image's sectors unless the header slot alone was named."""
        if place.region == header_region(bank):
            await self._memory.erase_header(self._life, bank)
        else:
            await self._memory.erase_bank(self._life, bank, place)

    def _erase_place(self, option: bytes) -> Place:
        """Return what an erase names: linked addresses, or the header slot where downloads can be resumed."""
        wanted, bank = self._range(option), self._memory.target_bank
        shadow = self._memory.shadow_place(wanted.address, wanted.size_bytes)
        place = shadow or self._memory.image_place(bank, wanted.address, wanted.size_bytes)
        if place is None and self._memory.personality.resume:
            return self._place_in_download(wanted)
        if place is None:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        return place

    def _range(self, option: bytes) -> MemoryRange:
        """Read the range in an option record: NRC 0x13 when it is none, 0x31 for another format than the ECU's."""
        try:
            wanted = MemoryRange.decode(option)
        except DecodeError:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT) from None
        if wanted.address_and_length_format != self._memory.personality.transfer.address_and_length_format:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        return wanted

    def _place_in_download(self, wanted: MemoryRange) -> Place:
        place = self._memory.download_place(self._memory.target_bank, wanted.address, wanted.size_bytes)
        if place is None:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        return place

    async def report_progress(self, option: bytes) -> bytes:
        """0205: how much of a range stands in flash; a download under way ends, so the answer stays true."""
        wanted = self._range(option)
        place = self._place_in_download(wanted)
        self._transfer.abort()
        progress = download_progress(self._memory, place)
        await self._life.sleep_ns(self._memory.personality.verify_ns(progress.stored_bytes))
        return OK + option + progress.encode()

    async def check_memory(self, option: bytes) -> bytes:
        """0202: verify header and image; when all is right, program the validity mark (once), copy what is staged."""
        _no_option(option)
        memory, bank = self._memory, self._memory.target_bank
        await self._life.sleep_ns(manager.verify_ns(memory, bank))
        problem = manager.programmed_problem(memory, bank, self._trust)
        if problem is not None:
            return CHECK_STATUS[problem]
        if memory.personality.staging is not None and staging.installed(memory, self._trust):
            return OK
        try:
            # The mark is programmed once: a second time would stress cells that are no longer erased. A check that is
            # asked again finds it standing.
            if not memory.mark_stands(bank):
                await memory.program_mark(self._life, bank)
            if memory.personality.staging is not None:
                problem = await staging.install(self._life, memory, self._trust)
        except FlashFault:
            self._memory_fault()
        return OK if problem is None else CHECK_STATUS[problem]

    async def check_block(self, option: bytes) -> bytes:
        """0206: compare a range of the image with the CRC-32 behind it in the option record."""
        wanted = self._range(option[:-CRC_BYTES])
        place = self._memory.image_place(self._memory.target_bank, wanted.address, wanted.size_bytes)
        if place is None:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        await self._life.sleep_ns(self._memory.personality.verify_ns(place.size_bytes))
        stored = self._memory.readable(place.region, place.offset, place.size_bytes)
        right = stored is not None and zlib.crc32(stored) == int.from_bytes(option[-CRC_BYTES:], "big")
        return OK if right else CHECK_STATUS[Problem.HASH]

    async def check_dependencies(self, option: bytes) -> bytes:
        """FF01: the programmed bank is checked and marked."""
        _no_option(option)
        return OK if self._target_problem() is None else DEPENDENCIES_WRONG

    async def activate(self, option: bytes) -> bytes:
        """0203: the next boots try the freshly programmed bank."""
        _no_option(option)
        if self._target_problem() is not None:
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        # On trial, not active: a power cut or a crash before the confirmation must bring the old bank back by itself.
        await self._store(replace(self._memory.nvm.record, trial_bank=self._memory.target_bank, trial_boots=0))
        return OK

    def _target_problem(self) -> Problem | None:
        return manager.ready_to_run(self._memory, self._memory.next_bank, self._trust)

    async def _store(self, record: NvmRecord) -> None:
        await self._memory.nvm.store(self._life, record)


class ApplicationRoutines:
    """What the running application can be asked to do."""

    def __init__(
        self, life: Incarnation, memory: EcuMemory, bank: str, header: ImageHeader, surroundings: Surroundings
    ) -> None:
        self._life, self._memory, self._bank, self._header = life, memory, bank, header
        self._surroundings = surroundings

    def table(self) -> dict[int, Routine]:
        """Return the routines of the application."""
        ids = self._memory.personality.diagnostics.routines
        return {
            ids.confirm: Routine(self.confirm, unlocked=False),
            ids.check_preconditions: Routine(self.check_preconditions, unlocked=False),
            ids.self_test: Routine(self.self_test, unlocked=False, background=True),
        }

    async def self_test(self, option: bytes) -> bytes:
        """020A: hash the running image; status 00 when it is what was signed, else 04."""
        _no_option(option)
        memory, header = self._memory, self._header
        await self._life.sleep_ns(memory.personality.verify_ns(header.length))
        whole = manager.hash_ok(header, memory.image_sha256(self._bank, header))
        return OK if whole else CHECK_STATUS[Problem.HASH]

    async def check_preconditions(self, option: bytes) -> bytes:
        """0207: status, then one byte for each condition of the car that is not met."""
        _no_option(option)
        return OK + bytes(sorted(self._surroundings.unmet))

    async def confirm(self, option: bytes) -> bytes:
        """0204: the running image becomes the active one and the floor rises to its release counter."""
        _no_option(option)
        record = self._memory.nvm.record
        floor = max(record.release_floor, self._header.release_counter)
        confirmed = replace(record, active_bank=self._bank, trial_bank=None, trial_boots=0, release_floor=floor)
        await self._memory.nvm.keep(self._life, confirmed)
        return OK
