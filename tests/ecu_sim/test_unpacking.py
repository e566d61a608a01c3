"""The bootloader's unpacking of encrypted and compressed downloads: as a stream, bounded, refusing what is wrong."""

from __future__ import annotations

import lzma
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.flasher.packing import packed
from bench.wire.download_format import DownloadFormat
from ecu_sim.uds.unpacking import PIECE_BYTES, Unpacker, UnpackError

Drive = Callable[..., Any]
KINDS = [(c, e) for c in ("none", "lzma") for e in ("none", "aes_ctr", "aes_cbc")]


def form(compression: str, encryption: str, **more: Any) -> DownloadFormat:
    values = {"compression": compression, "encryption": encryption, **more}
    values["compression_nibble"] = 0 if compression == "none" else 1
    values["encryption_nibble"] = 0 if encryption == "none" else 2
    if encryption != "none":
        values["key_name"] = "test"
    return DownloadFormat.model_validate(values)


def unpacked(stream: bytes, kind: DownloadFormat, cuts: list[int] | None = None) -> bytes:
    unpacker = Unpacker(kind)
    borders = [0, *sorted(cut % (len(stream) + 1) for cut in cuts or []), len(stream)]
    parts = [stream[a:b] for a, b in pairwise(borders)]
    found = b"".join(piece for part in parts for piece in unpacker.feed(part))
    return found + b"".join(unpacker.finish())


@given(
    st.sampled_from(KINDS),
    st.one_of(st.binary(min_size=1, max_size=600), st.integers(1, 50_000).map(bytes)),
    st.lists(st.integers(0, 60_000), max_size=6),
    st.integers(0, 2**32 - 1),
)
def test_whatever_is_packed_comes_out_again_however_it_is_cut(
    kind: tuple[str, str], data: bytes, cuts: list[int], address: int
) -> None:
    chosen = form(*kind)
    assert unpacked(packed(data, address, chosen), chosen, cuts) == data


@given(st.binary(max_size=300), st.sampled_from(KINDS))
def test_any_bytes_are_unpacked_or_refused_and_nothing_else(stream: bytes, kind: tuple[str, str]) -> None:
    with suppress(UnpackError):
        unpacked(stream, form(*kind))


def test_vector_differs_by_address_and_content_and_repeats_for_the_same() -> None:
    chosen = form("none", "aes_ctr")
    first = packed(b"a" * 64, 0, chosen)
    assert first == packed(b"a" * 64, 0, chosen)
    others = [packed(b"a" * 64, 256, chosen), packed(b"b" * 64, 0, chosen)]
    assert len({stream[:16] for stream in (first, *others)}) == 3


@pytest.mark.parametrize("kind", [k for k in KINDS if k != ("none", "none")])
def test_packed_stream_shows_nothing_of_the_image(kind: tuple[str, str]) -> None:
    data = b"plain text of an image " * 40
    assert data[:32] not in packed(data, 0, form(*kind))


@pytest.mark.parametrize(
    ("kind", "change", "told"),
    [
        (("lzma", "none"), lambda s: s[:-1], "not complete"),
        (("lzma", "none"), lambda s: s + b"x", "follow the end"),
        (("lzma", "none"), lambda s: b"no stream at all", "format"),
        (("lzma", "none"), lambda s: s[:40] + bytes((s[40] ^ 1,)) + s[41:], "[Cc]orrupt"),
        (("none", "aes_cbc"), lambda s: s[:-1], "no multiple"),
        (("none", "aes_cbc"), lambda s: s[:16], "no multiple"),
        (("none", "aes_cbc"), lambda s: s[:-17] + bytes((s[-17] ^ 1,)) + s[-16:], "padding"),
        (("none", "aes_ctr"), lambda s: s[:15], "vector never came"),
        (("lzma", "aes_ctr"), lambda s: s[:30] + bytes((s[30] ^ 1,)) + s[31:], "[Cc]orrupt|format|options"),
    ],
)
def test_stream_that_was_changed_on_its_way_is_refused(
    kind: tuple[str, str], change: Callable[[bytes], bytes], told: str
) -> None:
    chosen = form(*kind)
    stream = packed(bytes(range(256)) * 8, 0, chosen)
    with pytest.raises(UnpackError, match=told):
        unpacked(change(stream), chosen)


def test_bomb_comes_out_in_small_pieces_that_the_caller_may_stop() -> None:
    bomb = packed(bytes(50_000_000), 0, form("lzma", "none"))
    assert len(bomb) < 10_000
    pieces = Unpacker(form("lzma", "none")).feed(bomb)
    assert [len(next(pieces)) <= PIECE_BYTES for _ in range(3)] == [True] * 3


