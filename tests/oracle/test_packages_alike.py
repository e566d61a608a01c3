"""Judge and agent read packages with code of their own; what one refuses the other refuses too."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.core.records import RunRecord
from bench.oracle.decode_zip import MEMBERS_LIMIT, NotAPackageZip, unzip
from bench.wire.package import PackageError, read_package
from tests.oracle.oracle_vectors import PACKAGE, examine_package

Info = Callable[[zipfile.ZipInfo], None]
DIRECTORY = PACKAGE.index(b"PK\x01\x02")
END = PACKAGE.index(b"PK\x05\x06")
SECOND = PACKAGE.index(b"PK\x03\x04", 4)


def members() -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(PACKAGE)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def zipped(
    held: Sequence[tuple[str, bytes]], change: Info = lambda info: None, *, comment: bytes = b"",
    method: int = zipfile.ZIP_STORED,
) -> bytes:  # fmt: skip
    """Zip as the writer does, but for a change of every member's entry."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in held:
            info = zipfile.ZipInfo(name, (2030, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr, info.compress_type = 3, 0o644 << 16, method
            change(info)
            archive.writestr(info, data)
        archive.comment = comment
    return out.getvalue()


def setting(**changes: object) -> bytes:
    def change(info: zipfile.ZipInfo) -> None:
        for name, value in changes.items():
            setattr(info, name, value)

    return zipped(members(), change)


def moved(raw: bytes, at: int, junk: bytes) -> bytes:
    """Put junk in front of the member, or the directory, at an offset, and let every offset behind it follow."""
    found = bytearray(raw[:at] + junk + raw[at:])
    end = found.rindex(b"PK\x05\x06")
    (directory,) = struct.unpack_from("<L", found, end + 16)
    struct.pack_into("<L", found, end + 16, directory + len(junk))
    entry = directory + len(junk)
    while found[entry : entry + 4] == b"PK\x01\x02":
        (offset,) = struct.unpack_from("<L", found, entry + 42)
        struct.pack_into("<L", found, entry + 42, offset + len(junk) if offset >= at else offset)
        entry += 46 + sum(struct.unpack_from("<3H", found, entry + 28))
    return bytes(found)


def flagged(bit: int) -> bytes:
    """Set a flag of the first member, in its own header and in the directory."""
    raw = bytearray(PACKAGE)
    raw[6] |= bit
    raw[DIRECTORY + 8] |= bit
    return bytes(raw)


def described() -> bytes:
    """Data descriptors: sizes stand behind the data, since the stream could not be rewound."""

    class Stream(io.RawIOBase):
        def __init__(self) -> None:
            self.held = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:  # whatever buffer zipfile writes
            written = bytes(data)
            self.held += written
            return len(written)

    out = Stream()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members():
            archive.writestr(zipfile.ZipInfo(name, (2030, 1, 1, 0, 0, 0)), data)
    return out.held


def zip64() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members():
            info = zipfile.ZipInfo(name, (2030, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=True) as member:
                member.write(data)
    return out.getvalue()


def renamed(old: str, new: str) -> bytes:
    return zipped([(name.replace(old, new), data) for name, data in members()])


REFUSED = {
    "nothing": b"",
    "an empty zip": zipped([]),
    "cut off": PACKAGE[:-1],
    "junk before, offsets as they were": b"junk" + PACKAGE,
    "junk before": moved(PACKAGE, 0, b"junk"),
    "junk between the members": moved(PACKAGE, SECOND, b"junk"),
    "junk before the directory": moved(PACKAGE, DIRECTORY, b"junk"),
    "junk before the end record": PACKAGE[:END] + b"junk" + PACKAGE[END:],
    "junk behind": PACKAGE + b"junk",
    "another package before": moved(PACKAGE, 0, PACKAGE),
    "another package behind": PACKAGE + PACKAGE,
    "a comment": zipped(members(), comment=b"junk"),
    "a comment of a member": setting(comment=b"junk"),
    "an extra field": setting(extra=b"\x99\x99\x00\x00"),
    "a member twice": zipped([*members(), ("images/bodz.bin", b"")]).replace(b"bodz", b"body"),
    "compressed": zipped(members(), method=zipfile.ZIP_DEFLATED),
    "encrypted": flagged(0x01),
    "data descriptors": described(),
    "only the flag of a data descriptor": flagged(0x08),
    "zip64": zip64(),
    "another date": setting(date_time=(2029, 1, 1, 0, 0, 0)),
    "another mode": setting(external_attr=0o755 << 16),
    "another system": setting(create_system=0),
    "another version": setting(extract_version=45),
    "another order": zipped([members()[1], members()[0], *members()[2:]]),
    "images first": zipped([*members()[2:], *members()[:2]]),
    "a foreign name": renamed("images/body", "other/body"),
    "a path upwards": renamed("images/body", "images/../body"),
    "a name beyond ASCII": renamed("images/body", "images/bödy"),
    "a foreign member": zipped([*members(), ("readme.txt", b"")]),
    "a longer signature": zipped([(n, d + b"\x00" if n == "manifest.sig" else d) for n, d in members()]),
    "a manifest beyond its limit": zipped([(n, d.ljust(1 << 17) if n == "manifest.json" else d) for n, d in members()]),
    "too many members": zipped([*members()[:2], *((f"images/e{n}.bin", b"") for n in range(MEMBERS_LIMIT - 1))]),
    "a wrong checksum": PACKAGE[:14] + b"\x00\x00\x00\x00" + PACKAGE[18:],
}


@pytest.mark.parametrize("what", REFUSED)
def test_both_refuse_what_a_package_may_not_be(v: ModuleType, healthy: RunRecord, what: str) -> None:
    with pytest.raises(PackageError):
        read_package(REFUSED[what])
    found = examine_package(REFUSED[what], healthy)
    assert [flaw.kind for flaw in found.flaws] == ["corrupt"]


@pytest.mark.parametrize(
    "raw",
    [
        PACKAGE,
        zipped(members()[:2]),
        zipped([*members()[:2], *reversed(members()[2:])]),
        zipped([*members()[:2], *((f"images/e{n}.bin", b"") for n in range(MEMBERS_LIMIT - 2))]),
        zipped([(n, d.ljust(1 << 16) if n == "manifest.json" else d) for n, d in members()]),
    ],
    ids=["genuine", "no image", "images in another order", "as many as may be", "a manifest at its limit"],
)
def test_both_read_what_a_package_may_be(raw: bytes) -> None:
    assert agents(raw) == judges(raw) is not None


def agents(raw: bytes) -> dict[str, bytes] | None:
    try:
        found = read_package(raw)
    except PackageError:
        return None
    images = {f"images/{ecu}.bin": data for ecu, data in found.images.items()}
    return {"manifest.json": found.manifest, "manifest.sig": found.signature} | images


def judges(raw: bytes) -> dict[str, bytes] | None:
    try:
        return unzip(raw)
    except NotAPackageZip:
        return None


PLACES = sorted({*range(40), *range(SECOND - 4, SECOND + 40), *range(DIRECTORY - 8, len(PACKAGE))})


@given(st.data())
def test_any_damage_is_read_or_refused_alike(data: st.DataObject) -> None:
    """Damage where it counts: headers, directory, end record, and what stands between them."""
    raw = bytearray(PACKAGE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.sampled_from(PLACES))
        kind = data.draw(st.sampled_from(["set", "insert", "delete"]))
        if kind == "set" and at < len(raw):
            raw[at] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            raw[at:at] = data.draw(st.binary(min_size=1, max_size=8))
        else:
            del raw[at : at + data.draw(st.integers(1, 8))]
    assert agents(bytes(raw)) == judges(bytes(raw))


@given(st.binary(max_size=80))
@example(b"PK\x05\x06" + bytes(18))
@example(b"PK\x03\x04" + b"\xff" * 26)
def test_any_bytes_are_read_or_refused_alike(raw: bytes) -> None:
    assert agents(raw) == judges(raw)


NAMES = st.sampled_from(
    [
        "manifest.json",
        "manifest.sig",
        "images/a.bin",
        "images/.bin",
        "images/b.bin",
        "a",
        "images/A-._9.bin",
        "images/a/b.bin",
        "images/a\n.bin",
    ]
)


@given(st.lists(st.tuples(NAMES, st.sampled_from([b"", b"{}", bytes(64)])), max_size=5, unique_by=lambda held: held[0]))
def test_any_members_are_read_or_refused_alike(held: list[tuple[str, bytes]]) -> None:
    assert agents(zipped(held)) == judges(zipped(held))
