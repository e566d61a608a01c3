"""The judge's own look into packed downloads, on streams packed here by hand; nothing of the judged code takes part."""

from __future__ import annotations

import lzma
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR

from bench.core.records import DownloadPacking, EcuLayout, RunRecord
from bench.oracle.decode_isotp import split
from bench.oracle.decode_packing import StreamReader, Unreadable
from bench.oracle.decode_uds import EcuTraffic, listen
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import authentic, replace

KEY, VECTOR = bytes(range(32)), bytes(range(100, 116))
KINDS = [("none", "aes_ctr"), ("none", "aes_cbc"), ("lzma", "none"), ("lzma", "aes_ctr"), ("lzma", "aes_cbc")]


def packing(compression: str, encryption: str) -> DownloadPacking:
    return DownloadPacking(0x11, compression, encryption, KEY, 65_536)


def pack(kind: tuple[str, str], data: bytes) -> bytes:
    compression, encryption = kind
    if compression == "lzma":
        data = lzma.compress(data, format=lzma.FORMAT_XZ)
    if encryption == "none":
        return data
    if encryption == "aes_cbc":
        fill = 16 - len(data) % 16
        data += bytes((fill,)) * fill
    encryptor = Cipher(AES(KEY), CTR(VECTOR) if encryption == "aes_ctr" else CBC(VECTOR)).encryptor()
    return VECTOR + encryptor.update(data)


def layout(v: ModuleType, kind: tuple[str, str]) -> EcuLayout:
    packed: EcuLayout = replace(v.layout("body"), packing=replace(packing(*kind), dictionary_bytes=8 << 20))
    return packed


def send(talk: Any, data: bytes, stream: bytes, *, data_format: int = 0x11, block: int = 100) -> None:
    talk.ask("body", bytes((0x34, data_format, 0x44)) + bytes(4) + len(data).to_bytes(4, "big"), "74200FFF")
    for n, start in enumerate(range(0, len(stream), block), 1):
        talk.ask("body", bytes((0x36, n)) + stream[start : start + block], f"76{n:02X}")
    talk.ask("body", b"\x37", "77")


