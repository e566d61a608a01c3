"""Service 0x19, ReadDTCInformation (ISO 14229-1), the ECU's half: requests as values, responses as bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from bench.wire.uds import SUPPRESS, Sid, need, positive

ALL_RECORDS = 0xFF
FORMAT_ISO_14229_1 = 0x01
"""DTCFormatIdentifier: three bytes, the last one a failure type."""


class DtcReport(IntEnum):
    """Sub-functions of 0x19 that are read here."""

    NUMBER_BY_STATUS_MASK = 0x01
    BY_STATUS_MASK = 0x02
    SNAPSHOT_IDENTIFICATION = 0x03
    SNAPSHOT_BY_DTC = 0x04
    EXTENDED_DATA_BY_DTC = 0x06
    SUPPORTED = 0x0A


_REQUEST_BYTES = {
    DtcReport.NUMBER_BY_STATUS_MASK: 3,
    DtcReport.BY_STATUS_MASK: 3,
    DtcReport.SNAPSHOT_BY_DTC: 6,
    DtcReport.EXTENDED_DATA_BY_DTC: 6,
}
"""Length of a request with parameters; the others have two bytes."""


@dataclass(frozen=True, slots=True)
class ReadDtcInformation:
    """Service 0x19: a report, with a status mask or with a DTC and a record number."""

    SID: ClassVar[int] = Sid.READ_DTC_INFORMATION
    report: int
    status_mask: int = 0
    dtc: int = 0
    record: int = 0
    suppress: bool = False

    @classmethod
    def decode(cls, pdu: bytes) -> ReadDtcInformation:
        """Read as many bytes as the report asks for."""
        need(pdu, cls.SID, 2, more=True)
        report, suppress = pdu[1] & ~SUPPRESS, bool(pdu[1] & SUPPRESS)
        length = _REQUEST_BYTES.get(DtcReport(report), 2) if report in _KNOWN else 2
        need(pdu, cls.SID, length)
        if length == 3:
            return cls(report, status_mask=pdu[2], suppress=suppress)
        return cls(report, dtc=int.from_bytes(pdu[2:5], "big"), record=pdu[5] if length == 6 else 0, suppress=suppress)


_KNOWN = frozenset(DtcReport)


def dtc_count_response(mask: int, count: int) -> bytes:
    """Return the answer to 19 01."""
    head = bytes((DtcReport.NUMBER_BY_STATUS_MASK, mask, FORMAT_ISO_14229_1))
    return positive(Sid.READ_DTC_INFORMATION, head, count.to_bytes(2, "big"))


def dtc_list_response(report: int, mask: int, dtcs: Iterable[tuple[int, int]]) -> bytes:
    """Return the answer to 19 02 and 19 0A from (DTC, status)."""
    listed = b"".join(code.to_bytes(3, "big") + bytes((status,)) for code, status in dtcs)
    return positive(Sid.READ_DTC_INFORMATION, bytes((report, mask)), listed)


def snapshot_identification_response(records: Iterable[tuple[int, int]]) -> bytes:
    """Return the answer to 19 03 from (DTC, record number)."""
    listed = b"".join(code.to_bytes(3, "big") + bytes((record,)) for code, record in records)
    return positive(Sid.READ_DTC_INFORMATION, bytes((DtcReport.SNAPSHOT_IDENTIFICATION,)), listed)


def snapshot_record(record: int, values: Iterable[tuple[int, bytes]]) -> bytes:
    """Return one snapshot record: its number, how many identifiers, each with its value."""
    pairs = [did.to_bytes(2, "big") + value for did, value in values]
    return bytes((record, len(pairs))) + b"".join(pairs)


def dtc_records_response(report: int, dtc: int, status: int, records: Iterable[bytes]) -> bytes:
    """Return the answer to 19 04 and 19 06."""
    return positive(Sid.READ_DTC_INFORMATION, bytes((report,)), dtc.to_bytes(3, "big"), bytes((status,)), *records)
