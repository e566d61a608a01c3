"""Services on memory and files (0x23, 0x35, 0x38, 0x3D): bytes, random input, and udsoncan's other half."""

from __future__ import annotations

import pytest
import udsoncan
from hypothesis import given
from hypothesis import strategies as st
from udsoncan import services

from bench.wire import uds
from bench.wire.uds import MemoryRange
from bench.wire.uds_memory import (
    MEMORY_DECODERS,
    FileMode,
    ReadMemoryByAddress,
    RequestFileTransfer,
    RequestUpload,
    WriteMemoryByAddress,
    file_transfer_response,
)
from bench.wire.uds_services import ALL_DECODERS

ADDRESS, SIZE = st.integers(0, 2**32 - 1), st.integers(1, 2**32 - 1)
PATHS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)


def location(address: int, size: int) -> udsoncan.MemoryLocation:
    return udsoncan.MemoryLocation(address, size, address_format=32, memorysize_format=32)


@pytest.mark.parametrize(
    ("pdu", "expected"),
    [
        ("23 22 1000 0010", ReadMemoryByAddress(MemoryRange(0x22, 0x1000, 0x10))),
        ("3D 12 1000 02 AABB", WriteMemoryByAddress(MemoryRange(0x12, 0x1000, 2), b"\xaa\xbb")),
        ("35 11 44 00001000 000002FF", RequestUpload(0x11, MemoryRange(0x44, 0x1000, 0x2FF))),
        ("38 01 0002 2F61 00 02 0100 0080", RequestFileTransfer(1, b"/a", 0, (0x100, 0x80))),
        ("38 02 0002 2F61", RequestFileTransfer(2, b"/a")),
        ("38 04 0001 61 11", RequestFileTransfer(4, b"a", 0x11)),
        ("38 05 0001 2F", RequestFileTransfer(5, b"/")),
        ("38 07 0001 2F", RequestFileTransfer(7, b"/")),
    ],
)
def test_request_decodes_to_its_fields(pdu: str, expected: object) -> None:
    raw = bytes.fromhex(pdu)
    assert MEMORY_DECODERS[raw[0]](raw) == expected


@pytest.mark.parametrize(
    "pdu",
    ["23", "2311", "23 11 00", "23 11 00 10 00", "23 44 00 00", "3D 11 00", "3D 11 00 02 AA", "3D 11 00 01 AA BB",
     "35 00", "35 00 44 00", "35 00 11 00 10 00", "38", "38 01", "38 04 00", "38 04 00 00", "38 04 0002 61",
     "38 04 0001 61", "38 04 0001 61 00 00", "38 02 0001 61 00", "38 01 0001 61 00", "38 01 0001 61 00 00",
     "38 01 0001 61 00 01 01", "38 01 0001 61 00 01 01 01 01"],
)  # fmt: skip
def test_request_of_wrong_length_is_refused(pdu: str) -> None:
    raw = bytes.fromhex(pdu)
    with pytest.raises(uds.DecodeError):
        MEMORY_DECODERS[raw[0]](raw)


@given(
    pdu=st.one_of(
        st.binary(max_size=32),
        st.builds(lambda a, b: bytes((a,)) + b, st.sampled_from([0x23, 0x35, 0x38, 0x3D]), st.binary(max_size=32)),
    )
)
def test_any_bytes_decode_or_are_refused_with_decode_error(pdu: bytes) -> None:
    for sid, decode in ALL_DECODERS.items():
        try:
            value = decode(pdu)
        except uds.DecodeError:
            continue
        assert pdu[0] == value.SID == sid


@given(raw=st.binary(min_size=1, max_size=40))
def test_memory_range_encodes_to_the_bytes_that_it_was_read_from(raw: bytes) -> None:
    try:
        memory, rest = MemoryRange.split(raw)
    except uds.DecodeError:
        return
    assert memory.encode() + rest == raw


@given(ADDRESS, SIZE)
def test_0x23_and_0x35_of_udsoncan_decode_to_the_same_range(address: int, size: int) -> None:
    read = services.ReadMemoryByAddress.make_request(location(address, size)).get_payload()
    assert ReadMemoryByAddress.decode(read).memory == MemoryRange(0x44, address, size)
    upload = services.RequestUpload.make_request(location(address, size), udsoncan.DataFormatIdentifier(1, 2))
    assert RequestUpload.decode(upload.get_payload()) == RequestUpload(0x12, MemoryRange(0x44, address, size))


