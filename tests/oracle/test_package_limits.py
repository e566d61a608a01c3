"""How many members a package may have, how large they may be, and how they may be packed."""

from __future__ import annotations

from types import ModuleType

import pytest

from bench.core.records import RunRecord
from tests.oracle.oracle_vectors import examine_package

MIB = 1 << 20


def declared(v: ModuleType, *sizes: int) -> bytes:
    """A zip whose directory declares these sizes of its members, whatever they have."""
    raw = bytearray(v.zipped({f"f{n}": b"x" for n in range(len(sizes))}))
    at = -1
    for size in sizes:
        at = raw.index(b"PK\x01\x02", at + 1)
        raw[at + 24 : at + 28] = size.to_bytes(4, "little")
    return bytes(raw)


@pytest.mark.parametrize(
    ("sizes", "beyond"),
    [
        ((64 * MIB,), False), ((64 * MIB + 1,), True), ((64 * MIB,) * 4, False), ((64 * MIB,) * 4 + (1,), True),
        ((1, 64 * MIB + 1), True),
    ],
)  # fmt: skip
def test_a_package_is_read_up_to_its_limits(
    v: ModuleType, healthy: RunRecord, sizes: tuple[int, ...], beyond: bool
) -> None:
    why = examine_package(declared(v, *sizes), healthy).why_not()
    assert ("more than the limit" in why) is beyond
    assert not beyond or f"unpacks to {sum(sizes)} bytes" in why


@pytest.mark.parametrize(("members", "why"), [(256, "manifest.json is missing"), (257, "257 members")])
def test_a_package_has_256_members_at_most(v: ModuleType, healthy: RunRecord, members: int, why: str) -> None:
    assert why in examine_package(v.zipped({f"f{n}": b"" for n in range(members)}), healthy).why_not()


def test_a_member_is_stored_or_deflated(v: ModuleType, healthy: RunRecord) -> None:
    raw = bytearray(v.zipped({"a": b"x"}))
    at = raw.index(b"PK\x01\x02")
    for method, why in ((12, "packed in a way"), (14, "packed in a way"), (8, "not a readable zip"), (0, "is missing")):
        raw[at + 10 : at + 12] = method.to_bytes(2, "little")
        raw[8:10] = method.to_bytes(2, "little")
        assert why in examine_package(bytes(raw), healthy).why_not()
