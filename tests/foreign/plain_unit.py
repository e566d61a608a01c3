"""A unit with nothing that could be left out: no 0x27, no 0x28, no 0x31, no 0x85, no version.

`python -m tests.foreign.plain_unit FOLDER --channel 239.74.163.2`. 0x34 erases what it is asked for; the answer to
0x37 is the check: the last four bytes of the range are the CRC-32 of all before them, else 0x72. There is no
functional identifier. Memory can be read back (0x23).
"""

from __future__ import annotations

import zlib
from typing import ClassVar

import isotp

from tests.foreign.server import PROGRAMMING, Refused, UdsServer, open_bus, options, serve

REQUEST, RESPONSE = 0x6F0, 0x6F8
START, SIZE_BYTES = 0x2000, 0x1_0000
CRC_BYTES = 4


class PlainUnit(UdsServer):
    """The unit: application and bootloader in one program."""

    regions: ClassVar = {START: SIZE_BYTES}

    def complete(self) -> bool:
        return bool(self.notes.get("length"))

    def identifiers(self) -> dict[int, bytes]:
        return {0xF18A: b"MAKER C"}

    def sid_34(self, request: bytes) -> bytes:
        if len(request) != 7 or request[2] != 0x22:
            raise Refused(0x13)
        address, length = int.from_bytes(request[3:5], "big"), int.from_bytes(request[5:], "big")
        self.unlocked = True
        if self.session == PROGRAMMING and self.flash.holds(address, length):
            self.notes.put(length=0)
            self.busy(0x34, 0.04)
            self.flash.erase(address, length)
        return self.begin_transfer(request[1], address, length)

    def sid_37(self, _request: bytes) -> bytes:
        ended = self.end_transfer()
        self.busy(0x37, 0.02)
        stored = self.flash.read(ended.address, ended.length)
        if zlib.crc32(stored[:-CRC_BYTES]).to_bytes(CRC_BYTES, "big") != stored[-CRC_BYTES:]:
            raise Refused(0x72)
        self.notes.put(length=ended.length)
        return b""

    def sid_23(self, request: bytes) -> bytes:
        if len(request) != 6 or request[1] != 0x22:
            raise Refused(0x13)
        address, length = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:], "big")
        if not self.flash.holds(address, length) or length > 512:
            raise Refused(0x31)
        return self.flash.read(address, length)


def main() -> None:
    """Serve on the adapter that the command line names."""
    given = options("a unit with nothing that could be left out").parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    address = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=RESPONSE, rxid=REQUEST)
    serve(PlainUnit(given.folder, given), open_bus(given), address, None)


if __name__ == "__main__":
    main()