@given(ADDRESS, st.binary(min_size=1, max_size=100))
def test_0x3d_of_udsoncan_decodes_to_the_same_bytes_and_its_answer_is_read(address: int, data: bytes) -> None:
    place = location(address, len(data))
    request = WriteMemoryByAddress.decode(services.WriteMemoryByAddress.make_request(place, data).get_payload())
    assert request == WriteMemoryByAddress(MemoryRange(0x44, address, len(data)), data)
    answer = uds.positive(uds.Sid.WRITE_MEMORY_BY_ADDRESS, request.memory.encode())
    told = services.WriteMemoryByAddress.interpret_response(udsoncan.Response.from_payload(answer), place).service_data
    echo = told.memory_location_echo
    assert (echo.address, echo.memorysize) == (address, len(data))


@given(st.integers(1, 0xFFFF_FFFF))
def test_0x35_answer_is_read_by_udsoncan_with_the_same_block_length(length: int) -> None:
    response = udsoncan.Response.from_payload(uds.download_response(length, uds.Sid.REQUEST_UPLOAD))
    assert services.RequestUpload.interpret_response(response).service_data.max_length == length


@given(mode=st.sampled_from([FileMode.ADD, FileMode.REPLACE]), path=PATHS, size=st.integers(0, 2**32 - 1))
def test_0x38_of_udsoncan_that_writes_decodes_to_the_same_file(mode: FileMode, path: str, size: int) -> None:
    filesize = udsoncan.Filesize(uncompressed=size, compressed=size, width=4)
    request = services.RequestFileTransfer.make_request(mode, path, udsoncan.DataFormatIdentifier(), filesize)
    decoded = RequestFileTransfer.decode(request.get_payload())
    assert decoded == RequestFileTransfer(mode, path.encode(), 0, (size, size))


@given(PATHS)
def test_0x38_of_udsoncan_that_reads_or_deletes_decodes_to_the_same_path(path: str) -> None:
    read = services.RequestFileTransfer.make_request(FileMode.READ, path, udsoncan.DataFormatIdentifier())
    assert RequestFileTransfer.decode(read.get_payload()) == RequestFileTransfer(4, path.encode(), 0)
    for mode in (FileMode.DELETE, FileMode.READ_DIRECTORY):
        request = services.RequestFileTransfer.make_request(mode, path)
        assert RequestFileTransfer.decode(request.get_payload()) == RequestFileTransfer(mode, path.encode())


@given(length=st.integers(1, 2**32 - 1), size=st.integers(0, 2**32 - 1))
def test_0x38_answers_are_read_by_udsoncan_with_the_same_numbers(length: int, size: int) -> None:
    def read(*arguments: object, **sizes: object) -> object:
        raw = file_transfer_response(*arguments, **sizes)  # type: ignore[arg-type]
        return services.RequestFileTransfer.interpret_response(udsoncan.Response.from_payload(raw)).service_data

    added = read(FileMode.ADD, length)
    assert (added.moop_echo, added.max_length) == (1, length)  # type: ignore[attr-defined]
    sent = read(FileMode.READ, length, sizes=(size, size))
    assert (sent.max_length, sent.filesize.uncompressed, sent.filesize.compressed) == (length, size, size)  # type: ignore[attr-defined]
    assert read(FileMode.READ_DIRECTORY, length, sizes=(size,)).dirinfo_length == size  # type: ignore[attr-defined]
    assert read(FileMode.DELETE, length).moop_echo == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("control", [0x04, 0x05])
@given(node=st.integers(1, 0xFFFF))
def test_0x28_of_udsoncan_with_a_node_decodes_to_the_same_node(control: int, node: int) -> None:
    messages = udsoncan.CommunicationType(0, normal_msg=True, network_management_msg=True)
    request = services.CommunicationControl.make_request(control, messages, node_id=node)
    assert uds.CommunicationControl.decode(request.get_payload()) == uds.CommunicationControl(control, 3, False, node)
