"""The zip of a package, from its first byte to its last: what is refused, by which clause, and what is still one."""

from __future__ import annotations

import struct
import zlib

import pytest

from bench.oracle.decode_zip import MANIFEST, SIGNATURE, NotAPackageZip, unzip
from tests.oracle.oracle_vectors import PACKAGE, zipped

LOCAL_BYTES = 30
IMAGE = "images/body.bin"
HELD = {MANIFEST: b"{}", SIGNATURE: bytes(64), IMAGE: b"\x01\x02\x03"}
OTHERWISE = "packed, encrypted or dated"
DIRECTORY = "its directory is not that of its members"


def local(name: bytes = b"a", size: int = 0, data: bytes = b"", **other: int) -> bytes:
    """Return a member's own header with its name and data (APPNOTE 4.3.7), as a package has it but for `other`."""
    date = (2030 - 1980) << 9 | 1 << 5 | 1
    plain = {"version": 20, "flags": 0, "method": 0, "time": 0, "date": date, "crc": zlib.crc32(data), "packed": size,
             "size": size, "name": len(name), "extra": 0}  # fmt: skip
    return struct.pack("<4s5H3L2H", b"PK\x03\x04", *{**plain, **other}.values()) + name + data


def refusal(raw: bytes) -> str:
    with pytest.raises(NotAPackageZip) as refused:
        unzip(raw)
    return str(refused.value)


def test_members_are_read_by_their_names() -> None:
    assert unzip(zipped(HELD)) == HELD
    assert list(unzip(PACKAGE))[:2] == [MANIFEST, SIGNATURE]


def test_zip_that_is_cut_off_anywhere_is_refused() -> None:
    for length in range(len(PACKAGE)):
        refusal(PACKAGE[:length])


def test_no_byte_may_follow_or_precede() -> None:
    assert DIRECTORY in refusal(zipped(HELD) + b"\x00")
    assert DIRECTORY in refusal(b"\x00" + zipped(HELD))


def test_zip_without_members_is_one_that_lacks_its_manifest() -> None:
    assert refusal(zipped({})) == "manifest.json is missing"
    assert refusal(zipped({MANIFEST: b"{}"})) == "manifest.sig is missing"


@pytest.mark.parametrize(
    "other",
    [{"version": 21}, {"version": 10}, {"flags": 1}, {"method": 8}, {"time": 1}, {"date": 0}, {"extra": 1},
     {"packed": 1}],
)  # fmt: skip
def test_each_field_of_a_members_header_is_what_it_may_be(other: dict[str, int]) -> None:
    assert OTHERWISE in refusal(local(b"", 0, b"", **other)), "a header of 30 bytes and nothing behind it"
    assert OTHERWISE in refusal(local(b"", 0, b"", **other) + bytes(9))


def test_header_is_read_where_all_of_its_bytes_are_there() -> None:
    assert len(local(b"", flags=1)) == LOCAL_BYTES
    assert DIRECTORY in refusal(local(b"", flags=1)[:-1])
    assert DIRECTORY in refusal(local(data=b"12", size=2) + local(b"", flags=1)[:-1])
    assert OTHERWISE in refusal(local(data=b"12", size=2) + local(b"", flags=1))


def test_data_is_as_long_as_announced_and_of_its_sum() -> None:
    assert DIRECTORY in refusal(local(size=5, data=b"12345")), "the member itself is well"
    assert "b'a' is cut off or damaged" in refusal(local(size=6, data=b"12345"))
    assert "b'a' is cut off or damaged" in refusal(local(size=5, data=b"12345", crc=1))
    raw = bytearray(zipped(HELD))
    raw[raw.index(b"\x01\x02\x03")] ^= 1
    assert "b'images/body.bin' is cut off or damaged" in refusal(bytes(raw))


@pytest.mark.parametrize(("length", "shown"), [(79, 79), (80, 80), (81, 80), (200, 80)])
def test_of_a_name_eighty_characters_are_shown(length: int, shown: int) -> None:
    name = "x" * length
    assert f" b'{'x' * shown}' is cut off" in refusal(local(name.encode(), 1))
    assert refusal(zipped({**HELD, name: b""})) == f"{'x' * shown!r} does not belong into a package"


def test_manifest_and_signature_come_first_and_in_this_order() -> None:
    first = f"it does not begin with {MANIFEST} and {SIGNATURE}"
    for order in ((SIGNATURE, MANIFEST, IMAGE), (MANIFEST, IMAGE, SIGNATURE), (IMAGE, MANIFEST, SIGNATURE)):
        assert refusal(zipped({name: HELD[name] for name in order})) == first
    assert list(unzip(zipped({name: HELD[name] for name in (MANIFEST, SIGNATURE)}))) == [MANIFEST, SIGNATURE]


@pytest.mark.parametrize("foreign", ["images/body.txt", "body.bin", "images/.bin", "images/a/b.bin"])
@pytest.mark.parametrize("place", [2, 3, 4])
def test_every_other_member_is_an_image(place: int, foreign: str) -> None:
    names = [MANIFEST, SIGNATURE, IMAGE, "images/gateway.bin"]
    names.insert(place, foreign)
    found = refusal(zipped({name: HELD.get(name, b"") for name in names}))
    assert found == f"{foreign!r} does not belong into a package"


def test_of_two_foreign_members_the_first_is_named() -> None:
    assert refusal(zipped({**HELD, "one": b"", "two": b""})) == "'one' does not belong into a package"


@pytest.mark.parametrize(
    ("name", "size", "possible"),
    [
        (SIGNATURE, 63, False), (SIGNATURE, 64, True), (SIGNATURE, 65, False),
        (MANIFEST, 0, True), (MANIFEST, 65_536, True), (MANIFEST, 65_537, False),
    ],
)  # fmt: skip
def test_manifest_and_signature_have_a_size_that_they_can_have(name: str, size: int, possible: bool) -> None:
    raw = zipped({**HELD, name: bytes(size)})
    if possible:
        assert len(unzip(raw)[name]) == size
    else:
        assert "a size that it cannot have" in refusal(raw)


def test_package_has_sixty_four_mebibytes_at_most() -> None:
    assert DIRECTORY in refusal(bytes(67_108_864))
    assert refusal(bytes(67_108_865)) == "67108865 bytes, more than the limit of 67108864"


@pytest.mark.parametrize("count", [64, 65])
def test_package_holds_sixty_four_images_at_most(count: int) -> None:
    raw = zipped({**{name: HELD[name] for name in (MANIFEST, SIGNATURE)},
                  **{f"images/e{n}.bin": b"" for n in range(count)}})  # fmt: skip
    if count == 64:
        assert len(unzip(raw)) == 66
    else:
        assert refusal(raw).startswith("67 members")
