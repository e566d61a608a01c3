from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.wire import package as wire
from bench.wire.package import Manifest, PackageError, describe_image, read_package, write_package

IDS = st.text("abcXYZ019._-", min_size=1, max_size=12).filter(wire.is_identifier)
TEXTS = st.text(max_size=12).filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text))
SIGNATURE = bytes(64)


def entry(ecu: str = "body", file: bytes = b"file") -> wire.ManifestImage:
    return describe_image(ecu, "HW", "SW", "1.0", 1, file)


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


@given(IDS, st.dictionaries(IDS, st.tuples(TEXTS, st.integers(0, 2**32 - 1)), min_size=1, max_size=4))
def test_manifest_written_and_read_is_the_same(package_id: str, ecus: dict[str, tuple[str, int]]) -> None:
    images = tuple(describe_image(ecu, text, "SW", text, counter, b"x") for ecu, (text, counter) in ecus.items())
    manifest = Manifest(package_id, images)
    assert Manifest.decode(manifest.encode()) == manifest


def test_manifest_has_the_members_of_the_contract() -> None:
    body = json.loads(Manifest("p", (entry(),)).encode())
    assert sorted(body) == ["images", "package_id", "schema"]
    assert sorted(body["images"][0]) == [
        "ecu", "hardware_id", "length", "release_counter", "sha256", "software_id", "version",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 2}, "schema 2, this program reads 1"),
        ({"package_id": "../p"}, "is no identifier"),
        ({"images": []}, "0 images"),
        ({"extra": 1}, "unknown member 'extra'"),
        ({"images": [{"ecu": "body"}]}, r"images\[0\] lacks hardware_id"),
        ({"package_id": 7}, "expected a string"),
    ],
)
def test_manifest_with_a_mistake_is_refused(change: dict[str, Any], reason: str) -> None:
    body = json.loads(Manifest("p", (entry(),)).encode()) | change
    with pytest.raises(PackageError, match=reason):
        Manifest.decode(json.dumps(body).encode())


def test_manifest_with_an_ecu_twice_is_refused() -> None:
    with pytest.raises(PackageError, match="twice"):
        Manifest("p", (entry(), entry()))


@pytest.mark.parametrize(
    ("field", "value"), [("ecu", "a/b"), ("release_counter", -1), ("length", 0), ("sha256", "A" * 64)]
)
def test_manifest_image_with_an_impossible_value_is_refused(field: str, value: object) -> None:
    values = {name: getattr(entry(), name) for name in wire.ManifestImage.__slots__} | {field: value}
    with pytest.raises(PackageError):
        wire.ManifestImage(**values)


@given(st.dictionaries(IDS, st.binary(max_size=300), max_size=4))
def test_package_written_and_read_is_the_same(images: dict[str, bytes]) -> None:
    raw = write_package(b"{}", SIGNATURE, list(images.items()))
    assert raw == write_package(b"{}", SIGNATURE, list(images.items()))
    files = read_package(raw)
    assert (files.manifest, files.signature, dict(files.images)) == (b"{}", SIGNATURE, images)


def test_package_members_carry_the_fixed_date() -> None:
    raw = write_package(b"{}", SIGNATURE, [("body", b"x")])
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert [info.date_time for info in archive.infolist()] == [(2030, 1, 1, 0, 0, 0)] * 3


BASE = [("manifest.json", b"{}"), ("manifest.sig", SIGNATURE)]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (BASE[:1], "begins with"),
        (list(reversed(BASE)), "begins with"),
        ([*BASE, ("images/../../etc/x.bin", b"")], "does not belong"),
        ([*BASE, ("images/a.bin", b""), ("images/a.bin", b"")], "twice"),
        ([*BASE, ("readme.txt", b"")], "does not belong"),
        ([("manifest.json", b"{}"), ("manifest.sig", b"short")], "has 5 bytes, expected 64"),
        ([("manifest.json", bytes(70_000)), ("manifest.sig", SIGNATURE)], "at most 65536"),
        ([*BASE, *((f"images/e{n}.bin", b"") for n in range(65))], "67 members"),
    ],
)
def test_package_with_foreign_members_is_refused(members: list[tuple[str, bytes]], reason: str) -> None:
    with pytest.raises(PackageError, match=reason):
        read_package(zipped(members))


def test_package_that_inflates_is_refused_before_it_is_read() -> None:
    bomb = zipped([*BASE, ("images/a.bin", bytes(10_000_000))], zipfile.ZIP_DEFLATED)
    assert len(bomb) < 20_000
    with pytest.raises(PackageError, match="compressed"):
        read_package(bomb)


def test_package_whose_members_overlap_is_refused() -> None:
    raw = bytearray(zipped([*BASE, ("images/a.bin", bytes(5000)), ("images/b.bin", bytes(5000))]))
    first = raw.find(b"PK\x01\x02")
    records = raw[first:]
    for name in (b"manifest.json", b"manifest.sig", b"images/b.bin"):
        at = records.find(name) - 46
        records[at + 20 : at + 28] = (5000).to_bytes(4, "little") * 2
    with pytest.raises(PackageError, match="larger than the package"):
        read_package(bytes(raw[:first] + records))


def test_package_over_the_size_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = write_package(b"{}", SIGNATURE, [("body", bytes(1000))])
    monkeypatch.setattr(wire, "MAX_PACKAGE_BYTES", 1000)
    with pytest.raises(PackageError, match="at most 1000"):
        read_package(raw)


@settings(max_examples=300)
@given(st.data())
def test_package_damaged_anywhere_is_refused(data: st.DataObject) -> None:
    genuine = write_package(b"{}", SIGNATURE, [("body", b"image of body"), ("gateway", b"image")])
    raw = bytearray(genuine)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    if raw == genuine:
        return
    try:
        files = read_package(bytes(raw))
    except PackageError:
        return
    assert write_package(files.manifest, files.signature, list(files.images.items())) == raw


def with_comment(raw: bytes) -> bytes:
    out = io.BytesIO(raw)
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = b"junk"
    return out.getvalue()


GENUINE = write_package(b"{}", SIGNATURE, [("body", b"x")])


@pytest.mark.parametrize(
    "raw",
    [b"junk" + GENUINE, GENUINE + b"junk", with_comment(GENUINE), zipped([*BASE, ("images/body.bin", b"x")])],
    ids=["junk before", "junk behind", "comment", "another date"],
)
def test_package_that_the_writer_would_not_have_written_is_refused(raw: bytes) -> None:
    with pytest.raises(PackageError, match=r"readable zip|not the bytes"):
        read_package(raw)


@given(st.binary(max_size=200))
def test_package_of_any_bytes_is_refused(raw: bytes) -> None:
    with pytest.raises(PackageError):
        read_package(raw)
