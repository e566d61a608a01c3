"""`otabench image`: what it prints, writes and refuses."""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bincopy
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bench.trust.keys import public_key
from bench.wire.image_header import HEADER_BYTES, ImageHeader
from tests.foreign.files import application, odx_blocks, pdx

Cli = Callable[..., Any]
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
IDS = ["--hardware-id", "BCM-HW-03", "--software-id", "BCM-APP", "--version", "1.2.0", "--release-counter", "3"]
MICROPYTHON = Path("/usr/share/firmware-microbit-micropython/firmware.hex")


@pytest.fixture
def firmware(folder: Path) -> Path:
    """Code at 0x8000 and a configuration word behind a gap, with a start address."""
    out = bincopy.BinFile()
    out.add_binary(b"application code", 0x8000)
    out.add_binary(b"conf", 0x8020)
    out.execution_start_address = 0x8004
    path = folder / "app.hex"
    path.write_text(out.as_ihex())
    return path


def pem(key: Any, encryption: KeySerializationEncryption | None = None) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))


def refused(ended: Any, *words: str) -> None:
    assert ended.code == 2, ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err


def test_info_names_format_segments_and_start_address(otabench: Cli, firmware: Path) -> None:
    found = otabench("image", "info", "app.hex", "--json").json
    assert (found["schema"], found["format"], found["size_bytes"], found["start_address"]) == (1, "ihex", 20, 0x8004)
    ranges = [(each["start"], each["end"], each["size_bytes"]) for each in found["segments"]]
    assert ranges == [(0x8000, 0x8010, 16), (0x8020, 0x8024, 4)]
    shown = otabench("image", "info", "app.hex").out
    assert "0x00008020..0x00008024 (4 bytes)" in shown
    assert "start    0x00008004" in shown


def test_info_shows_what_a_flash_job_needs_of_a_vbf(otabench: Cli, folder: Path) -> None:
    made = application("AB")
    (folder / "exe.vbf").write_bytes(made.raw)
    shown = otabench("image", "info", "exe.vbf").out
    assert "logical block     31394148: code, 25016 bytes to send" in shown
    assert "20016 bytes for 0x00010000 on, plain, CRC-16" in shown
    assert "erases          0x00010000..0x00040000 (196608 bytes)" in shown
    assert "(256 bytes); the ECU checks it" in shown
    software = otabench("image", "info", "exe.vbf", "--json").json["software"]
    assert (software["part_type"], software["ecu_addresses"], software["problems"]) == ("EXE", [0x7E0], [])
    (block,) = software["blocks"]
    assert [each["data_bytes"] for each in block["segments"]] == [len(data) for _at, data in made.blocks]
    assert block["signatures"][0]["data"] == made.signature.hex()


def test_info_shows_packed_blocks_with_their_checks_and_idents(otabench: Cli, folder: Path) -> None:
    made = odx_blocks("2.0.0")
    (folder / "unit.pdx").write_bytes(pdx(made, "2.0.0"))
    shown = otabench("image", "info", "unit.pdx").out
    assert "CALIBRATION: data, logical block 1" in shown
    assert f"{len(made[0].packed)} bytes for 0x80000000 on, compressed (method 1), fills 6000 bytes" in shown
    software = otabench("image", "info", "unit.pdx", "--json").json["software"]
    assert [each["checksums"][0]["state"] for each in software["blocks"]] == ["right", "right"]
    assert software["blocks"][0]["segments"][0]["data_format_identifier"] == 0x10
    assert software["expected_idents"][0]["values"] == [{"text": "HW-4711", "type": "A_ASCIISTRING"}]


def test_info_names_what_contradicts_itself(otabench: Cli, folder: Path) -> None:
    (folder / "exe.vbf").write_bytes(replace(application("AB"), erase=((0x10000, 0x1000),)).raw)
    shown = otabench("image", "info", "exe.vbf").out
    assert "problem           the erase list does not cover the data: 0x00011000..0x00014E30" in shown
    (problem,) = otabench("image", "info", "exe.vbf", "--json").json["software"]["problems"]
    assert problem["key"] == "erase"


