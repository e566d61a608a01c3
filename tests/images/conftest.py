"""ODX-F documents and PDX containers, made by hand."""

from __future__ import annotations

import io
import zipfile
from types import SimpleNamespace

import bincopy
import pytest

XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def hex_text(*parts: tuple[int, bytes]) -> str:
    """Return an Intel HEX text that holds `parts`."""
    out = bincopy.BinFile()
    for address, data in parts:
        out.add_binary(data, address)
    return str(out.as_ihex())


def flashdata(name: str, selection: str, content: str, method: str = "") -> str:
    """Return FLASHDATA: inside the document, or `content` is `file:NAME`."""
    kind, file = ("EXTERN", content[5:]) if content.startswith("file:") else ("INTERN", "")
    inner = f'<DATAFILE LATEBOUND-DATAFILE="false">{file}</DATAFILE>' if file else f"<DATA>{content}</DATA>"
    coded = method and f'<ENCRYPT-COMPRESS-METHOD TYPE="A_BYTEFIELD">{method}</ENCRYPT-COMPRESS-METHOD>'
    return f"""
    <FLASHDATA ID="fd.{name}" xsi:type="{kind}-FLASHDATA"><SHORT-NAME>{name}</SHORT-NAME>
      <DATAFORMAT SELECTION="{selection}"/>{coded}{inner}</FLASHDATA>"""


def segment(
    name: str, start: int, *, last: int | None = None, size: int | None = None, packed: int | None = None
) -> str:
    """Return a SEGMENT with one of last address and size."""
    end = f"<UNCOMPRESSED-SIZE>{size}</UNCOMPRESSED-SIZE>" if last is None else ""
    end = end if last is None else f"<SOURCE-END-ADDRESS>{last:08X}</SOURCE-END-ADDRESS>"
    packed_size = "" if packed is None else f"<COMPRESSED-SIZE>{packed}</COMPRESSED-SIZE>"
    return f"""
        <SEGMENT ID="seg.{name}"><SHORT-NAME>{name}</SHORT-NAME>
          <SOURCE-START-ADDRESS>{start:08X}</SOURCE-START-ADDRESS>{packed_size}{end}</SEGMENT>"""


def block(name: str, data: str, segments: str = "", extra: str = "", offset: str = "") -> str:
    """Return a DATABLOCK with an own ident and a signature."""
    return f"""
    <DATABLOCK ID="db.{name}" TYPE="CODE"><SHORT-NAME>{name}</SHORT-NAME>
      <LOGICAL-BLOCK-INDEX>01</LOGICAL-BLOCK-INDEX><FLASHDATA-REF ID-REF="fd.{data}"/>{extra}
      <SEGMENTS>{segments}</SEGMENTS>{offset}
      <OWN-IDENTS><OWN-IDENT ID="oi.{name}"><SHORT-NAME>version</SHORT-NAME>
        <IDENT-VALUE TYPE="A_ASCIISTRING">1.2.0</IDENT-VALUE></OWN-IDENT></OWN-IDENTS>
      <SECURITYS><SECURITY><FW-SIGNATURE TYPE="A_BYTEFIELD">AABBCC</FW-SIGNATURE></SECURITY></SECURITYS>
      <AUDIENCE IS-SUPPLIER="true"><ENABLED-AUDIENCE-REFS><ENABLED-AUDIENCE-REF ID-REF="elsewhere"/>
      </ENABLED-AUDIENCE-REFS></AUDIENCE>
    </DATABLOCK>"""


def session(name: str, *blocks: str) -> str:
    """Return a SESSION with an expected ident, a checksum and a security."""
    refs = "".join(f'<DATABLOCK-REF ID-REF="db.{each}"/>' for each in blocks)
    return f"""
    <SESSION ID="s.{name}"><SHORT-NAME>{name}</SHORT-NAME>
      <EXPECTED-IDENTS><EXPECTED-IDENT ID="ei.{name}"><SHORT-NAME>hardware</SHORT-NAME><IDENT-VALUES>
        <IDENT-VALUE TYPE="A_ASCIISTRING">BCM-HW-03</IDENT-VALUE>
        <IDENT-VALUE TYPE="A_ASCIISTRING">BCM-HW-04</IDENT-VALUE>
      </IDENT-VALUES></EXPECTED-IDENT></EXPECTED-IDENTS>
      <CHECKSUMS><CHECKSUM ID="cs.{name}"><SHORT-NAME>whole</SHORT-NAME>
        <SOURCE-START-ADDRESS>00008000</SOURCE-START-ADDRESS><CHECKSUM-ALG>CRC32</CHECKSUM-ALG>
        <SOURCE-END-ADDRESS>0000800F</SOURCE-END-ADDRESS>
        <CHECKSUM-RESULT TYPE="A_BYTEFIELD">12345678</CHECKSUM-RESULT></CHECKSUM></CHECKSUMS>
      <SECURITYS><SECURITY><SECURITY-METHOD TYPE="A_ASCIISTRING">ED25519</SECURITY-METHOD></SECURITY></SECURITYS>
      <DATABLOCK-REFS>{refs}</DATABLOCK-REFS></SESSION>"""


