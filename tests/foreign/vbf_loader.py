"""A unit that is flashed by VBF files: a secondary bootloader in RAM first, then each file with its signature.

`python -m tests.foreign.vbf_loader FOLDER --channel 239.74.163.2 --key PUBLIC.pem`. Its primary bootloader loads
nothing but RAM and starts what was loaded there (31 01 0301); only the secondary bootloader erases and programs. 0x37
answers with the CRC-16 of the block. After the blocks of a file 31 01 0212 takes the file's signature (RSA-2048,
PKCS #1 v1.5, SHA-256 over address, length and data of every block); 31 01 0205 says whether all parts are there and
belong together. No bootloader knows a version; the application has part numbers (F120, F121).
"""

from __future__ import annotations

import binascii
import hashlib
from typing import ClassVar

import isotp
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.foreign.server import EXTENDED, PROGRAMMING, Refused, Transfer, UdsServer, open_bus, options, serve

REQUEST, RESPONSE, FUNCTIONAL = 0x7E0, 0x7E8, 0x7DF
EXE, DATA, RAM = 0x0001_0000, 0x0004_0000, 0x4000_0000
EXE_BYTES, DATA_BYTES, RAM_BYTES = 0x3_0000, 0x1_0000, 0x8000
SECTOR_BYTES = 0x1000
PART_NUMBER_BYTES = 16
SEED, SECRET = bytes.fromhex("a1b2c3"), 0x5A1D3F


def key_of(seed: bytes) -> bytes:
    """Return the key of a seed, three bytes each."""
    return ((int.from_bytes(seed, "big") * 0x2F6B + SECRET) & 0xFF_FFFF).to_bytes(3, "big")


class VbfLoader(UdsServer):
    """The unit: application, primary and secondary bootloader in one program."""

    regions: ClassVar = {EXE: EXE_BYTES, DATA: DATA_BYTES}
    fixed_seed = SEED

    def start(self) -> None:
        self.ram: dict[int, bytes] = {}
        self.ram_is_genuine = self.secondary = False
        self.digest = hashlib.sha256()
        self.part: str | None = None
        super().start()

    def complete(self) -> bool:
        return bool(self.notes.get("exe")) and bool(self.notes.get("data")) and self._compatible()

    def _compatible(self) -> bool:
        """The data's second part number names the application that they are for."""
        wanted = self.flash.read(DATA + PART_NUMBER_BYTES, PART_NUMBER_BYTES)
        return wanted == self.flash.read(EXE, PART_NUMBER_BYTES)

    def identifiers(self) -> dict[int, bytes]:
        if self.boot:
            return {0xF180: b"SBL 7" if self.secondary else b"PBL 2", 0xF18C: b"SN00471"}
        return {
            0xF120: self.flash.read(EXE, PART_NUMBER_BYTES).rstrip(b"\0"),
            0xF121: self.flash.read(DATA, PART_NUMBER_BYTES).rstrip(b"\0"),
            0xF18C: b"SN00471",
        }

    def sid_28(self, request: bytes) -> bytes:
        return self._only_of_the_application(request)

    def sid_85(self, request: bytes) -> bytes:
        return self._only_of_the_application(request)

    def _only_of_the_application(self, request: bytes) -> bytes:
        if self.boot:
            raise Refused(0x11)
        if self.session != EXTENDED:
            raise Refused(0x7F)
        return request[1:2]

    def key_of(self, seed: bytes) -> bytes:
        return key_of(seed)

    # Downloads --------------------------------------------------------------------------------------

    def may_program(self, address: int, length: int) -> bool:
        if not self.secondary:
            return address >= RAM and address + length <= RAM + RAM_BYTES
        return super().may_program(address, length)

    def program(self, address: int, data: bytes) -> None:
        if address >= RAM:
            self.ram[address] = data
        else:
            super().program(address, data)

    def sid_34(self, request: bytes) -> bytes:
        if len(request) != 11 or request[2] != 0x44:
            raise Refused(0x13)
        address, length = (int.from_bytes(request[n : n + 4], "big") for n in (3, 7))
        self._is_part_of("exe" if EXE <= address < EXE + EXE_BYTES else "data" if address < RAM else "sbl")
        return self.begin_transfer(request[1], address, length)

    def _is_part_of(self, part: str) -> None:
        """Begin the sum that the signature is over, when another file's first block comes."""
        if part != self.part:
            self.part, self.digest = part, hashlib.sha256()

    def sid_37(self, _request: bytes) -> bytes:
        ended: Transfer = self.end_transfer()
        self.digest.update(ended.address.to_bytes(4, "big") + ended.length.to_bytes(4, "big") + ended.received)
        return binascii.crc_hqx(ended.received, 0xFFFF).to_bytes(2, "big")

    # Routines ---------------------------------------------------------------------------------------

    def sid_31(self, request: bytes) -> bytes:
        if request[1] != 1:
            raise Refused(0x12)
        if self.session != PROGRAMMING:
            raise Refused(0x7F)
        if not self.unlocked:
            raise Refused(0x33)
        routine, option = request[2:4].hex(), request[4:]
        serve_routine = {
            "ff00": self._erase, "0212": self._check_signature, "0301": self._start_secondary, "0205": self._complete
        }.get(routine)  # fmt: skip
        if serve_routine is None or (not self.secondary and routine in ("ff00", "0205")):
            raise Refused(0x31)
        return request[1:4] + serve_routine(option)

    def _erase(self, option: bytes) -> bytes:
        if len(option) != 8:
            raise Refused(0x13)
        address, length = int.from_bytes(option[:4], "big"), int.from_bytes(option[4:], "big")
        if address % SECTOR_BYTES or length % SECTOR_BYTES or not self.flash.holds(address, length):
            raise Refused(0x31)
        self.notes.put(**{"exe" if address < DATA else "data": False})
        self.part = None
        self.busy(0x31, 0.05)
        self.flash.erase(address, length)
        return b"\x00"

    def _check_signature(self, signature: bytes) -> bytes:
        key = load_pem_public_key(self.options.key.read_bytes())
        assert isinstance(key, RSAPublicKey)
        if self.part is None or self.transfer is not None:
            raise Refused(0x24)
        self.busy(0x31, 0.02)
        part, self.part = self.part, None
        try:
            # the sum over the blocks is what is signed, hashed once more by the signature itself
            key.verify(signature, self.digest.digest(), padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return b"\x10\x01"
        if part == "sbl":
            self.ram_is_genuine = True
        else:
            self.notes.put(**{part: True})
        return b"\x10\x00"

    def _start_secondary(self, option: bytes) -> bytes:
        if not self.ram_is_genuine or int.from_bytes(option, "big") not in self.ram:
            raise Refused(0x31)
        self.secondary = True
        return b"\x10\x00"

    def _complete(self, _option: bytes) -> bytes:
        missing = (not self.notes.get("exe")) | (not self.notes.get("data")) << 1
        return b"\x10" + (missing or (0 if self._compatible() else 4)).to_bytes(4, "big")


def main() -> None:
    """Serve on the adapter that the command line names."""
    given = options("a unit that is flashed by VBF files").parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    address = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=RESPONSE, rxid=REQUEST)
    serve(VbfLoader(given.folder, given), open_bus(given), address, (FUNCTIONAL, False))


if __name__ == "__main__":
    main()