@pytest.mark.parametrize("name", ["app.srec", "app.txt", "again.hex"])
def test_converted_file_holds_the_same_memory(otabench: Cli, firmware: Path, name: str) -> None:
    assert otabench("image", "convert", "app.hex", name).code == 0
    ended = otabench("image", "diff", "app.hex", name, "--json")
    assert (ended.code, ended.json["equal"], ended.json["ranges"], ended.json["first"]) == (0, True, [], None)
    start = otabench("image", "info", name, "--json").json["start_address"]
    assert start == (None if name.endswith(".txt") else 0x8004)


def test_convert_to_binary_fills_gaps_and_all_of_the_crop_range(otabench: Cli, firmware: Path) -> None:
    assert otabench("image", "convert", "app.hex", "a.bin", "--fill", "0xFF").code == 0
    assert Path("a.bin").read_bytes() == b"application code" + b"\xff" * 16 + b"conf"
    ended = otabench("image", "convert", "app.hex", "b.bin", "--crop", "0x7FFE-0x8022", "--fill", "0", "--json")
    assert Path("b.bin").read_bytes() == b"\0\0application code" + b"\0" * 16 + b"co"
    assert [(each["start"], each["end"]) for each in ended.json["left_out"]] == [(0x8022, 0x8024)]


def test_binary_converted_with_its_base_has_addresses(otabench: Cli, folder: Path) -> None:
    Path("app.bin").write_bytes(b"abcd")
    assert otabench("image", "convert", "app.bin", "app.out", "--to", "srec", "--base", "0x8000").code == 0
    Path("app.out").rename("app.srec")
    found = otabench("image", "info", "app.srec", "--json").json
    assert [(each["start"], each["end"]) for each in found["segments"]] == [(0x8000, 0x8004)]


def test_diff_of_different_files_exits_1_and_names_the_first_difference(otabench: Cli, firmware: Path) -> None:
    text = bincopy.BinFile()
    text.add_binary(b"applicatiOn code and", 0x8000)
    Path("b.hex").write_text(text.as_ihex())
    ended = otabench("image", "diff", "app.hex", "b.hex", "--json")
    assert ended.code == 1
    assert ended.json["first"] == {"address": 0x8009, "a": ord("o"), "b": ord("O")}
    told = [(each["start"], each["end"], each["kind"]) for each in ended.json["ranges"]]
    assert told == [(0x8009, 0x800A, "changed"), (0x8010, 0x8014, "only_b"), (0x8020, 0x8024, "only_a")]
    assert ended.json["different_bytes"] == 9
    ended = otabench("image", "diff", "app.hex", "b.hex")
    assert ended.code == 1
    assert "0x00008009: A has 0x6F, B has 0x4F" in ended.out


def test_signed_image_carries_the_header_and_a_signature_of_the_users_key(otabench: Cli, firmware: Path) -> None:
    Path("key.pem").write_bytes(pem(KEY))
    ended = otabench("image", "sign", "app.hex", *IDS, "--key", "key.pem", "-o", "out.bin", "--json")
    assert ended.json["public_key"] == KEY.public_key().public_bytes_raw().hex()
    raw = Path("out.bin").read_bytes()
    header = ImageHeader.decode(raw[:HEADER_BYTES])
    KEY.public_key().verify(header.signature, header.signed_part())
    assert raw[HEADER_BYTES:] == b"application code" + b"\xff" * 16 + b"conf"
    assert header.fits(raw[HEADER_BYTES:])
    assert (header.hardware_id, header.software_id, header.version) == ("BCM-HW-03", "BCM-APP", "1.2.0")
    assert (header.release_counter, header.load_address) == (3, 0x8000)
    told = otabench("image", "info", "out.bin", "--json").json["signed"]
    assert (told["version"], told["load_address"], told["whole"]) == ("1.2.0", 0x8000, True)


