"""The one place where both header decoders meet: what one writes or refuses, the other reads or refuses."""

from __future__ import annotations

from dataclasses import asdict

from hypothesis import example, given
from hypothesis import strategies as st

from bench.oracle.decode_image import header_or_none
from bench.wire.image_header import HeaderError, ImageHeader

TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=32)
NUMBER = st.integers(0, 2**32 - 1)


def theirs_or_none(raw: bytes) -> dict[str, object] | None:
    try:
        header = asdict(ImageHeader.decode(raw))
    except HeaderError:
        return None
    del header["signature"]
    return header | {"sha256": header["sha256"].hex()}


def ours_or_none(raw: bytes) -> dict[str, object] | None:
    header = header_or_none(raw)
    return None if header is None else asdict(header)


@given(TEXT, TEXT, TEXT, NUMBER, NUMBER, NUMBER, st.binary(min_size=32, max_size=32))
def test_both_read_the_same_from_any_header(
    hardware: str, software: str, version: str, counter: int, load: int, length: int, digest: bytes
) -> None:
    raw = ImageHeader(
        hardware_id=hardware, software_id=software, version=version, release_counter=counter, load_address=load,
        length=length, sha256=digest,
    ).encode()  # fmt: skip
    assert ours_or_none(raw) == theirs_or_none(raw)
    assert ours_or_none(raw) is not None


VALID = ImageHeader(
    hardware_id="H", software_id="S", version="1", release_counter=1, load_address=0, length=1, sha256=bytes(32)
).encode()


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=3))
@example([(8, 0x1F)])
@example([(8, 0x7F)])
@example([(9, 0x00), (10, 0x41)])
@example([(116, 1)])
@example([(8, 0)])
def test_both_refuse_the_same_changed_headers(changes: list[tuple[int, int]]) -> None:
    raw = bytearray(VALID)
    for at, value in changes:
        raw[at] = value
    assert ours_or_none(bytes(raw)) == theirs_or_none(bytes(raw))
