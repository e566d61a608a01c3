"""The zip of a package as the judge reads it: from its first byte to its last, by one table of what it may be.

A zip reader usually begins at the end and follows offsets, so that two readers may see different members in the same
bytes. A package is one only where nothing can be seen twice: members stored one behind the other from the first byte
on, then the directory that follows from them, then the end record, and no byte more (docs/contracts.md; clauses of
APPNOTE.TXT 6.3, 4.3).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

PACKAGE_LIMIT_BYTES = 64 * 1024 * 1024
MEMBERS_LIMIT = 66
"""Manifest, signature and 64 images."""
MANIFEST_LIMIT_BYTES = 64 * 1024
SIGNATURE_BYTES = 64
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
IMAGE = re.compile(r"images/[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.bin")

_VERSION, _UNIX, _STORED, _MODE = 20, 3, 0, 0o644 << 16
_TIME, _DATE = 0, (2030 - 1980) << 9 | 1 << 5 | 1
"""2030-01-01 00:00:00 in MS-DOS form: equal content gives equal bytes."""
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s2B5H3L5H2L")
_END = struct.Struct("<4s4H2LH")


class NotAPackageZip(ValueError):
    """These bytes are no zip that a package may be; the text says why."""


class _Member(NamedTuple):
    name: bytes
    data: bytes
    offset: int
    crc: int

    def directory_entry(self) -> bytes:
        """Return the only entry that the directory may have for it."""
        size = len(self.data)
        return _CENTRAL.pack(
            b"PK\x01\x02", _VERSION, _UNIX, _VERSION, 0, _STORED, _TIME, _DATE, self.crc, size, size, len(self.name),
            0, 0, 0, 0, _MODE, self.offset,
        ) + self.name  # fmt: skip


def unzip(raw: bytes) -> dict[str, bytes]:
    """Return the members of a package's zip by their names; never raises anything but `NotAPackageZip`."""
    if len(raw) > PACKAGE_LIMIT_BYTES:
        raise NotAPackageZip(f"{len(raw)} bytes, more than the limit of {PACKAGE_LIMIT_BYTES}")
    members = list(_members(raw))
    names = [member.name.decode("ascii", "replace") for member in members]
    if len(names) > MEMBERS_LIMIT or len(names) != len(dict.fromkeys(names)):
        raise NotAPackageZip(f"{len(names)} members, some of the same name or too many")
    begin = members[-1].offset + _LOCAL.size + len(members[-1].name) + len(members[-1].data) if members else 0
    directory = b"".join(member.directory_entry() for member in members)
    count = len(members)
    end = _END.pack(b"PK\x05\x06", 0, 0, count, count, len(directory), begin, 0)
    if raw[begin:] != directory + end:
        raise NotAPackageZip("not a readable zip: its directory is not that of its members, or bytes stand around them")
    _check_names(names)
    found = dict(zip(names, (member.data for member in members), strict=True))
    if len(found[SIGNATURE]) != SIGNATURE_BYTES or len(found[MANIFEST]) > MANIFEST_LIMIT_BYTES:
        raise NotAPackageZip(f"{SIGNATURE} or {MANIFEST} has a size that it cannot have")
    return found


def _members(raw: bytes) -> Iterator[_Member]:
    """Yield the members that stand one behind the other from the first byte on."""
    at = 0
    while raw[at : at + 4] == b"PK\x03\x04" and len(raw) - at >= _LOCAL.size:
        _, *form, crc, packed, size, name_bytes, extra_bytes = _LOCAL.unpack_from(raw, at)
        if form != [_VERSION, 0, _STORED, _TIME, _DATE] or packed != size or extra_bytes:
            raise NotAPackageZip("a member is packed, encrypted or dated in a way that packages do not use")
        begin = at + _LOCAL.size + name_bytes
        name, data = raw[begin - name_bytes : begin], raw[begin : begin + size]
        if len(data) < size or zlib.crc32(data) != crc:
            raise NotAPackageZip(f"not a readable zip: {name[:80]!r} is cut off or damaged")
        yield _Member(name, data, at, crc)
        at = begin + size


def _check_names(names: list[str]) -> None:
    for name in (MANIFEST, SIGNATURE):
        if name not in names:
            raise NotAPackageZip(f"{name} is missing")
    if names[:2] != [MANIFEST, SIGNATURE]:
        raise NotAPackageZip(f"it does not begin with {MANIFEST} and {SIGNATURE}")
    foreign = [name for name in names[2:] if IMAGE.fullmatch(name) is None]
    if foreign:
        raise NotAPackageZip(f"{foreign[0][:80]!r} does not belong into a package")