def test_test_key_signs_and_says_that_it_is_for_simulation_only(otabench: Cli, firmware: Path) -> None:
    ended = otabench("image", "sign", "app.hex", *IDS, "--test-key", "image", "--load-address", "0x7FF0", "-o", "o.bin")
    assert ended.code == 0
    assert "simulation only" in ended.err
    header = ImageHeader.decode(Path("o.bin").read_bytes()[:HEADER_BYTES])
    assert (header.load_address, header.length) == (0x7FF0, 0x34)
    help_text = " ".join(otabench("image", "sign", "--help").out.split())
    assert "for simulation only: a key that anybody can derive" in help_text
    found = otabench("image", "sign", "app.hex", *IDS, "--test-key", "image", "-o", "o.bin", "--json").json
    assert found["public_key"] == public_key("image").hex()


@pytest.fixture
def other(folder: Path) -> Path:
    """A boot loader as binary, and a patch that overlaps the application."""
    (folder / "boot.bin").write_bytes(b"boot")
    out = bincopy.BinFile()
    out.add_binary(b"A", 0x8000)
    (folder / "patch.hex").write_text(out.as_ihex())
    return folder


def test_merge_writes_several_files_as_one_with_the_first_start_address(
    otabench: Cli, firmware: Path, other: Path
) -> None:
    ended = otabench("image", "merge", "boot.bin@0x100", "app.hex", "-o", "all.srec", "--json")
    assert (ended.code, ended.json["format"], ended.json["start_address"]) == (0, "srec", 0x8004)
    found = otabench("image", "info", "all.srec", "--json").json
    ranges = [(each["start"], each["end"]) for each in found["segments"]]
    assert ranges == [(0x100, 0x104), (0x8000, 0x8010), (0x8020, 0x8024)]
    assert found["start_address"] == 0x8004


def test_merge_where_the_later_wins_patches_the_earlier_file(otabench: Cli, firmware: Path, other: Path) -> None:
    assert otabench("image", "merge", "app.hex", "patch.hex", "-o", "new.hex", "--later-wins").code == 0
    ended = otabench("image", "diff", "app.hex", "new.hex", "--json")
    assert [(each["start"], each["end"]) for each in ended.json["ranges"]] == [(0x8000, 0x8001)]
    assert ended.json["first"] == {"address": 0x8000, "a": ord("a"), "b": ord("A")}


def test_convert_aligns_to_the_program_unit_and_checks_named_ranges(otabench: Cli, firmware: Path) -> None:
    ended = otabench(
        "image", "convert", "app.hex", "out.hex", "--align", "32", "--within", "flash=0x8000-0x8040", "--json"
    )
    assert [(each["start"], each["end"]) for each in ended.json["segments"]] == [(0x8000, 0x8040)]
    options = ["--align", "8", "--fill", "0", "--crop", "0x8020-0x8024"]
    assert otabench("image", "convert", "app.hex", "o.bin", *options).code == 0
    assert Path("o.bin").read_bytes() == b"conf\0\0\0\0"


VBF_BLOCKS = b"\x00\x00\x80\x00\x00\x00\x00\x04zzzz"


def test_packed_vbf_is_named_and_written_as_it_is_only_when_asked(otabench: Cli, folder: Path) -> None:
    blocks = VBF_BLOCKS + binascii.crc_hqx(b"zzzz", 0xFFFF).to_bytes(2, "big")
    head = f"vbf_version = 3.0; header {{ data_format_identifier = 0x11; file_checksum = {zlib.crc32(blocks)}; }}"
    Path("p.vbf").write_bytes(head.encode() + blocks)
    shown = otabench("image", "info", "p.vbf").out
    assert "compressed (method 1) and encrypted (method 1)" in shown
    assert "4 bytes for 0x00008000 on" in shown
    found = otabench("image", "info", "p.vbf", "--json").json
    assert (found["data_format_identifier"], found["segments"]) == (0x11, [])
    assert [(each["address"], each["size_bytes"]) for each in found["packed"]] == [(0x8000, 4)]
    refused(otabench("image", "convert", "p.vbf", "out.bin"), "compressed or encrypted", "p.vbf")
    refused(otabench("image", "diff", "p.vbf", "p.vbf"), "compressed or encrypted")
    assert otabench("image", "convert", "p.vbf", "out.bin", "--packed").code == 0
    assert Path("out.bin").read_bytes() == b"zzzz"


