"""Service 0x19: requests and responses against bytes and against udsoncan's other half."""

from __future__ import annotations

import pytest
import udsoncan
from hypothesis import given
from hypothesis import strategies as st
from udsoncan import services

from bench.wire.uds import DecodeError
from bench.wire.uds_dtc import (
    DtcReport,
    ReadDtcInformation,
    dtc_count_response,
    dtc_list_response,
    dtc_records_response,
    snapshot_identification_response,
    snapshot_record,
)

CODES, STATUS = st.integers(1, 0xFF_FFFF), st.integers(0, 0x7F)


def read(report: DtcReport, raw: bytes, **options: object) -> object:
    """Return what udsoncan reads from an answer."""
    response = udsoncan.Response.from_payload(raw)
    return services.ReadDTCInformation.interpret_response(response, report, **options).service_data


@pytest.mark.parametrize(
    ("pdu", "expected"),
    [
        ("19 01 FF", ReadDtcInformation(1, status_mask=0xFF)),
        ("19 82 08", ReadDtcInformation(2, status_mask=8, suppress=True)),
        ("19 03", ReadDtcInformation(3)),
        ("19 04 F00316 FF", ReadDtcInformation(4, dtc=0xF00316, record=0xFF)),
        ("19 06 F00316 01", ReadDtcInformation(6, dtc=0xF00316, record=1)),
        ("19 0A", ReadDtcInformation(0x0A)),
    ],
)
def test_request_decodes_to_its_fields(pdu: str, expected: ReadDtcInformation) -> None:
    assert ReadDtcInformation.decode(bytes.fromhex(pdu)) == expected


@pytest.mark.parametrize(
    "pdu", ["19", "1901", "1902FF00", "190300", "1904F00316", "1906F003160100", "190A00", "1801FF"]
)
def test_request_of_wrong_length_is_refused(pdu: str) -> None:
    with pytest.raises(DecodeError):
        ReadDtcInformation.decode(bytes.fromhex(pdu))


@given(mask=st.integers(0, 255), code=CODES, record=st.integers(0, 255))
def test_requests_of_udsoncan_decode_to_the_same_fields(mask: int, code: int, record: int) -> None:
    make = services.ReadDTCInformation.make_request
    for report in (DtcReport.NUMBER_BY_STATUS_MASK, DtcReport.BY_STATUS_MASK):
        decoded = ReadDtcInformation.decode(make(report, status_mask=mask).get_payload())
        assert decoded == ReadDtcInformation(report, status_mask=mask)
    for report in (DtcReport.SNAPSHOT_IDENTIFICATION, DtcReport.SUPPORTED):
        assert ReadDtcInformation.decode(make(report).get_payload()) == ReadDtcInformation(report)
    snapshot = make(DtcReport.SNAPSHOT_BY_DTC, dtc=code, snapshot_record_number=record)
    extended = make(DtcReport.EXTENDED_DATA_BY_DTC, dtc=code, extended_data_record_number=record)
    assert ReadDtcInformation.decode(snapshot.get_payload()) == ReadDtcInformation(4, dtc=code, record=record)
    assert ReadDtcInformation.decode(extended.get_payload()) == ReadDtcInformation(6, dtc=code, record=record)


@given(mask=STATUS, count=st.integers(0, 0xFFFF))
def test_count_is_read_by_udsoncan(mask: int, count: int) -> None:
    told = read(DtcReport.NUMBER_BY_STATUS_MASK, dtc_count_response(mask, count))
    assert (told.dtc_count, told.dtc_format) == (count, 1)  # type: ignore[attr-defined]
    assert told.status_availability.get_byte_as_int() == mask  # type: ignore[attr-defined]


@pytest.mark.parametrize("report", [DtcReport.BY_STATUS_MASK, DtcReport.SUPPORTED])
@given(dtcs=st.dictionaries(CODES, STATUS, max_size=20))
def test_list_is_read_by_udsoncan(report: DtcReport, dtcs: dict[int, int]) -> None:
    told = read(report, dtc_list_response(report, 0x7F, dtcs.items()))
    assert {dtc.id: dtc.status.get_byte_as_int() for dtc in told.dtcs} == dtcs  # type: ignore[attr-defined]


@given(codes=st.sets(CODES, max_size=10))
def test_snapshot_identification_is_read_by_udsoncan(codes: set[int]) -> None:
    raw = snapshot_identification_response((code, 1) for code in codes)
    told = read(DtcReport.SNAPSHOT_IDENTIFICATION, raw)
    assert {dtc.id: list(dtc.snapshots) for dtc in told.dtcs} == {code: [1] for code in codes}  # type: ignore[attr-defined]


@given(code=CODES, status=STATUS, first=st.binary(min_size=2, max_size=2), second=st.binary(min_size=4, max_size=4))
def test_snapshot_is_read_by_udsoncan(code: int, status: int, first: bytes, second: bytes) -> None:
    record = snapshot_record(1, ((0xD001, first), (0xD002, second)))
    raw = dtc_records_response(DtcReport.SNAPSHOT_BY_DTC, code, status, [record])
    told = read(DtcReport.SNAPSHOT_BY_DTC, raw, didconfig={0xD001: ">H", 0xD002: ">L"})
    (dtc,) = told.dtcs  # type: ignore[attr-defined]
    assert (dtc.id, dtc.status.get_byte_as_int()) == (code, status)
    assert [(one.record_number, one.did, one.raw_data) for one in dtc.snapshots] == [
        (1, 0xD001, first), (1, 0xD002, second),
    ]  # fmt: skip


@given(code=CODES, status=STATUS, counters=st.binary(min_size=2, max_size=2))
def test_extended_data_is_read_by_udsoncan(code: int, status: int, counters: bytes) -> None:
    records = [bytes((1, counters[0])), bytes((2, counters[1]))]
    raw = dtc_records_response(DtcReport.EXTENDED_DATA_BY_DTC, code, status, records)
    told = read(DtcReport.EXTENDED_DATA_BY_DTC, raw, extended_data_size=1)
    (dtc,) = told.dtcs  # type: ignore[attr-defined]
    assert [(one.record_number, one.raw_data) for one in dtc.extended_data] == [
        (1, counters[:1]), (2, counters[1:]),
    ]  # fmt: skip