def heard(v: ModuleType, kind: tuple[str, str], talk: Any) -> EcuTraffic:
    return listen(split(talk.frames), layout(v, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_packed_download_is_read_as_the_image_that_it_carries(v: ModuleType, kind: tuple[str, str]) -> None:
    data, talk = v.payload("x", 600), v.Talk(0)
    send(talk, data, pack(kind, data))
    traffic = heard(v, kind, talk)
    assert [download.data for download in traffic.downloads] == [data]
    assert b"".join(block.data for block in traffic.blocks) == data


@pytest.mark.parametrize("kind", KINDS)
def test_repeated_and_lost_blocks_add_what_they_carry_once(v: ModuleType, kind: tuple[str, str]) -> None:
    data, talk = v.payload("x", 300), v.Talk(0)
    stream = pack(kind, data)
    talk.ask("body", bytes.fromhex("34114400000000") + len(data).to_bytes(4, "big"), "74200FFF")
    for n, start in enumerate(range(0, len(stream), 100), 1):
        block = bytes((0x36, n)) + stream[start : start + 100]
        talk.ask("body", block, None)
        talk.ask("body", block, f"76{n:02X}")
        talk.ask("body", block, f"76{n:02X}")
    talk.ask("body", b"\x37", "77")
    traffic = heard(v, kind, talk)
    assert traffic.downloads[0].data == data
    assert all(block.data in data for block in traffic.blocks)
    assert sum(block.stored for block in traffic.blocks) * 3 == len(traffic.blocks)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frames", [3, 12, 30])
def test_transfer_that_broke_off_shows_a_part_of_the_image(v: ModuleType, kind: tuple[str, str], frames: int) -> None:
    data, talk = v.payload("x", 300), v.Talk(0)
    send(talk, data, pack(kind, data), block=250)
    talk.frames = talk.frames[:frames]
    assert all(block.data in data for block in heard(v, kind, talk).blocks)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_such_stream_or_longer_than_announced_is_unreadable(kind: tuple[str, str]) -> None:
    stream = pack(kind, bytes(range(200)))
    with pytest.raises(Unreadable):
        StreamReader(roomy(kind), 199 if kind != ("none", "aes_cbc") else 150).read(stream + bytes(16))
    if kind[0] == "lzma":
        with pytest.raises(Unreadable):
            StreamReader(roomy(kind), 200).read(bytes(64))


# The verdict ----------------------------------------------------------------------------------------


def judged(v: ModuleType, refused: RunRecord, kind: tuple[str, str], data: bytes, **options: Any) -> Any:
    talk = v.Talk(4 * v.S)
    send(talk, data, options.pop("stream", pack(kind, data)), **options)
    record = replace(
        refused, frames=tuple(talk.frames), http=(v.http(v.PACKAGE),), layouts=(layout(v, kind), v.layout("gateway"))
    )
    return authentic(record)


@pytest.mark.parametrize("kind", KINDS)
def test_genuine_image_sent_packed_is_authentic(v: ModuleType, refused: RunRecord, kind: tuple[str, str]) -> None:
    assert judged(v, refused, kind, v.NEW["body"].data).verdict is Verdict.PASS


@pytest.mark.parametrize("kind", KINDS)
def test_foreign_image_sent_packed_fails(v: ModuleType, refused: RunRecord, kind: tuple[str, str]) -> None:
    forged = v.NEW["body"].data[:-1] + bytes((v.NEW["body"].data[-1] ^ 1,))
    found = judged(v, refused, kind, forged)
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")


@pytest.mark.parametrize("kind", KINDS)
def test_rubbish_in_a_packed_download_fails(v: ModuleType, refused: RunRecord, kind: tuple[str, str]) -> None:
    found = judged(v, refused, kind, v.NEW["body"].data, stream=v.payload("rubbish", 500))
    assert found.verdict is Verdict.FAIL


def test_packing_that_the_bench_does_not_know_is_not_observed(v: ModuleType, refused: RunRecord) -> None:
    found = judged(v, refused, ("lzma", "aes_ctr"), v.NEW["body"].data, data_format=0x22)
    assert found.verdict is Verdict.NOT_OBSERVED


# The end of a stream ------------------------------------------------------------------------------------------------


def roomy(kind: tuple[str, str]) -> DownloadPacking:
    """A packing with room for the dictionary that lzma takes by default."""
    with_room: DownloadPacking = replace(packing(*kind), dictionary_bytes=8 << 20)
    return with_room


def cbc(data: bytes, padding: bytes) -> bytes:
    return VECTOR + Cipher(AES(KEY), CBC(VECTOR)).encryptor().update(data + padding)


@pytest.mark.parametrize(
    ("size", "padding", "right"),
    [
        (16, bytes((16,)) * 16, True), (31, b"\x01", True), (17, bytes((15,)) * 15, True), (16, b"", True),
        (16, bytes((17,)) * 32, False), (16, bytes(16), False), (16, bytes(15) + b"\x01", False),
        (16, bytes((16,)) * 32, False), (17, b"\x0e" + bytes((15,)) * 14, False),
    ],
)  # fmt: skip
def test_cbc_is_padded_by_as_many_bytes_as_each_of_them_says(size: int, padding: bytes, right: bool) -> None:
    reader = StreamReader(packing("none", "aes_cbc"), size)
    data = bytes(range(100, 100 + size))
    if right:
        assert reader.read(cbc(data, padding)) == data
    else:
        with pytest.raises(Unreadable, match="behind the end"):
            reader.read(cbc(data, padding))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [1, 7, 15, 16, 17])
def test_a_stream_may_come_in_pieces_of_any_size(kind: tuple[str, str], step: int) -> None:
    data = bytes(range(200))
    stream = pack(kind, data)
    reader = StreamReader(roomy(kind), len(data))
    assert b"".join(reader.read(stream[at : at + step]) for at in range(0, len(stream), step)) == data


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind[0] == "lzma"])
def test_one_byte_more_than_announced_is_too_much(kind: tuple[str, str]) -> None:
    stream = pack(kind, bytes(range(200)))
    assert StreamReader(roomy(kind), 200).read(stream) == bytes(range(200))
    with pytest.raises(Unreadable, match="more than the 199 bytes"):
        StreamReader(roomy(kind), 199).read(stream)


@pytest.mark.parametrize(("kind", "tail"), [(("lzma", "none"), b"\x01"), (("lzma", "aes_ctr"), b"\x01")])
def test_behind_a_stream_without_padding_nothing_may_stand(kind: tuple[str, str], tail: bytes) -> None:
    stream, data = pack(kind, bytes(range(200))), bytes(range(200))
    reader = StreamReader(roomy(kind), 200)
    assert reader.read(stream) == data
    with pytest.raises(Unreadable, match="1 bytes behind the end"):
        reader.read(tail)
    with pytest.raises(Unreadable, match="1 bytes behind the end"):
        StreamReader(roomy(kind), 200).read(stream + tail)


@pytest.mark.parametrize(("dictionary", "readable"), [(64 << 10, True), (512 << 10, True), (3 << 19, False)])
def test_a_stream_that_needs_far_more_memory_than_its_dictionary_is_unreadable(dictionary: int, readable: bool) -> None:
    """A MiB more than the 64 KiB that the file grants is room enough for the reader itself."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": dictionary}]
    stream = lzma.compress(bytes(range(200)), format=lzma.FORMAT_XZ, filters=filters)
    reader = StreamReader(packing("lzma", "none"), 200)
    if readable:
        assert reader.read(stream) == bytes(range(200))
    else:
        with pytest.raises(Unreadable, match="Memory"):
            reader.read(stream)