def test_what_stands_behind_the_end_record_is_left_out_and_told_only_when_asked(otabench: Cli, folder: Path) -> None:
    Path("sym.ihx").write_text(":0400000061626364" + "72\n:00000001FF\n:040000FE6D61696E5B\n")
    refused(otabench("image", "convert", "sym.ihx", "out.bin"), "records after the end record", "--lenient")
    assert not Path("out.bin").exists()
    ended = otabench("image", "convert", "--lenient", "sym.ihx", "out.bin")
    assert (ended.code, Path("out.bin").read_bytes()) == (0, b"abcd")
    sentence = "1 line behind the end record left out, from line 3 on: 1 of type FE"
    assert sentence in ended.err
    found = otabench("image", "info", "--lenient", "sym.ihx", "--json").json
    assert found["tolerated"] == [sentence]
    for command in (["diff", "out.bin", "sym.ihx"], ["merge", "sym.ihx", "-o", "all.hex"], ["info", "sym.ihx"]):
        ended = otabench("image", command[0], "--lenient", *command[1:])
        assert ended.code == 0
        assert sentence in ended.err + ended.out


def test_info_tells_whether_the_signature_is_of_the_given_key(otabench: Cli, firmware: Path) -> None:
    Path("key.pem").write_bytes(pem(KEY))
    ended = otabench("image", "sign", "app.hex", *IDS, "--key", "key.pem", "-o", "out.bin", "--json")
    public = ended.json["public_key"]
    spki = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    Path("public.pem").write_bytes(spki)
    for key in (["--key", "public.pem"], ["--key", public]):
        ended = otabench("image", "info", "out.bin", *key, "--json")
        assert (ended.code, ended.json["signed"]["signature"]) == (0, "right")
    ended = otabench("image", "info", "out.bin", "--test-key", "image")
    assert ended.code == 1
    assert "wrong" in ended.out
    assert otabench("image", "info", "out.bin", "--json").json["signed"]["signature"] == "unchecked"
    raw = Path("out.bin").read_bytes()
    for at, told in ((72, ("wrong", True)), (HEADER_BYTES, ("right", False))):
        Path("out.bin").write_bytes(raw[:at] + b"9" + raw[at + 1 :])
        ended = otabench("image", "info", "out.bin", "--key", public, "--json")
        assert (ended.code, (ended.json["signed"]["signature"], ended.json["signed"]["whole"])) == (1, told)


