"""The foreign units by themselves, with a plain tester: what they take, what they refuse, what survives `kill -9`."""

from __future__ import annotations

import binascii
import signal
import subprocess
import zlib
from pathlib import Path

import isotp
import pytest

from tests.foreign import odx_unit, plain_unit, vbf_loader
from tests.foreign.files import (
    MAKER_B,
    VbfFile,
    application,
    data_for,
    maker_a,
    odx_blocks,
    plain_image,
    public_pem,
    secondary_bootloader,
)
from tests.foreign.memory import Flash
from tests.foreign.tester import PlainTester, connect, new_port, unit

VBF_ADDRESS = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=vbf_loader.REQUEST, rxid=vbf_loader.RESPONSE)
ODX_ADDRESS = isotp.Address(
    isotp.AddressingMode.NormalFixed_29bits, source_address=odx_unit.TESTER, target_address=odx_unit.OURS
)
PLAIN_ADDRESS = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=plain_unit.REQUEST, rxid=plain_unit.RESPONSE)


def words(*numbers: int, size: int = 4) -> bytes:
    return b"".join(number.to_bytes(size, "big") for number in numbers)


def unlock_vbf(ours: PlainTester) -> None:
    ours.until(b"\x10\x02", b"\x50\x02")
    ours.until(b"\x22\xf1\x86", b"\x62\xf1\x86\x02")
    seed = ours.ask(b"\x27\x01")[2:]
    assert ours.ask(b"\x27\x02" + vbf_loader.key_of(seed)) == b"\x67\x02"


def send_vbf(ours: PlainTester, file: VbfFile, signature: bytes | None = None) -> bytes:
    """Return the status of the signature's check."""
    for address, length in file.erase:
        assert ours.ask(b"\x31\x01\xff\x00" + words(address, length)) == b"\x71\x01\xff\x00\x00"
    for address, data in file.blocks:
        answer = ours.download(b"\x34\x00\x44" + words(address, len(data)), data)
        assert answer == b"\x77" + binascii.crc_hqx(data, 0xFFFF).to_bytes(2, "big")
    return ours.ask(b"\x31\x01\x02\x12" + (signature or file.signature))[4:]


def test_vbf_loader_takes_signed_files_through_its_secondary_bootloader_only(tmp_path: Path) -> None:
    pem, port = public_pem(tmp_path, maker_a()), new_port()
    exe, data = application("AB"), data_for("AB")
    with unit("vbf_loader", tmp_path / "a", port, "--key", str(pem)), connect(port, VBF_ADDRESS) as ours:
        unlock_vbf(ours)
        assert ours.ask(b"\x31\x01\xff\x00" + words(*exe.erase[0])) == b"\x7f\x31\x31", "the primary one erases nothing"
        assert send_vbf(ours, secondary_bootloader()) == b"\x10\x00"
        assert ours.ask(b"\x31\x01\x03\x01" + words(vbf_loader.RAM)) == b"\x71\x01\x03\x01\x10\x00"
        assert send_vbf(ours, exe, bytes(256)) == b"\x10\x01"
        assert send_vbf(ours, exe) == b"\x10\x00"
        assert ours.ask(b"\x31\x01\x02\x05") == b"\x71\x01\x02\x05\x10" + words(2), "the data are missing"
        assert send_vbf(ours, data_for("AC")) == b"\x10\x00"
        assert ours.ask(b"\x31\x01\x02\x05") == b"\x71\x01\x02\x05\x10" + words(4), "data of another application"
        assert send_vbf(ours, data) == b"\x10\x00"
        assert ours.ask(b"\x31\x01\x02\x05") == b"\x71\x01\x02\x05\x10" + words(0)
        assert ours.ask(b"\x22\xf1\x20") == b"\x7f\x22\x31", "no bootloader knows the version"
        assert ours.ask(b"\x11\x01") == b"\x51\x01"
        ours.until(b"\x22\xf1\x20", b"\x62\xf1\x2031394148 AB")
    flash = Flash(tmp_path / "a" / "flash.bin", vbf_loader.VbfLoader.regions)
    assert all(flash.read(address, len(block)) == block for file in (exe, data) for address, block in file.blocks)


