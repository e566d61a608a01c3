"""A unit that only an ODX-F document describes: 29-bit normal fixed addresses, compressed data, blocks by index.

`python -m tests.foreign.odx_unit FOLDER --channel 239.74.163.2 --key PUBLIC.pem`. A logical block is erased by its
index (31 01 FF00); 0x34 has sizes of three bytes and takes raw deflate as method 1; 31 01 0202 compares a range with a
CRC-32; 31 01 0203 takes the Ed25519 signature of a whole block. Hardware is F191, versions are F195 (application) and
F196 (calibration).
"""

from __future__ import annotations

import zlib
from typing import ClassVar

import isotp
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.foreign.server import DEFLATED, PLAIN, PROGRAMMING, Refused, UdsServer, open_bus, options, serve

OURS, TESTER = 0x40, 0xF1
FUNCTIONAL = 0x18DB33F1
CALIBRATION, APPLICATION = 0x8000_0000, 0x8001_0000
BLOCKS = {1: (CALIBRATION, 0x8000), 2: (APPLICATION, 0x2_0000)}
"""Logical block index: first address, size in bytes."""
NAME_BYTES = 8
"""The version stands in the first bytes of each block."""
SEED, SECRET = bytes.fromhex("11223344"), b"odx unit"


def key_of(seed: bytes) -> bytes:
    """Return the key of a seed, four bytes each."""
    return zlib.crc32(seed + SECRET).to_bytes(4, "big")


class OdxUnit(UdsServer):
    """The unit: application and bootloader in one program."""

    regions: ClassVar = dict(BLOCKS.values())
    fixed_seed = SEED
    level = 0x11
    packings = (PLAIN, DEFLATED)

    def complete(self) -> bool:
        return all(self.notes.get(f"block {index}") for index in BLOCKS)

    def identifiers(self) -> dict[int, bytes]:
        known = {0xF191: b"HW-4711", 0xF18A: b"MAKER B"}
        if not self.boot:
            known[0xF195] = self.flash.read(APPLICATION, NAME_BYTES).rstrip(b"\0")
            known[0xF196] = self.flash.read(CALIBRATION, NAME_BYTES).rstrip(b"\0")
        return known

    def sid_28(self, request: bytes) -> bytes:
        return request[1:2]

    def sid_85(self, request: bytes) -> bytes:
        return request[1:2]

    def key_of(self, seed: bytes) -> bytes:
        return key_of(seed)

    def sid_34(self, request: bytes) -> bytes:
        if len(request) != 10 or request[2] != 0x34:
            raise Refused(0x13)
        return self.begin_transfer(request[1], int.from_bytes(request[3:7], "big"), int.from_bytes(request[7:], "big"))

    def sid_37(self, _request: bytes) -> bytes:
        self.end_transfer()
        return b""

    def sid_31(self, request: bytes) -> bytes:
        if request[1] != 1:
            raise Refused(0x12)
        if self.session != PROGRAMMING:
            raise Refused(0x7F)
        if not self.unlocked:
            raise Refused(0x33)
        routine, option = request[2:4].hex(), request[4:]
        serve_routine = {"ff00": self._erase, "0202": self._check_sum, "0203": self._check_signature}.get(routine)
        if serve_routine is None:
            raise Refused(0x31)
        return request[1:4] + serve_routine(option)

    def _erase(self, option: bytes) -> bytes:
        if len(option) != 1:
            raise Refused(0x13)
        if option[0] not in BLOCKS:
            raise Refused(0x31)
        self.notes.put(**{f"block {option[0]}": False})
        for _ in range(2):
            self.busy(0x31, 0.03)
        self.flash.erase(*BLOCKS[option[0]])
        return b"\x00"

    def _check_sum(self, option: bytes) -> bytes:
        if len(option) != 11:
            raise Refused(0x13)
        address, length = int.from_bytes(option[:4], "big"), int.from_bytes(option[4:7], "big")
        if not self.flash.holds(address, length):
            raise Refused(0x31)
        self.busy(0x31, 0.02)
        # one that lost data while it was upset believes what it acknowledged: only reading back shows it
        right = self.upset or zlib.crc32(self.flash.read(address, length)) == int.from_bytes(option[7:], "big")
        return b"\x00" if right else b"\x05"

    def _check_signature(self, option: bytes) -> bytes:
        index, length, signature = option[0], int.from_bytes(option[1:4], "big"), option[4:]
        if index not in BLOCKS or length > BLOCKS[index][1]:
            raise Refused(0x31)
        key = load_pem_public_key(self.options.key.read_bytes())
        assert isinstance(key, Ed25519PublicKey)
        try:
            key.verify(signature, self.flash.read(BLOCKS[index][0], length))
        except InvalidSignature:
            if not self.upset:
                return b"\x06"
        self.notes.put(**{f"block {index}": True})
        return b"\x00"

    def sid_23(self, request: bytes) -> bytes:
        if len(request) != 9 or request[1] != 0x34:
            raise Refused(0x13)
        address, length = int.from_bytes(request[2:6], "big"), int.from_bytes(request[6:], "big")
        if not self.unlocked:
            raise Refused(0x33)
        if not self.flash.holds(address, length) or length > 1024:
            raise Refused(0x31)
        return self.flash.read(address, length)


def main() -> None:
    """Serve on the adapter that the command line names."""
    given = options("a unit that only an ODX-F document describes").parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    mode = isotp.AddressingMode.NormalFixed_29bits
    address = isotp.Address(mode, source_address=OURS, target_address=TESTER)
    serve(OdxUnit(given.folder, given), open_bus(given), address, (FUNCTIONAL, True))


if __name__ == "__main__":
    main()
