"""ClearDiagnosticInformation and ReadDTCInformation (0x14, 0x19): the DTC memory as a tester sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.wire.uds import ClearDiagnosticInformation, Nrc, positive
from bench.wire.uds_dtc import (
    ALL_RECORDS,
    DtcReport,
    ReadDtcInformation,
    dtc_count_response,
    dtc_list_response,
    dtc_records_response,
    snapshot_identification_response,
    snapshot_record,
)
from ecu_sim.memory.dtcs import AVAILABLE, VERSION_BYTES, DtcMemory, Snapshot, StoredDtc
from ecu_sim.uds import dids
from ecu_sim.uds.services import Answer, Refused

ALL_GROUPS = 0xFF_FFFF
SNAPSHOT_RECORD = 0x01
"""The one snapshot of a DTC: that of its first failure."""
OCCURRENCE_RECORD, AGEING_RECORD = 0x01, 0x02
"""Extended data records: occurrence counter and ageing counter, one byte each."""
ALL_EXTENDED = (ALL_RECORDS, 0xFE)
"""Record numbers that stand for all records (0xFE: those of emissions-related OBD, none here)."""


class DtcService:
    """Serves 0x14 and 0x19."""

    def __init__(self, dtcs: DtcMemory) -> None:
        self._dtcs = dtcs
        self._reports: Mapping[int, Callable[[ReadDtcInformation], bytes]] = {
            DtcReport.NUMBER_BY_STATUS_MASK: self._number,
            DtcReport.BY_STATUS_MASK: self._by_mask,
            DtcReport.SNAPSHOT_IDENTIFICATION: self._snapshot_identification,
            DtcReport.SNAPSHOT_BY_DTC: self._snapshot,
            DtcReport.EXTENDED_DATA_BY_DTC: self._extended,
            DtcReport.SUPPORTED: self._supported,
        }

    async def clear(self, request: ClearDiagnosticInformation) -> Answer:
        """Clear all groups, or the group of one DTC that this ECU has."""
        if request.group == ALL_GROUPS:
            await self._dtcs.clear()
        elif request.group in dict(self._dtcs.supported()):
            await self._dtcs.clear(request.group)
        else:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        return Answer(positive(request.SID))

    async def read(self, request: ReadDtcInformation) -> Answer:
        """Serve 0x19; the sub-function was checked."""
        return Answer(self._reports[request.report](request))

    def _matching(self, mask: int) -> list[tuple[int, int]]:
        return [(code, status) for code, status in self._dtcs.supported() if status & mask & AVAILABLE]

    def _number(self, request: ReadDtcInformation) -> bytes:
        return dtc_count_response(AVAILABLE, len(self._matching(request.status_mask)))

    def _by_mask(self, request: ReadDtcInformation) -> bytes:
        return dtc_list_response(request.report, AVAILABLE, self._matching(request.status_mask))

    def _supported(self, request: ReadDtcInformation) -> bytes:
        return dtc_list_response(request.report, AVAILABLE, self._dtcs.supported())

    def _snapshot_identification(self, _request: ReadDtcInformation) -> bytes:
        return snapshot_identification_response((dtc.code, SNAPSHOT_RECORD) for dtc in self._dtcs.stored)

    def _snapshot(self, request: ReadDtcInformation) -> bytes:
        if request.record not in (SNAPSHOT_RECORD, ALL_RECORDS):
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        status, stored = self._known(request.dtc)
        records = [] if stored is None else [snapshot_record(SNAPSHOT_RECORD, _snapshot_values(stored.snapshot))]
        return dtc_records_response(request.report, request.dtc, status, records)

    def _extended(self, request: ReadDtcInformation) -> bytes:
        if request.record not in (OCCURRENCE_RECORD, AGEING_RECORD, *ALL_EXTENDED):
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        status, stored = self._known(request.dtc)
        counters = {} if stored is None else {OCCURRENCE_RECORD: stored.occurrences, AGEING_RECORD: stored.aged_cycles}
        wanted = [bytes(pair) for pair in counters.items() if request.record in (pair[0], ALL_RECORDS)]
        return dtc_records_response(request.report, request.dtc, status, wanted)

    def _known(self, code: int) -> tuple[int, StoredDtc | None]:
        """Return status and slot of a DTC that this ECU has; refused with 0x31 for any other."""
        status = dict(self._dtcs.supported()).get(code)
        if status is None:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        return status, self._dtcs.find(code)


def _snapshot_values(seen: Snapshot) -> tuple[tuple[int, bytes], ...]:
    return (
        (dids.SUPPLY_VOLTAGE, seen.supply_mv.to_bytes(2, "big")),
        (dids.ACTIVE_SESSION, bytes((seen.session,))),
        (dids.UPTIME, seen.uptime_ms.to_bytes(4, "big")),
        (dids.SNAPSHOT_VERSION, seen.version.encode()[:VERSION_BYTES].ljust(VERSION_BYTES, b"\x00")),
    )