def document(sessions: str, blocks: str, flashdatas: str, described: str = "APP") -> str:
    """Return an ODX-F document whose session `described` has a part number; it refers to layers that are not there."""
    return f"""{XML}<ODX MODEL-VERSION="2.2.0" {XSI}><FLASH ID="fl.BCM"><SHORT-NAME>BCM</SHORT-NAME>
  <ECU-MEMS><ECU-MEM ID="em.BCM"><SHORT-NAME>BCM_MEM</SHORT-NAME><MEM>
    <SESSIONS>{sessions}</SESSIONS><DATABLOCKS>{blocks}</DATABLOCKS><FLASHDATAS>{flashdatas}</FLASHDATAS>
  </MEM></ECU-MEM></ECU-MEMS>
  <ECU-MEM-CONNECTORS><ECU-MEM-CONNECTOR ID="c.BCM"><SHORT-NAME>BCM_CONNECTOR</SHORT-NAME>
    <SESSION-DESCS><SESSION-DESC DIRECTION="DOWNLOAD"><SHORT-NAME>D</SHORT-NAME><PARTNUMBER>BCM-17</PARTNUMBER>
      <SESSION-SNREF SHORT-NAME="{described}"/></SESSION-DESC></SESSION-DESCS>
    <ECU-MEM-REF ID-REF="em.BCM"/>
    <LAYER-REFS><LAYER-REF ID-REF="bv.BCM" DOCREF="BCM" DOCTYPE="CONTAINER"/></LAYER-REFS>
  </ECU-MEM-CONNECTOR></ECU-MEM-CONNECTORS></FLASH></ODX>"""


def pdx(odx: str, files: dict[str, bytes] | None = None) -> bytes:
    """Return a PDX container: a zip of index.xml, the document and data files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as container:
        container.writestr("index.xml", f"{XML}<CATALOG><SHORT-NAME>BCM</SHORT-NAME></CATALOG>")
        container.writestr("bcm.odx-f", odx)
        for name, data in (files or {}).items():
            container.writestr(name, data)
    return out.getvalue()


def pos_offset(offset: int) -> str:
    """Return a TARGET-ADDR-OFFSET that is added."""
    number = f"<POSITIVE-OFFSET>{offset:08X}</POSITIVE-OFFSET>"
    return f'<TARGET-ADDR-OFFSET xsi:type="POS-OFFSET">{number}</TARGET-ADDR-OFFSET>'


@pytest.fixture
def two_sessions() -> bytes:
    """A PDX with two sessions: APP (Intel HEX inside, binary in a file), DATA (S-records in a file)."""
    records = bincopy.BinFile()
    records.add_binary(b"dataset", 0x100)
    return pdx(
        document(
            session("APP", "code", "table") + session("DATA", "dataset"),
            block("code", "code", segment("code", 0x8000, last=0x800F))
            + block("table", "table", segment("low", 0x9000, size=3) + segment("high", 0xA000, last=0xA001))
            + block("dataset", "dataset", "", offset=pos_offset(0x10000)),
            flashdata("code", "INTEL-HEX", hex_text((0x8000, b"application code")))
            + flashdata("table", "BINARY", "file:table.bin")
            + flashdata("dataset", "MOTOROLA-S", "file:data/set.s19"),
        ),
        {"table.bin": b"\x00\xff\x80hi", "data/set.s19": str(records.as_srec()).encode() + b"S70500000000FA\n"},
    )


@pytest.fixture
def odx() -> SimpleNamespace:
    """The functions that make documents and their parts."""
    makers = (hex_text, flashdata, segment, block, session, document, pdx, pos_offset)
    return SimpleNamespace(**{make.__name__: make for make in makers})
