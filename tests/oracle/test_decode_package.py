from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.records import RunRecord
from bench.oracle import decode_zip
from tests.oracle.oracle_vectors import examine_package, replace


def kinds(raw: bytes, record: RunRecord) -> list[str]:
    return list(dict.fromkeys(flaw.kind for flaw in examine_package(raw, record).flaws))


def test_genuine_package_gives_its_images(v: ModuleType, healthy: RunRecord) -> None:
    found = examine_package(v.PACKAGE, healthy)
    assert found.genuine
    assert [(i.ecu, i.header.version, i.data) for i in found.images] == [
        (ecu, "2.0.0", v.NEW[ecu].data) for ecu in ("body", "gateway")
    ]


def test_payload_changed_after_signing_is_corrupt(v: ModuleType, healthy: RunRecord) -> None:
    assert kinds(v.FORGED, healthy) == ["corrupt"]


def test_manifest_signed_by_another_key_is_refused_for_its_signature(v: ModuleType, healthy: RunRecord) -> None:
    assert kinds(v.package(v.FILES, signer="attacker"), healthy) == ["signature"]


def test_signature_bytes_changed_are_refused(v: ModuleType, healthy: RunRecord) -> None:
    def spoil(members: dict[str, bytes]) -> None:
        members["manifest.sig"] = bytes(64)

    assert kinds(v.package(v.FILES, change=spoil), healthy) == ["signature"]


def test_header_signed_by_another_key_is_refused_for_its_signature(v: ModuleType, healthy: RunRecord) -> None:
    data = v.payload("evil")
    files = {"body": v.header("body", "2.0.0", 2, data, signer="attacker") + data}
    assert kinds(v.package(files), healthy) == ["signature"]


def test_image_of_another_ecu_is_refused_for_its_hardware(v: ModuleType, healthy: RunRecord) -> None:
    assert kinds(v.package({"body": v.FILES["gateway"]}), healthy) == ["hardware"]


def test_hardware_id_of_the_manifest_alone_is_refused(v: ModuleType, healthy: RunRecord) -> None:
    entries = [v.entry("body", v.FILES["body"], hardware_id="OTHER")]
    assert kinds(v.package({"body": v.FILES["body"]}, entries), healthy) == ["hardware", "corrupt"]


def test_older_release_counter_is_a_rollback(v: ModuleType, healthy: RunRecord) -> None:
    data = v.payload("old")
    assert kinds(v.package({"body": v.header("body", "0.9", 0, data) + data}), healthy) == ["rollback"]
    same = v.package({"body": v.OLD["body"].header + v.OLD["body"].data})
    assert kinds(same, healthy) == []


def test_without_an_installed_reference_no_rollback_is_claimed(v: ModuleType, healthy: RunRecord) -> None:
    data = v.payload("old")
    raw = v.package({"body": v.header("body", "0.9", 0, data) + data})
    assert kinds(raw, replace(healthy, references=())) == []


def test_ecu_that_the_vehicle_lacks_is_refused(v: ModuleType, healthy: RunRecord) -> None:
    raw = v.package({"radio": v.FILES["body"]})
    assert kinds(raw, healthy) == ["unknown_ecu"]


def test_image_hash_of_the_header_is_checked_too(v: ModuleType, healthy: RunRecord) -> None:
    file = v.NEW["body"].header + v.payload("other")
    assert kinds(v.package({"body": file}), healthy) == ["corrupt"]


def without(name: str) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.__delitem__(name)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig", "images/body.bin"])
def test_missing_member_is_corrupt(v: ModuleType, healthy: RunRecord, name: str) -> None:
    assert kinds(v.package(v.FILES, change=without(name)), healthy) == ["corrupt"]


@pytest.mark.parametrize(
    "manifest",
    [b"{", b"[]", b'{"schema":2,"images":[{"ecu":"body"}]}', b'{"schema":1,"images":[]}', b'{"schema":1,"images":[1]}',
     b'{"schema":1,"images":[{"ecu":"body"},{"ecu":"body"}]}', b'{"schema":1,"images":[{"ecu":[]}]}', b"[" * 90_000,
     b"\xff"],
)  # fmt: skip
def test_manifest_without_sense_is_corrupt(v: ModuleType, healthy: RunRecord, manifest: bytes) -> None:
    members = {"manifest.json": manifest, "manifest.sig": v.key("package").sign(manifest)}
    assert kinds(v.zipped(members), healthy) == ["corrupt"]


def test_truncated_zip_is_corrupt(v: ModuleType, healthy: RunRecord) -> None:
    assert kinds(v.PACKAGE[:-40], healthy) == ["corrupt"]
    assert kinds(b"", healthy) == ["corrupt"]


