"""Data identifiers (0x22, 0x2E): what an ECU says of itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bench.core.node import Incarnation
from bench.core.specs import EcuSpec
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
from ecu_sim.memory.nvm import FINGERPRINT_BYTES, Nvm
from ecu_sim.uds.services import Answer, Refused
from ecu_sim.uds.sessions import SessionState

FINGERPRINT, BOOT_SOFTWARE, ACTIVE_SESSION = 0xF15A, 0xF180, 0xF186
SOFTWARE_ID, SOFTWARE_VERSION, SERIAL_NUMBER, VIN, HARDWARE_ID = 0xF188, 0xF189, 0xF18C, 0xF190, 0xF191
TITLES: dict[int, str] = {
    FINGERPRINT: "fingerprint", BOOT_SOFTWARE: "boot software id", ACTIVE_SESSION: "active session",
    SOFTWARE_ID: "software id", SOFTWARE_VERSION: "software version", SERIAL_NUMBER: "serial number", VIN: "VIN",
    HARDWARE_ID: "hardware id",
}  # fmt: skip
BOOT_SOFTWARE_TEXT = "OTABENCH-BOOT-1.0"

Read = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Identity:
    """What never changes: the ECU as built, and the car's VIN."""

    spec: EcuSpec
    vin: str

    @property
    def serial_number(self) -> str:
        """A serial number of its own, the same in every run."""
        return f"SN{hashlib.sha256(f'{self.vin}|{self.spec.id}'.encode()).hexdigest()[:10].upper()}"


def common_dids(identity: Identity, nvm: Nvm, state: SessionState) -> dict[int, Read]:
    """Return what bootloader and application both answer."""
    spec = identity.spec
    return {
        FINGERPRINT: lambda: nvm.record.fingerprint,
        BOOT_SOFTWARE: lambda: b"\x01" + BOOT_SOFTWARE_TEXT.encode(),
        ACTIVE_SESSION: lambda: bytes((state.session,)),
        SERIAL_NUMBER: identity.serial_number.encode,
        VIN: identity.vin.encode,
        HARDWARE_ID: spec.hardware_id.encode,
    }


def application_dids(header: ImageHeader) -> dict[int, Read]:
    """Return what only a running application answers."""
    return {SOFTWARE_ID: header.software_id.encode, SOFTWARE_VERSION: header.version.encode}


class DataService:
    """Serves 0x22 and 0x2E."""

    def __init__(self, life: Incarnation, dids: Mapping[int, Read], nvm: Nvm, state: SessionState) -> None:
        self._life, self._dids, self._nvm, self._state = life, dids, nvm, state

    def titles(self, more: Mapping[int, str]) -> dict[int, str]:
        """Return what can be read, in words; `more` are those of identifiers that a personality names."""
        return {did: more.get(did) or TITLES[did] for did in sorted(self._dids)}

    async def read(self, request: ReadDataByIdentifier) -> Answer:
        """Answer all identifiers that are known; out of range when none is."""
        known = [did for did in request.dids if did in self._dids]
        if not known:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        pdu = positive(Sid.READ_DATA_BY_IDENTIFIER, *(data_response(did, self._dids[did]()) for did in known))
        if len(pdu) > MAX_PDU_BYTES:
            raise Refused(Nrc.RESPONSE_TOO_LONG)
        return Answer(pdu)

    async def write(self, request: WriteDataByIdentifier) -> Answer:
        """Write the fingerprint (date in BCD, yymmdd, and 7 bytes of the tester)."""
        if request.did != FINGERPRINT:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        if self._state.missing is not None:
            raise Refused(self._state.missing)
        if len(request.data) != FINGERPRINT_BYTES:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        if not request.data[:3].hex().isdecimal():
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        await self._nvm.store(self._life, replace(self._nvm.record, fingerprint=request.data))
        return Answer(positive(Sid.WRITE_DATA_BY_IDENTIFIER, request.did.to_bytes(2, "big")))