def test_odx_unit_takes_compressed_blocks_and_has_read_them_back(tmp_path: Path) -> None:
    pem, port = public_pem(tmp_path, MAKER_B), new_port()
    with unit("odx_unit", tmp_path / "b", port, "--key", str(pem)), connect(port, ODX_ADDRESS) as ours:
        ours.until(b"\x10\x02", b"\x50\x02")
        ours.until(b"\x22\xf1\x86", b"\x62\xf1\x86\x02")
        assert ours.ask(b"\x27\x12" + odx_unit.key_of(ours.ask(b"\x27\x11")[2:])) == b"\x67\x12"
        for block in odx_blocks("2.0.0"):
            assert ours.ask(b"\x31\x01\xff\x00" + bytes((block.index,))) == b"\x71\x01\xff\x00\x00"
            begin = b"\x34\x10\x34" + words(block.address) + words(len(block.data), size=3)
            assert ours.download(begin, block.packed) == b"\x77"
            where = words(block.address) + words(len(block.data), size=3)
            assert ours.ask(b"\x31\x01\x02\x02" + where + bytes(4)) == b"\x71\x01\x02\x02\x05"
            assert ours.ask(b"\x31\x01\x02\x02" + where + words(zlib.crc32(block.data))) == b"\x71\x01\x02\x02\x00"
            signed = bytes((block.index,)) + words(len(block.data), size=3) + block.signature
            assert ours.ask(b"\x31\x01\x02\x03" + signed) == b"\x71\x01\x02\x03\x00"
            answer = ours.ask(b"\x23\x34" + words(block.address) + words(512, size=3))
            assert answer == b"\x63" + block.data[:512]
        ours.ask(b"\x11\x01")
        ours.until(b"\x22\xf1\x95", b"\x62\xf1\x952.0.0")


@pytest.mark.parametrize("damaged", [False, True])
def test_plain_unit_checks_at_the_end_of_the_transfer(tmp_path: Path, damaged: bool) -> None:
    port, image = new_port(), plain_image()
    sent = image[:-1] + bytes((image[-1] ^ damaged,))
    with unit("plain_unit", tmp_path / "c", port), connect(port, PLAIN_ADDRESS) as ours:
        ours.until(b"\x10\x02", b"\x50\x02")
        answer = ours.download(b"\x34\x00\x22" + words(plain_unit.START, len(image), size=2), sent)
        assert answer == (b"\x7f\x37\x72" if damaged else b"\x77")
        assert ours.ask(b"\x31\x01\xff\x00") == b"\x7f\x31\x11"


def test_unit_that_loses_power_in_a_block_keeps_what_was_programmed(tmp_path: Path) -> None:
    port, image = new_port(), plain_image()
    begin = b"\x34\x00\x22" + words(plain_unit.START, len(image), size=2)
    with unit("plain_unit", tmp_path / "c", port, "--die-at-block", "3") as process:
        with connect(port, PLAIN_ADDRESS) as ours:
            ours.until(b"\x10\x02", b"\x50\x02")
            ours.ask(begin)
            for n in range(2):
                assert ours.ask(bytes((0x36, n + 1)) + image[n * 1024 : n * 1024 + 1024])[:1] == b"\x76"
            assert ours.ask(b"\x36\x03" + image[2048:3072], 1.0) == b""
        process.wait(10)
        assert process.returncode == -signal.SIGKILL
    flash = Flash(tmp_path / "c" / "flash.bin", plain_unit.PlainUnit.regions)
    assert flash.read(plain_unit.START, 2560) == image[:2560]
    assert flash.is_erased(plain_unit.START + 2560, 1024)


def test_upset_unit_acknowledges_and_stores_nothing(tmp_path: Path) -> None:
    pem, port = public_pem(tmp_path, MAKER_B), new_port()
    block = odx_blocks("2.0.0")[0]
    options = ("--key", str(pem), "--upset-by-tester-present")
    with unit("odx_unit", tmp_path / "b", port, *options), connect(port, ODX_ADDRESS) as ours:
        ours.until(b"\x10\x02", b"\x50\x02")
        assert ours.ask(b"\x27\x12" + odx_unit.key_of(ours.ask(b"\x27\x11")[2:])) == b"\x67\x12"
        ours.ask(b"\x31\x01\xff\x00\x01")
        where = words(block.address) + words(len(block.data), size=3)
        assert ours.ask(b"\x34\x10\x34" + where)[:1] == b"\x74"
        assert ours.ask(b"\x3e\x00") == b"\x7e\x00"
        for n, at in enumerate(range(0, len(block.packed), 1024)):
            assert ours.ask(bytes((0x36, n + 1)) + block.packed[at : at + 1024]) == bytes((0x76, n + 1))
        assert ours.ask(b"\x37") == b"\x77"
        assert ours.ask(b"\x31\x01\x02\x02" + where + words(zlib.crc32(block.data))) == b"\x71\x01\x02\x02\x00"
        assert ours.ask(b"\x23\x34" + words(block.address) + words(64, size=3)) == b"\x63" + b"\xff" * 64


def test_refused_block_is_told(tmp_path: Path) -> None:
    port, image = new_port(), plain_image()
    process: subprocess.Popen[str]
    with (
        unit("plain_unit", tmp_path / "c", port, "--refuse-block", "2") as process,
        connect(port, PLAIN_ADDRESS) as ours,
    ):
        ours.until(b"\x10\x02", b"\x50\x02")
        answer = ours.download(b"\x34\x00\x22" + words(plain_unit.START, len(image), size=2), image)
        assert (answer, process.poll()) == (b"\x7f\x36\x72", None)