SIGN = ["sign", "app.hex", *IDS, "-o", "out.bin"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["info", "missing.hex"], ["missing.hex", "does not exist", "app.hex"]),
        (["info", "app.hex", "--base", "x"], ["--base", "x", "0xFFFFFFFF"]),
        (["info", "bad.hex"], ["bad.hex", "line 1"]),
        (["diff", "app.hex", "bad.hex"], ["bad.hex", "line 1"]),
        (["convert", "app.hex", "out.bin"], ["gaps", "0x00008020", "--fill 0xFF", "--crop"]),
        (["convert", "app.hex", "out.elf"], ["elf files are read, not written", ".hex", "--to"]),
        (["convert", "app.hex", "out.hex", "--fill", "256"], ["--fill", "256", "0xFF"]),
        (["convert", "app.hex", "out.hex", "--crop", "5"], ["--crop", "START-END", "5"]),
        (["convert", "app.hex", "out.hex", "--crop", "8-8"], ["--crop", "START below END"]),
        (["convert", "app.hex", "out.hex", "--crop", "0-16"], ["nothing", "--crop", "0x00008000..0x00008010"]),
        (["convert", "app.hex", "nowhere/out.hex"], ["cannot be written", "nowhere"]),
        (["convert", "app.hex", "out.hex", "--to", "elf"], ["--to", "ihex"]),
        (["convert", "app.hex", "out.hex", "--align", "12"], ["--align", "12", "a power of two"]),
        (["convert", "app.hex", "out.hex", "--within", "0-9"], ["--within", "NAME=START-END"]),
        (["convert", "app.hex", "out.hex", "--within", "ram=0-9"], ["outside", "0x00008000", "ram 0x00000000"]),
        (["convert", "app.hex", "out.hex", "--session", "APP"], ["no flash sessions", "--session"]),
        (["merge", "-o", "out.hex"], ["argument A B ... is missing"]),
        (["merge", "app.hex", "app.hex", "-o", "out.hex"], ["app.hex has 0x00008000", "--later-wins"]),
        (["merge", "app.hex", "gone.bin@0", "-o", "out.hex"], ["gone.bin", "does not exist"]),
        (["merge", "app.hex", "key.pem@x", "-o", "out.hex"], ["key.pem@", "0xFFFFFFFF"]),
        (["info", "app.hex", "--test-key", "image"], ["no signed header", "ihex"]),
        (["info", "app.hex", "--key", "key.pem", "--test-key", "image"], ["both --key and --test-key"]),
        (["info", "app.hex", "--key", "key.pem"], ["holds no public key", "openssl pkey"]),
        (["info", "app.hex", "--key", "z" * 64], ["no public key", "64 hexadecimal digits"]),
        (["info", "app.hex", "--key", "ec.public.pem"], ["another kind", "Ed25519"]),
        (["sign", "app.hex", "-o", "out.bin"], ["option --hardware-id is missing"]),
        (SIGN, ["one key is needed", "--key", "--test-key", "openssl genpkey"]),
        ([*SIGN, "--key", "key.pem", "--test-key", "image"], ["both --key and --test-key"]),
        ([*SIGN, "--key", "missing.pem"], ["missing.pem", "does not exist"]),
        ([*SIGN, "--key", "app.hex"], ["holds no private key", "Ed25519", "bytes that are no PEM", "openssl genpkey"]),
        ([*SIGN, "--key", "locked.pem"], ["needs a passphrase", "locked.pem"]),
        ([*SIGN, "--key", "ec.pem"], ["another kind", "ec.pem", "Ed25519"]),
        ([*SIGN, "--key", "key.pem", "--version", "ü"], ["--version", "printable ASCII"]),
        ([*SIGN, "--key", "key.pem", "--hardware-id", "x" * 33], ["--hardware-id", "1 to 32"]),
        ([*SIGN, "--key", "key.pem", "--release-counter", "-1"], ["--release-counter", "0xFFFFFFFF"]),
        ([*SIGN, "--key", "key.pem", "--load-address", "0x8001"], ["--load-address", "up to 0x00008000"]),
    ],
)
def test_wrong_input_is_refused_and_nothing_is_written(
    otabench: Cli, firmware: Path, arguments: list[str], words: list[str]
) -> None:
    Path("bad.hex").write_text(":0100000061FF\n")
    Path("key.pem").write_bytes(pem(KEY))
    Path("locked.pem").write_bytes(pem(KEY, BestAvailableEncryption(b"secret")))
    ec = generate_private_key(SECP256R1())
    Path("ec.pem").write_bytes(pem(ec))
    Path("ec.public.pem").write_bytes(ec.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    before = sorted(Path().iterdir())
    refused(otabench("image", *arguments), *words)
    assert sorted(Path().iterdir()) == before


@pytest.mark.slow
@pytest.mark.skipif(not MICROPYTHON.is_file(), reason="needs Debian's firmware-microbit-micropython")
@pytest.mark.parametrize("name", ["m.srec", "m.txt", "m.hex"])
def test_micropython_of_the_debian_package_converted_and_back_is_the_original(
    otabench: Cli, folder: Path, name: str
) -> None:
    found = otabench("image", "info", str(MICROPYTHON), "--json").json
    assert (found["format"], [each["start"] for each in found["segments"]]) == ("ihex", [0, 0x1000_10C0])
    assert otabench("image", "convert", str(MICROPYTHON), name).code == 0
    assert otabench("image", "convert", name, "back.hex").code == 0
    assert otabench("image", "diff", str(MICROPYTHON), "back.hex").code == 0
    back = otabench("image", "info", "back.hex", "--json").json
    assert back["segments"] == found["segments"]
    assert back["start_address"] == (None if name == "m.txt" else found["start_address"])
