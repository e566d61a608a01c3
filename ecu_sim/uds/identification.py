"""Data identifiers (0x22, 0x2E): what an ECU says of itself, and what a tester may change."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from bench.core.node import Incarnation
from bench.core.specs import EcuSpec
from bench.wire.bootloader_update import FACTORY_VERSION
from bench.wire.image_header import ImageHeader
from bench.wire.uds import (
    MAX_PDU_BYTES,
    Nrc,
    ReadDataByIdentifier,
    Sid,
    WriteDataByIdentifier,
    data_response,
    positive,
)
from ecu_sim.memory.banks import EcuMemory
from ecu_sim.memory.dtcs import DtcMemory
from ecu_sim.memory.nvm import FINGERPRINT_BYTES
from ecu_sim.personality.diagnostics import Identification
from ecu_sim.uds import dids
from ecu_sim.uds.services import Answer, Refused
from ecu_sim.uds.sessions import SessionState

Read = Callable[[], bytes]
Write = Callable[[bytes], Awaitable[None]]
"""Takes the data of a 0x2E that security let through; raises `Refused`."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What never changes: the ECU as built, and the car's VIN."""

    spec: EcuSpec
    vin: str

    @property
    def serial_number(self) -> str:
        """A serial number of its own, the same in every run."""
        return f"SN{hashlib.sha256(f'{self.vin}|{self.spec.id}'.encode()).hexdigest()[:10].upper()}"


def common_dids(identity: Identity, memory: EcuMemory, state: SessionState, dtcs: DtcMemory) -> dict[int, Read]:
    """Return what bootloader and application both answer."""
    nvm, rules = memory.nvm, memory.personality.identification
    texts = {
        dids.SERIAL_NUMBER: identity.serial_number, dids.VIN: identity.vin,
        dids.HARDWARE_ID: identity.spec.hardware_id, dids.PART_NUMBER: rules.part_number,
        dids.SUPPLIER: rules.supplier, dids.HARDWARE_VERSION: rules.hardware_version,
    }  # fmt: skip
    return {
        dids.FINGERPRINT: lambda: nvm.record.fingerprint,
        dids.APPLICATION_FINGERPRINT: lambda: nvm.record.fingerprint,
        dids.BOOT_SOFTWARE: lambda: b"\x01" + _boot_software(memory).encode(),
        dids.ACTIVE_SESSION: lambda: bytes((state.session,)),
        dids.SUPPLY_VOLTAGE: lambda: dtcs.observe().supply_mv.to_bytes(2, "big"),
        dids.UPTIME: lambda: dtcs.uptime_ms.to_bytes(4, "big"),
        **_manufacturing_date(rules),
        **{did: text.encode for did, text in texts.items() if text is not None},
    }


def _boot_software(memory: EcuMemory) -> str:
    """Return the name of the bootloader; one that can be updated tells its own version."""
    return FACTORY_VERSION if memory.bootloader is None else memory.bootloader.version


def _manufacturing_date(rules: Identification) -> dict[int, Read]:
    date = rules.manufacturing_date
    if date is None:
        return {}
    return {dids.MANUFACTURING_DATE: lambda: bytes.fromhex(date.replace("-", ""))}


def application_dids(header: ImageHeader) -> dict[int, Read]:
    """Return what only a running application answers: its image's identity."""
    return {
        dids.APPLICATION_SOFTWARE: lambda: b"\x01" + f"{header.software_id} {header.version}".encode(),
        dids.SOFTWARE_ID: header.software_id.encode,
        dids.SOFTWARE_VERSION: header.version.encode,
    }


def application_data(memory: EcuMemory, version: str) -> dict[int, Read]:
    """Return what a running application of that version answers from its personality and its configuration."""
    rules, settings = memory.personality.identification, memory.settings
    texts = {
        dids.SUPPLIER_SOFTWARE_NUMBER: rules.supplier_software_number,
        dids.SUPPLIER_SOFTWARE_VERSION: rules.supplier_software_version, rules.rxswin_did: rules.rxswin_of(version),
    }  # fmt: skip

    def configured(did: int) -> Read:
        return lambda: settings.configured(did)

    configuration = {entry.did: configured(entry.did) for entry in memory.personality.diagnostics.configuration}
    return {did: text.encode for did, text in texts.items() if text is not None} | configuration


class DataService:
    """Serves 0x22 and 0x2E, each in the order of refusals of ISO 14229-1 (figures of both services)."""

    def __init__(
        self, reads: Mapping[int, Read], writes: Mapping[int, Write], state: SessionState, *, max_dids: int | None
    ) -> None:
        self._reads, self._writes, self._state, self._max_dids = reads, writes, state, max_dids

    async def read(self, request: ReadDataByIdentifier) -> Answer:
        """Answer all identifiers that are known; out of range when none is."""
        if self._max_dids is not None and len(request.dids) > self._max_dids:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        known = [did for did in request.dids if did in self._reads]
        if not known:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        pdu = positive(Sid.READ_DATA_BY_IDENTIFIER, *(data_response(did, self._reads[did]()) for did in known))
        if len(pdu) > MAX_PDU_BYTES:
            raise Refused(Nrc.RESPONSE_TOO_LONG)
        return Answer(pdu)

    async def write(self, request: WriteDataByIdentifier) -> Answer:
        """Check identifier, then security; what writes it checks length, conditions and data."""
        write = self._writes.get(request.did)
        if write is None:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        if self._state.missing is not None:
            raise Refused(self._state.missing)
        await write(request.data)
        return Answer(positive(Sid.WRITE_DATA_BY_IDENTIFIER, request.did.to_bytes(2, "big")))


def bootloader_writes(life: Incarnation, memory: EcuMemory) -> dict[int, Write]:
    """Return what may be written while programming: the fingerprint (date in BCD, yymmdd, and 7 bytes of a tester)."""

    async def fingerprint(data: bytes) -> None:
        if len(data) != FINGERPRINT_BYTES:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        if not data[:3].hex().isdecimal():
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        await memory.nvm.store(life, replace(memory.nvm.record, fingerprint=data))

    return {dids.FINGERPRINT: fingerprint}


def application_writes(life: Incarnation, memory: EcuMemory, vin: str) -> dict[int, Write]:
    """Return what may be written in the extended session: configuration; a VIN that stands is not written again."""

    def configuration(did: int, size_bytes: int) -> Write:
        async def write(data: bytes) -> None:
            if len(data) != size_bytes:
                raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
            await memory.settings.configure(life, did, data)

        return write

    async def vin_again(data: bytes) -> None:
        if len(data) != len(vin):
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        raise Refused(Nrc.CONDITIONS_NOT_CORRECT)

    rules = memory.personality.diagnostics.configuration
    return {entry.did: configuration(entry.did, entry.size_bytes) for entry in rules} | {dids.VIN: vin_again}
