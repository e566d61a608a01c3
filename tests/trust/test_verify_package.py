from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.trust.keys import public_key, signing_key
from bench.trust.package import (
    EcuIdentity,
    PackageRefused,
    Refusal,
    VerifiedPackage,
    build_package,
    check_package,
    verify_package,
)
from bench.wire.image_header import HEADER_BYTES
from bench.wire.package import Manifest, PackageError, describe_image, read_package, write_package

Vehicle = tuple[EcuIdentity, ...]
ImageMaker = Callable[..., bytes]


def verified(package: bytes, vehicle: Vehicle) -> VerifiedPackage:
    return verify_package(package, public_key("package"), public_key("image"), vehicle)


def refused(package: bytes, vehicle: Vehicle) -> PackageRefused:
    with pytest.raises(PackageRefused) as caught:
        verified(package, vehicle)
    return caught.value


def signed(images: list[tuple[str, bytes]], manifest: bytes | None = None, key: str = "package") -> bytes:
    built = (
        read_package(build_package("pkg", images, signing_key("package"))).manifest if manifest is None else manifest
    )
    return write_package(built, signing_key(key).sign(built), images)


def test_package_of_its_maker_is_verified_with_every_image(
    package: bytes, vehicle: Vehicle, image_file: ImageMaker
) -> None:
    found = verified(package, vehicle)
    assert found.package_id == "pkg-2"
    assert [image.entry.ecu for image in found.images] == ["body", "gateway"]
    assert found.images[0].file == image_file()
    assert found.images[1].header.hardware_id == "GW-HW-02"
    assert check_package(package, public_key("package"), public_key("image")) == found


def test_package_built_twice_has_equal_bytes(package: bytes, image_file: ImageMaker) -> None:
    images = [("body", image_file()), ("gateway", image_file("GW-HW-02"))]
    assert build_package("pkg-2", images, signing_key("package")) == package


def test_package_signed_by_a_stranger_is_refused(vehicle: Vehicle, image_file: ImageMaker) -> None:
    refusal = refused(signed([("body", image_file())], key="stranger"), vehicle)
    assert (refusal.reason, refusal.ecu) == (Refusal.SIGNATURE, None)


def test_package_with_a_flipped_signature_bit_is_refused(package: bytes, vehicle: Vehicle) -> None:
    files = read_package(package)
    forged = bytes([files.signature[0] ^ 1]) + files.signature[1:]
    refusal = refused(write_package(files.manifest, forged, list(files.images.items())), vehicle)
    assert refusal.reason is Refusal.SIGNATURE


def test_package_with_a_changed_payload_byte_is_refused_as_corrupt(package: bytes, vehicle: Vehicle) -> None:
    files = read_package(package)
    body = bytearray(files.images["body"])
    body[HEADER_BYTES + 5] ^= 1
    changed = write_package(
        files.manifest, files.signature, [("body", bytes(body)), ("gateway", files.images["gateway"])]
    )
    refusal = refused(changed, vehicle)
    assert (refusal.reason, refusal.ecu) == (Refusal.CORRUPT, "body")


def test_package_with_an_image_signed_by_a_stranger_is_refused(vehicle: Vehicle, image_file: ImageMaker) -> None:
    refusal = refused(signed([("body", image_file(key="stranger"))]), vehicle)
    assert (refusal.reason, refusal.ecu) == (Refusal.SIGNATURE, "body")


def test_package_for_other_hardware_is_refused(vehicle: Vehicle, image_file: ImageMaker) -> None:
    refusal = refused(signed([("body", image_file("GW-HW-02"))]), vehicle)
    assert (refusal.reason, refusal.ecu) == (Refusal.HARDWARE, "body")
    assert "GW-HW-02" in refusal.sentence
    assert "BCM-HW-03" in refusal.sentence


def test_package_for_an_ecu_that_the_vehicle_lacks_is_refused(vehicle: Vehicle, image_file: ImageMaker) -> None:
    refusal = refused(signed([("radio", image_file())]), vehicle)
    assert (refusal.reason, refusal.ecu) == (Refusal.UNKNOWN_ECU, "radio")


@pytest.mark.parametrize(("counter", "allowed"), [(1, False), (2, True), (3, True)])
def test_package_below_the_installed_release_is_refused_equal_is_allowed(
    vehicle: Vehicle, image_file: ImageMaker, counter: int, allowed: bool
) -> None:
    raw = signed([("gateway", image_file("GW-HW-02", counter))])
    if allowed:
        assert verified(raw, vehicle).images[0].header.release_counter == counter
    else:
        assert refused(raw, vehicle).reason is Refusal.ROLLBACK


def test_package_whose_manifest_lies_about_hardware_is_refused(vehicle: Vehicle, image_file: ImageMaker) -> None:
    images = [("body", image_file("GW-HW-02"))]
    lying = read_package(build_package("pkg", images, signing_key("package"))).manifest.replace(
        b"GW-HW-02", b"BCM-HW-03"
    )
    refusal = refused(signed(images, lying), vehicle)
    assert (refusal.reason, refusal.ecu) == (Refusal.CORRUPT, "body")
    assert "disagree" in refusal.sentence


def test_package_whose_manifest_lies_about_the_release_is_refused(vehicle: Vehicle, image_file: ImageMaker) -> None:
    images = [("gateway", image_file("GW-HW-02", 1))]
    honest = read_package(build_package("pkg", images, signing_key("package"))).manifest
    lying = honest.replace(b'"release_counter":1', b'"release_counter":9')
    assert lying != honest
    assert refused(signed(images, lying), vehicle).reason is Refusal.CORRUPT


def test_package_with_more_images_than_its_manifest_is_refused(vehicle: Vehicle, image_file: ImageMaker) -> None:
    one = read_package(build_package("pkg", [("body", image_file())], signing_key("package"))).manifest
    refusal = refused(signed([("body", image_file()), ("gateway", image_file("GW-HW-02"))], one), vehicle)
    assert refusal.reason is Refusal.CORRUPT
    assert "gateway" in refusal.sentence


def test_package_whose_image_is_shorter_than_a_header_is_refused(vehicle: Vehicle, image_file: ImageMaker) -> None:
    entry = Manifest.decode(read_package(build_package("p", [("body", image_file())], signing_key("package"))).manifest)
    short = Manifest("p", (describe_image("body", entry.images[0].hardware_id, "APP", "2.0.0", 2, b"tiny"),)).encode()
    assert refused(signed([("body", b"tiny")], short), vehicle).reason is Refusal.CORRUPT


def test_signed_nonsense_as_manifest_is_refused_as_corrupt(vehicle: Vehicle) -> None:
    assert refused(signed([], b"no json"), vehicle).reason is Refusal.CORRUPT


def test_package_cannot_be_built_of_bytes_without_a_header() -> None:
    with pytest.raises(PackageError, match="image of body has no header"):
        build_package("p", [("body", bytes(600))], signing_key("package"))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.booleans())
def test_package_damaged_anywhere_is_refused_or_installs_the_same(
    package: bytes, vehicle: Vehicle, at: int, bit: int, cut: bool
) -> None:
    raw = bytearray(package)
    raw[at % len(raw)] ^= 1 << bit
    if cut:
        del raw[at % len(raw) :]
    try:
        found = verified(bytes(raw), vehicle)
    except PackageRefused:
        return
    assert found == verified(package, vehicle)
