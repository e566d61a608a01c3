"""`otabench image make`: demonstration software, its bytes, what it refuses, and that `flash` takes it at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.images.readers import read_firmware
from bench.images.spoiling import BAD
from bench.trust.keys import public_key, signing_key
from bench.wire.image_behaviour import Behaviour, ImageBehaviour, behaviour_of
from bench.wire.image_header import HEADER_BYTES, ImageHeader

Cli = Callable[..., Any]
BODY = ("image", "make", "two_ecu_car", "body")


def parts(name: str) -> tuple[ImageHeader, bytes]:
    raw = Path(name).read_bytes()
    return ImageHeader.decode(raw[:HEADER_BYTES]), raw[HEADER_BYTES:]


def rightly_signed(header: ImageHeader) -> bool:
    try:
        signing_key("image").public_key().verify(header.signature, header.signed_part())
    except InvalidSignature:
        return False
    return True


def test_image_carries_the_ids_of_the_vehicles_ecu_and_is_signed_with_the_test_key(otabench: Cli) -> None:
    ended = otabench(*BODY, "--size", "4KiB", "-o", "a.bin", "--json")
    header, data = parts("a.bin")
    assert (header.hardware_id, header.software_id, header.version) == ("BCM-HW-03", "BCM-APP", "2.0.0")
    assert (header.release_counter, header.load_address, len(data)) == (2, 0, 4096)
    assert header.fits(data)
    assert rightly_signed(header)
    assert ended.json["public_key"] == public_key("image").hex()
    assert "simulation only" in ended.err


def test_same_arguments_make_the_same_bytes_and_another_seed_or_version_others(otabench: Cli) -> None:
    for name, more in (("a", []), ("b", []), ("c", ["--seed", "2"]), ("d", ["--version", "2.0.1"])):
        assert otabench(*BODY, "--size", "2048", "-o", f"{name}.bin", *more).code == 0
    a, b, c, d = (Path(f"{name}.bin").read_bytes() for name in "abcd")
    assert a == b
    assert len({a, c, d}) == 3


def test_own_key_signs_without_a_warning_and_a_kind_of_ecu_needs_its_ids(otabench: Cli, folder: Path) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    ids = ["--hardware-id", "HU-HW-07", "--software-id", "HU-APP", "--release-counter", "9"]
    ended = otabench("image", "make", "--personality", "head_unit", *ids, "--size", "1MiB", "--key", "key.pem")
    assert (ended.code, ended.err) == (0, "")
    header, data = parts("head_unit-2.0.0.bin")
    key.public_key().verify(header.signature, header.signed_part())
    assert (header.load_address, header.release_counter, len(data)) == (0x1000_0000, 9, 1 << 20)


@pytest.mark.parametrize("suffix", ["hex", "s19", "srec", "txt"])
def test_text_formats_hold_the_image_alone_at_its_addresses(otabench: Cli, suffix: str) -> None:
    arguments = ("image", "make", "fd_car", "head_unit", "--size", "0x900")
    assert otabench(*arguments, "-o", "a.bin").code == 0
    assert otabench(*arguments, "-o", f"a.{suffix}").code == 0
    segment = read_firmware(Path(f"a.{suffix}")).image.segments[0]
    assert (segment.address, bytes(segment.data)) == (0x1000_0000, parts("a.bin")[1])


@pytest.mark.parametrize("bad", BAD)
def test_bad_image_has_this_one_thing_wrong_says_so_and_is_named_so(otabench: Cli, bad: str) -> None:
    ended = otabench(*BODY, "--size", "1024", "--bad", bad)
    assert "BAD ON PURPOSE" in ended.out
    header, data = parts(f"body-2.0.0-bad-{bad}.bin")
    wrong = {
        "signature": not rightly_signed(header),
        "hash": len(data) == header.length and not header.fits(data),
        "hardware": header.hardware_id != "BCM-HW-03",
        "release": header.release_counter < 1,
        "truncated": len(data) < header.length,
    }
    assert [name for name, is_wrong in wrong.items() if is_wrong] == [bad]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*BODY, "--size", "1MiB"], ("--size", "1MiB", "1 to 262144 bytes")),
        ([*BODY, "--size", "0"], ("--size", "too short")),
        ([*BODY, "--size", "big"], ("--size", "big", "64KiB", "1 to 262144 bytes", "GiB")),
        ([*BODY, "--size", "1GiB"], ("does not fit", "--size", "1GiB", "1 to 262144 bytes")),
        ([*BODY, "--version", "x" * 33], ("--version", "1 to 32")),
        ([*BODY, "--release-counter", "-1"], ("--release-counter", "-1")),
        ([*BODY, "--bad", "release", "--release-counter", "1"], ("--release-counter", "below 1")),
        ([*BODY, "--bad", "colour"], ("--bad", "colour", "truncated")),
        ([*BODY, "--behaviour", "hang", "--size", "15"], ("--size", "too short", "16 to")),
        ([*BODY, "--after-ms", "5"], ("--after-ms", "crash or hang")),
        ([*BODY, "--behaviour", "dance"], ("--behaviour", "dance", "crash")),
        ([*BODY, "-o", "x.vbf"], ("vbf", ".bin", "name OUT with")),
        ([*BODY, "-o", "x.elf"], ("elf", "name OUT with")),
        ([*BODY, "-o", "x.hex", "--bad", "hash"], ("--bad", "suffix .bin", "leave out --bad, or name OUT x.bin")),
        ([*BODY, "-o", "x.hex", "--test-key", "image"], ("--test-key", "suffix .bin")),
        ([*BODY, "--key", "none.pem"], ("none.pem",)),
        ([*BODY, "--key", "a.pem", "--test-key", "image"], ("one key",)),
        ([*BODY, "-o", "none/x.bin"], ("cannot be written", "--out", "no folder none", "allowed", "make the folder")),
        (["image", "make", "two_ecu_car", "door"], ("no such ECU", "body, gateway", "name one of these ECUs")),
        (["image", "make", "two_ecu_car"], ("VEHICLE ECU", "--personality NAME")),
        (["image", "make"], ("VEHICLE ECU", "nothing")),
        ([*BODY, "--personality", "gateway"], ("VEHICLE ECU, or --personality",)),
        (["image", "make", "--personality", "gateway", "--software-id", "X"], ("--hardware-id",)),
        (["image", "make", "--personality", "warp", "--hardware-id", "X", "--software-id", "X"], ("warp", "head_unit")),
    ],
)
def test_wrong_usage_is_refused_with_key_found_and_allowed_and_nothing_is_written(
    otabench: Cli, folder: Path, arguments: list[str], words: tuple[str, ...]
) -> None:
    ended = otabench(*arguments)
    assert (ended.code, ended.out) == (2, ""), ended.err
    for word in words:
        assert word in ended.err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("kind", "after_ms"), [("crash", 0), ("hang", 250)])
def test_image_that_behaves_badly_is_signed_and_whole_and_carries_its_marker(
    otabench: Cli, kind: str, after_ms: int
) -> None:
    more = ["--after-ms", str(after_ms)] if after_ms else []
    ended = otabench(*BODY, "--size", "2KiB", "--behaviour", kind, *more)
    header, data = parts(f"body-2.0.0-{kind}.bin")
    assert rightly_signed(header)
    assert header.fits(data)
    assert behaviour_of(data) == ImageBehaviour(Behaviour[kind.upper()], after_ms)
    assert f"BAD ON PURPOSE ({kind})" in ended.out


def test_image_that_crashes_is_programmed_and_found_not_to_run(otabench: Cli) -> None:
    otabench(*BODY, "--size", "2KiB", "--behaviour", "crash", "-o", "crash.bin")
    assert otabench("flash", "body=crash.bin").code == 1


def test_flash_takes_what_was_made_as_it_is(otabench: Cli) -> None:
    otabench(*BODY, "--size", "8KiB", "--version", "3.1.0", "-o", "body.bin")
    assert otabench("flash", "body=body.bin", "--dry-run").code == 0
    ended = otabench("flash", "body=body.bin", "--json")
    assert (ended.code, ended.json["ecus"][0]["version"]) == (0, "3.1.0")
    otabench("image", "make", "two_ecu_car", "gateway", "--size", "8KiB", "-o", "gateway.hex")
    ended = otabench("flash", "gateway=gateway.hex", "--version", "2.0.0", "--release-counter", "2", "--json")
    assert (ended.code, ended.json["ecus"][0]["version"]) == (0, "2.0.0")


@pytest.mark.parametrize(
    ("bad", "code"), [("signature", 1), ("hash", 2), ("hardware", 2), ("release", 1), ("truncated", 2)]
)
def test_bad_image_is_refused_by_flash_or_by_the_ecu(otabench: Cli, bad: str, code: int) -> None:
    otabench(*BODY, "--size", "1024", "--bad", bad, "-o", "bad.bin")
    assert otabench("flash", "body=bad.bin").code == code
