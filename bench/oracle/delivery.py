"""Which package bytes reached the vehicle, found among the HTTP exchanges, and whether they were genuine.

A 206 body has no offset in the record: the zip's end record tells how long the whole is, so a tail can be put
behind what came before. A piece that cannot be placed leaves its delivery undecided.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.core.records import HttpRecord, RunRecord
from bench.oracle.decode_package import PackageFindings, examine_package
from bench.oracle.findings import at
from bench.oracle.result import Evidence

_END_RECORD = b"PK\x05\x06"
_END_BYTES = 22


@dataclass(frozen=True, slots=True)
class Delivery:
    """The package as it stood after one exchange; `findings` is None when a piece of it could not be placed."""

    t_ns: int
    part: str
    size_bytes: int
    findings: PackageFindings | None

    def evidence(self) -> Evidence:
        """Return what was delivered and what the judge thinks of it."""
        if self.findings is None:
            return at("http", self.part, self.t_ns, f"{self.size_bytes} bytes of a package whose place is unknown")
        if not self.findings.genuine:
            why = f"{self.size_bytes} bytes, not genuine: {self.findings.why_not()}"
            return at("http", self.part, self.t_ns, why)
        images = ", ".join(f"{image.ecu} {image.header.version}" for image in self.findings.images)
        return at("http", self.part, self.t_ns, f"{self.size_bytes} bytes, a genuine package: {images}")


def deliveries(record: RunRecord) -> tuple[Delivery, ...]:
    """Return every delivery of the package in order; none when nothing of it came."""
    examined: dict[bytes, PackageFindings] = {}
    found: list[Delivery] = []
    so_far = b""
    for exchange in record.http:
        if not _is_package(exchange, record.package_url_suffix):
            continue
        whole = exchange.response_body if exchange.status == 200 else _resumed(so_far, exchange.response_body)
        if whole is not None:
            so_far = whole
            if whole not in examined:
                examined[whole] = examine_package(whole, record)
        size_bytes = len(exchange.response_body if whole is None else whole)
        findings = None if whole is None else examined[whole]
        found.append(Delivery(exchange.t_ns, exchange.part, size_bytes, findings))
    return tuple(found)


def first_genuine_ns(found: tuple[Delivery, ...]) -> int | None:
    """Return when a genuine package first came."""
    return next((d.t_ns for d in found if d.findings is not None and d.findings.genuine), None)


def _is_package(exchange: HttpRecord, suffix: str) -> bool:
    named = exchange.url.endswith(suffix) or urlsplit(exchange.url).path.endswith(suffix)
    return exchange.method == "GET" and exchange.status in (200, 206) and named


def _resumed(so_far: bytes, piece: bytes) -> bytes | None:
    """Return the package with `piece` as its tail; None when the piece is no tail or leaves a gap."""
    end = piece.rfind(_END_RECORD)
    if end < 0 or end + _END_BYTES > len(piece):
        return None
    directory_bytes = int.from_bytes(piece[end + 12 : end + 16], "little")
    directory_offset = int.from_bytes(piece[end + 16 : end + 20], "little")
    start = directory_offset + directory_bytes - end
    return so_far[:start] + piece if 0 <= start <= len(so_far) else None