def test_dictionary_larger_than_agreed_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 8 << 20}]
    stream = lzma.compress(bytes(1000), format=lzma.FORMAT_XZ, filters=filters)
    with pytest.raises(UnpackError, match=r"[Mm]emory"):
        unpacked(stream, form("lzma", "none", lzma_dictionary_bytes=65_536))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"compression": "lzma"}, "compression_nibble is 1 to 15"),
        ({"compression_nibble": 3}, "compression_nibble is 0"),
        ({"encryption": "aes_ctr", "encryption_nibble": 1}, "key_name is missing"),
        ({"key_name": "x"}, "key_name has no use"),
        ({"encryption": "rot13"}, "aes_ctr"),
        ({"compression": "lzma", "compression_nibble": 16}, "less than or equal to 15"),
    ],
)
def test_format_with_a_gap_is_refused_with_what_is_missing(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        DownloadFormat.model_validate(values)


# Through UDS ----------------------------------------------------------------------------------------

TABLE = '[download]\ncompression = "lzma"\ncompression_nibble = 1\nencryption = "aes_cbc"\n'
TABLE += 'encryption_nibble = 2\nkey_name = "test"\n\n[security]'
PACKED = form("lzma", "aes_cbc")


@pytest.fixture
def root(changed_ecus: Callable[[str, str], Path]) -> Path:
    """A body controller whose images come packed."""
    return changed_ecus("[security]", TABLE)


async def begun(car: Any, size_bytes: int, data_format: int = 0x12) -> bytes | None:
    await car.programming()
    await car.good(b"\x31\x01\xff\x00\x44" + bytes(4) + (40_000).to_bytes(4, "big"), 60_000)
    answer: bytes | None = await car.ask(bytes((0x34, data_format, 0x44)) + bytes(4) + size_bytes.to_bytes(4, "big"))
    return answer


@pytest.mark.parametrize("data_format", [0x00, 0x10, 0x02, 0x21, 0x13])
def test_other_data_format_than_the_ecus_is_out_of_range(drive: Drive, root: Path, data_format: int) -> None:
    async def story(car: Any) -> None:
        assert await begun(car, 100, data_format) == b"\x7f\x34\x31"

    drive(story, root=root)


def test_packed_image_is_programmed_unpacked(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        data = car.image(length=9_000).data + bytes(9_000)
        assert (await begun(car, len(data)) or b"")[:1] == b"\x74"
        stream = packed(data, 0, PACKED)
        assert len(stream) < 10_000
        for n, at in enumerate(range(0, len(stream), 1_000), 1):
            await car.good(bytes((0x36, n)) + stream[at : at + 1_000])
            await car.good(bytes((0x36, n)) + stream[at : at + 1_000])
        await car.good("37")
        assert car.memory.flash.read("image:A", 0, len(data)) == data

    drive(story, root=root)


def test_bomb_is_refused_as_soon_as_more_comes_out_than_was_announced(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        stream = packed(bytes(20_000_000), 0, PACKED)
        assert (await begun(car, 8_192) or b"")[:1] == b"\x74"
        programs = car.memory.flash.programs
        assert await car.ask(b"\x36\x01" + stream[:3_000], 10_000) == b"\x7f\x36\x71"
        assert car.memory.flash.programs - programs <= 2
        assert await car.ask(b"\x36\x02" + stream[3_000:3_100]) == b"\x7f\x36\x24", "the download is over"

    drive(story, root=root)


def test_rubbish_is_refused_and_ends_the_download(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        assert (await begun(car, 8_192) or b"")[:1] == b"\x74"
        assert await car.ask(b"\x36\x01" + bytes(range(200))) == b"\x7f\x36\x31"
        assert await car.ask(b"\x37") == b"\x7f\x37\x24"

    drive(story, root=root)


def test_exit_before_the_stream_is_complete_is_refused(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        data = car.image(length=4_000).data
        stream = packed(data, 0, PACKED)
        assert (await begun(car, len(data)) or b"")[:1] == b"\x74"
        await car.good(b"\x36\x01" + stream[:1_600])
        assert await car.ask(b"\x37") == b"\x7f\x37\x31"

    drive(story, root=root)


def test_less_than_announced_is_refused_at_the_exit(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        data = car.image(length=2_000).data
        assert (await begun(car, len(data) + 1) or b"")[:1] == b"\x74"
        await car.good(b"\x36\x01" + packed(data, 0, PACKED))
        assert await car.ask(b"\x37") == b"\x7f\x37\x24"

    drive(story, root=root)


def test_header_is_always_plain(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        await begun(car, 100)
        slot = bytes.fromhex("00F0000000000100")
        assert await car.ask(b"\x34\x12\x44" + slot) == b"\x7f\x34\x31"
        await car.good(b"\x34\x00\x44" + slot)

    drive(story, root=root)
