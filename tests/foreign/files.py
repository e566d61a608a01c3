"""Firmware of the three foreign ECUs as their makers would hand it out: VBF files, a PDX container, a binary."""

from __future__ import annotations

import binascii
import hashlib
import io
import random
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.foreign import odx_unit, plain_unit, vbf_loader

MAKER_B = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@cache
def maker_a() -> rsa.RSAPrivateKey:
    """Return the signing key of the VBF files, made once a process."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def random_bytes(length: int, seed: int) -> bytes:
    """Return bytes that depend on the seed alone."""
    return random.Random(seed).randbytes(length)


def public_pem(folder: Path, key: rsa.RSAPrivateKey | Ed25519PrivateKey) -> Path:
    """Write the public half beside the ECU."""
    path = folder / "maker.pem"
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


# VBF ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class VbfFile:
    """What a VBF file holds; `raw` is the file."""

    part_number: str
    version: str
    kind: str
    blocks: tuple[tuple[int, bytes], ...]
    erase: tuple[tuple[int, int], ...] = ()
    call: int | None = None

    @property
    def signature(self) -> bytes:
        """The RSA signature over address, length and data of every block."""
        digest = hashlib.sha256()
        for address, data in self.blocks:
            digest.update(address.to_bytes(4, "big") + len(data).to_bytes(4, "big") + data)
        return maker_a().sign(digest.digest(), padding.PKCS1v15(), SHA256())

    @property
    def raw(self) -> bytes:
        """The file's bytes."""
        body = b"".join(
            address.to_bytes(4, "big") + len(data).to_bytes(4, "big") + data
            + binascii.crc_hqx(data, 0xFFFF).to_bytes(2, "big") for address, data in self.blocks
        )  # fmt: skip
        erase = ", ".join(f"{{ 0x{address:08X}, 0x{length:08X} }}" for address, length in self.erase)
        lines = [
            f'sw_part_number = "{self.part_number}";', f'sw_version = "{self.version}";',
            f"sw_part_type = {self.kind};", "network = CAN_HS;", f"ecu_address = 0x{vbf_loader.REQUEST:X};",
            "frame_format = CAN_STANDARD;", *([f"erase = {{ {erase} }};"] if erase else []),
            *([f"call = 0x{self.call:08X};"] if self.call is not None else []),
            f"sw_signature_dev = 0x{self.signature.hex().upper()};", f"file_checksum = 0x{zlib.crc32(body):08X};",
        ]  # fmt: skip
        return ("vbf_version = 2.6;\nheader {\n  " + "\n  ".join(lines) + "\n}").encode() + body


def secondary_bootloader() -> VbfFile:
    """The file that goes first: into RAM, started, gone after a reset."""
    return VbfFile("31394146", "AA", "SBL", ((vbf_loader.RAM, random_bytes(3_000, 1)),), call=vbf_loader.RAM)


def application(version: str, length: int = 20_000) -> VbfFile:
    """Two blocks with a gap; the part number stands in the first bytes."""
    first = f"31394148 {version}".encode().ljust(vbf_loader.PART_NUMBER_BYTES, b"\0") + random_bytes(length, 2)
    blocks = ((vbf_loader.EXE, first), (vbf_loader.EXE + 0x1_0000, random_bytes(5_000, 3)))
    return VbfFile("31394148", version, "EXE", blocks, erase=((vbf_loader.EXE, vbf_loader.EXE_BYTES),))


def data_for(version: str) -> VbfFile:
    """The data that belong to one version of the application."""
    name = b"31394149 AA".ljust(vbf_loader.PART_NUMBER_BYTES, b"\0")
    fits = f"31394148 {version}".encode().ljust(vbf_loader.PART_NUMBER_BYTES, b"\0")
    block = (vbf_loader.DATA, name + fits + random_bytes(4_000, 4))
    return VbfFile("31394149", "AA", "DATA", (block,), erase=((vbf_loader.DATA, vbf_loader.DATA_BYTES),))


# PDX ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OdxBlock:
    """A logical block of the ODX unit: what memory shall hold from its first address on."""

    name: str
    index: int
    data: bytes

    @property
    def address(self) -> int:
        return odx_unit.BLOCKS[self.index][0]

    @property
    def packed(self) -> bytes:
        """The data as method 1 of the maker packs them: raw deflate."""
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(self.data) + packer.flush()

    @property
    def signature(self) -> bytes:
        return MAKER_B.sign(self.data)