def test_package_beyond_the_limits_is_corrupt(
    v: ModuleType, healthy: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = v.zipped({f"f{n}": b"" for n in range(decode_zip.MEMBERS_LIMIT + 1)})
    assert "too many" in examine_package(many, healthy).why_not()
    monkeypatch.setattr(decode_zip, "PACKAGE_LIMIT_BYTES", len(v.PACKAGE) - 1)
    assert "limit" in examine_package(v.PACKAGE, healthy).why_not()


def test_member_of_the_same_name_twice_is_corrupt(v: ModuleType, healthy: RunRecord) -> None:
    twice = v.zipped({"a": b"1", "b": b"2"}).replace(b"b", b"a")
    assert "same name" in examine_package(twice, healthy).why_not()


@given(st.lists(st.tuples(st.integers(0, 2679), st.integers(0, 255)), min_size=1, max_size=8))
def test_changed_bytes_never_raise(v: ModuleType, changes: list[tuple[int, int]]) -> None:
    raw = bytearray(v.PACKAGE)
    for at, value in changes:
        raw[at] = value
    found = examine_package(bytes(raw), v.healthy())
    for image in found.images if found.genuine else ():
        assert hashlib.sha256(image.data).hexdigest() == image.header.sha256


# Limits and single flaws ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("room", "beyond"), [(0, False), (-1, True)])
def test_a_package_has_so_many_bytes_at_most(
    v: ModuleType, healthy: RunRecord, monkeypatch: pytest.MonkeyPatch, room: int, beyond: bool
) -> None:
    monkeypatch.setattr(decode_zip, "PACKAGE_LIMIT_BYTES", len(v.PACKAGE) + room)
    found = examine_package(v.PACKAGE, healthy)
    assert found.genuine is not beyond
    assert not beyond or f"{len(v.PACKAGE)} bytes, more than the limit" in found.why_not()


@pytest.mark.parametrize(("members", "why"), [(66, "manifest.json is missing"), (67, "67 members")])
def test_a_package_has_manifest_signature_and_64_images_at_most(
    v: ModuleType, healthy: RunRecord, members: int, why: str
) -> None:
    assert why in examine_package(v.zipped({f"f{n}": b"" for n in range(members)}), healthy).why_not()


@pytest.mark.parametrize(("method", "why"), [(8, "packed, encrypted or dated"), (12, "packed"), (0, "is missing")])
def test_a_member_is_stored(v: ModuleType, healthy: RunRecord, method: int, why: str) -> None:
    raw = bytearray(v.zipped({"a": b"x"}))
    at = raw.index(b"PK\x01\x02")
    raw[at + 10 : at + 12] = raw[8:10] = method.to_bytes(2, "little")
    assert why in examine_package(bytes(raw), healthy).why_not()


@pytest.mark.parametrize(
    ("changes", "kind", "word"),
    [
        ({"length": 1}, "corrupt", "not the file that the manifest hashes"),
        ({"sha256": "00" * 32}, "corrupt", "not the file that the manifest hashes"),
        ({"software_id": "X"}, "corrupt", "differ in software_id"),
        ({"version": "9"}, "corrupt", "differ in version"),
        ({"release_counter": 9}, "corrupt", "differ in release_counter"),
        ({"version": "9", "release_counter": 9}, "corrupt", "differ in version, release_counter"),
        ({"hardware_id": "X"}, "hardware", "for hardware 'X', the ECU is 'BCM-HW-03'"),
    ],
)
def test_each_difference_between_entry_and_file_is_a_flaw_of_its_own(
    v: ModuleType, healthy: RunRecord, changes: dict[str, object], kind: str, word: str
) -> None:
    found = examine_package(
        v.package({"body": v.FILES["body"]}, [v.entry("body", v.FILES["body"], **changes)]), healthy
    )
    assert kind in [flaw.kind for flaw in found.flaws]
    assert word in found.why_not()
    assert not found.genuine


def test_length_and_hash_of_a_header_are_both_held_against_its_image(v: ModuleType, healthy: RunRecord) -> None:
    data = v.NEW["body"].data
    raw = bytearray(v.header("body", "2.0.0", 2, data))
    raw[112:116] = (len(data) - 1).to_bytes(4, "big")
    resigned = bytes(raw[:192]) + v.key("image").sign(bytes(raw[:192]))
    assert kinds(v.package({"body": resigned + data}), healthy) == ["corrupt"]


def test_a_header_that_cannot_be_read_is_corrupt_and_gives_no_image(v: ModuleType, healthy: RunRecord) -> None:
    for file in (b"", v.FILES["body"][:255], b"X" + v.FILES["body"][1:]):
        entry = {
            "ecu": "body",
            "length": len(file),
            "sha256": hashlib.sha256(file).hexdigest(),
            "hardware_id": "BCM-HW-03",
        }
        found = examine_package(v.package({"body": file}, [entry]), healthy)
        assert [flaw.kind for flaw in found.flaws] == ["corrupt"]
        assert "images/body.bin has no header" in found.why_not()
        assert found.images == ()


def test_counter_of_the_installed_image_that_can_be_read_counts(v: ModuleType, healthy: RunRecord) -> None:
    data = v.payload("old")
    raw = v.package({"body": v.header("body", "1.5", 4, data) + data})
    five = v.reference("body", "installed", "1.0.0", 5)
    assert kinds(raw, replace(healthy, references=(five,))) == ["rollback"]
    assert (
        "has release counter 4, installed is 5" in examine_package(raw, replace(healthy, references=(five,))).why_not()
    )
    assert kinds(raw, replace(healthy, references=(replace(five, header=b""),))) == []


def test_of_two_installed_images_the_first_counts(v: ModuleType, healthy: RunRecord) -> None:
    data = v.payload("old")
    raw = v.package({"body": v.header("body", "1.5", 4, data) + data})
    one, five = (v.reference("body", "installed", "1.0.0", counter) for counter in (1, 5))
    assert kinds(raw, replace(healthy, references=(five, one))) == ["rollback"]
    assert kinds(raw, replace(healthy, references=(one, five))) == []
    assert kinds(raw, replace(healthy, references=(replace(one, header=b""), five))) == []