def odx_blocks(version: str, length: int = 24_000) -> tuple[OdxBlock, ...]:
    """Return calibration and application; half of the bytes repeat, so that packing is worth it."""

    def content(seed: int, count: int) -> bytes:
        name = version.encode().ljust(odx_unit.NAME_BYTES, b"\0")
        return (name + random_bytes(count // 2, seed) + bytes(count))[:count]

    return OdxBlock("CALIBRATION", 1, content(5, 6_000)), OdxBlock("APPLICATION", 2, content(6, length))


def pdx(blocks: Sequence[OdxBlock], version: str) -> bytes:
    """Return a PDX container whose ODX-F document describes the blocks; their data are files of the container."""
    with io.BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as container:
            container.writestr("unit.odx-f", _document(blocks, version))
            for block in blocks:
                container.writestr(f"{block.name.lower()}.bin", block.packed)
        return buffer.getvalue()


def _document(blocks: Sequence[OdxBlock], version: str) -> str:
    refs = "".join(f'<DATABLOCK-REF ID-REF="MEM.DB.{block.name}"/>' for block in blocks)
    sums = "".join(_checksum(block) for block in blocks)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ODX MODEL-VERSION="2.2.0"><FLASH ID="FLASH.UNIT"><SHORT-NAME>UNIT</SHORT-NAME>
<ECU-MEMS><ECU-MEM ID="MEM"><SHORT-NAME>UNIT_MEM</SHORT-NAME><MEM>
<SESSIONS><SESSION ID="MEM.S"><SHORT-NAME>UPDATE</SHORT-NAME>
<EXPECTED-IDENTS><EXPECTED-IDENT ID="MEM.S.EI"><SHORT-NAME>HARDWARE</SHORT-NAME>
<IDENT-VALUES><IDENT-VALUE TYPE="A_ASCIISTRING">HW-4711</IDENT-VALUE></IDENT-VALUES></EXPECTED-IDENT></EXPECTED-IDENTS>
<CHECKSUMS>{sums}</CHECKSUMS>
<DATABLOCK-REFS>{refs}</DATABLOCK-REFS></SESSION></SESSIONS>
<DATABLOCKS>{"".join(_datablock(block, version) for block in blocks)}</DATABLOCKS>
<FLASHDATAS>{"".join(_flashdata(block) for block in blocks)}</FLASHDATAS>
</MEM></ECU-MEM></ECU-MEMS></FLASH></ODX>
"""


def _checksum(block: OdxBlock) -> str:
    return f"""<CHECKSUM ID="MEM.S.CS.{block.name}"><SHORT-NAME>CS_{block.name}</SHORT-NAME>
<SOURCE-START-ADDRESS>{block.address:08X}</SOURCE-START-ADDRESS><CHECKSUM-ALG>CRC32</CHECKSUM-ALG>
<SOURCE-END-ADDRESS>{block.address + len(block.data) - 1:08X}</SOURCE-END-ADDRESS>
<CHECKSUM-RESULT TYPE="A_BYTEFIELD">{zlib.crc32(block.data):08X}</CHECKSUM-RESULT></CHECKSUM>"""


def _datablock(block: OdxBlock, version: str) -> str:
    end = block.address + len(block.data) - 1
    return f"""<DATABLOCK ID="MEM.DB.{block.name}" TYPE="{"DATA" if block.index == 1 else "CODE"}">
<SHORT-NAME>{block.name}</SHORT-NAME><LOGICAL-BLOCK-INDEX>{block.index:02X}</LOGICAL-BLOCK-INDEX>
<FLASHDATA-REF ID-REF="MEM.FD.{block.name}"/>
<SEGMENTS><SEGMENT ID="MEM.DB.{block.name}.SEG"><SHORT-NAME>SEG_{block.name}</SHORT-NAME>
<SOURCE-START-ADDRESS>{block.address:08X}</SOURCE-START-ADDRESS><COMPRESSED-SIZE>{len(block.packed)}</COMPRESSED-SIZE>
<UNCOMPRESSED-SIZE>{len(block.data)}</UNCOMPRESSED-SIZE>
<SOURCE-END-ADDRESS>{end:08X}</SOURCE-END-ADDRESS></SEGMENT></SEGMENTS>
<OWN-IDENTS><OWN-IDENT ID="MEM.DB.{block.name}.OI"><SHORT-NAME>VERSION</SHORT-NAME>
<IDENT-VALUE TYPE="A_ASCIISTRING">{version}</IDENT-VALUE></OWN-IDENT></OWN-IDENTS>
<SECURITYS><SECURITY><SECURITY-METHOD TYPE="A_ASCIISTRING">ED25519</SECURITY-METHOD>
<FW-SIGNATURE TYPE="A_BYTEFIELD">{block.signature.hex().upper()}</FW-SIGNATURE></SECURITY></SECURITYS></DATABLOCK>"""


def _flashdata(block: OdxBlock) -> str:
    kind = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="EXTERN-FLASHDATA"'
    return f"""<FLASHDATA ID="MEM.FD.{block.name}" {kind}><SHORT-NAME>FD_{block.name}</SHORT-NAME>
<DATAFORMAT SELECTION="BINARY"/>
<ENCRYPT-COMPRESS-METHOD TYPE="A_BYTEFIELD">10</ENCRYPT-COMPRESS-METHOD>
<DATAFILE LATEBOUND-DATAFILE="false">{block.name.lower()}.bin</DATAFILE></FLASHDATA>"""


# Binary ---------------------------------------------------------------------------------------------


def plain_image(length: int = 12_000) -> bytes:
    """Return an image of the plain unit: its last four bytes are the CRC-32 of all before them."""
    body = random_bytes(length - plain_unit.CRC_BYTES, 7)
    return body + zlib.crc32(body).to_bytes(plain_unit.CRC_BYTES, "big")
