"""Which package bytes reached the vehicle, found among the HTTP exchanges, and whether they were genuine.

A delivery is what had come when its last byte was there. A 206 whose offset nobody recorded may be a tail: the zip's
end record tells how long the whole is, so it can be put behind what came before. A piece that cannot be placed leaves
its delivery undecided.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.core.canonical import sha256_hex
from bench.core.records import HttpRecord
from bench.oracle.decode_package import PackagedImage, PackageFindings, examine_package
from bench.oracle.facts import Facts
from bench.oracle.findings import at, bench
from bench.oracle.result import Evidence
from bench.oracle.state import Instant

OK, PARTIAL_CONTENT = 200, 206
_END_RECORD = b"PK\x05\x06"
_END_BYTES = 22


@dataclass(frozen=True, slots=True)
class Delivery:
    """The package as it stood after one exchange; `findings` is None when a piece of it could not be placed."""

    t_ns: int
    part: str
    size_bytes: int
    findings: PackageFindings | None

    @property
    def genuine(self) -> bool:
        """Whether it was put together and may be installed."""
        return self.findings is not None and self.findings.genuine

    def evidence(self) -> Evidence:
        """Return what was delivered and what the judge thinks of it."""
        if self.findings is None:
            return at("http", self.part, self.t_ns, f"{self.size_bytes} bytes of a package whose place is unknown")
        if not self.findings.genuine:
            why = f"{self.size_bytes} bytes, not genuine: {self.findings.why_not()}"
            return at("http", self.part, self.t_ns, why)
        images = ", ".join(f"{image.ecu} {image.header.version}" for image in self.findings.images)
        return at("http", self.part, self.t_ns, f"{self.size_bytes} bytes, a genuine package: {images}")


class Deliveries:
    """Every delivery of the package, in order; none when nothing of it came."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._so_far = b""
        self._examined: dict[str, PackageFindings] = {}
        self.found: list[Delivery] = []

    def take(self, exchange: HttpRecord) -> None:
        """Read an HTTP exchange."""
        if not _is_package(exchange, self._facts.package_url_suffix):
            return
        came = exchange.delivered
        whole = came if exchange.status == OK else _resumed(self._so_far, came, exchange.offset)
        if whole is None:
            self.found.append(Delivery(exchange.last_byte_ns, exchange.part, len(came), None))
            return
        self._so_far = whole or self._so_far  # a head without a body overwrites nothing
        self.found.append(Delivery(exchange.last_byte_ns, exchange.part, len(whole), self._examine(whole)))

    def _examine(self, whole: bytes) -> PackageFindings:
        name = sha256_hex(whole)
        if name not in self._examined:
            self._examined[name] = examine_package(whole, self._facts)
        return self._examined[name]

    def genuine_images(self, ecu: str) -> Iterator[PackagedImage]:
        """Yield the images for an ECU in the genuine packages that have come by now."""
        for delivery in self.found:
            if delivery.genuine and delivery.findings is not None:
                yield from (image for image in delivery.findings.images if image.ecu == ecu)

    @property
    def undecided(self) -> bool:
        """Whether a piece came that cannot be placed."""
        return any(delivery.findings is None for delivery in self.found)

    def last_before(self, t_ns: int) -> Delivery | None:
        """Return the delivery that was complete last by an instant: the one that an agent may act upon then."""
        return next((delivery for delivery in reversed(self.found) if delivery.t_ns <= t_ns), None)

    def first_genuine_ns(self) -> int | None:
        """Return when a genuine package first came."""
        return next((d.t_ns for d in self.found if d.genuine), None)

    def evidence(self) -> list[Evidence]:
        """Return what was delivered, or that nothing was."""
        return [delivery.evidence() for delivery in self.found] or [bench("no package was delivered")]

    def key(self) -> Hashable:
        """Return its state, what came as hashes."""
        came = tuple((Instant(d.t_ns), d.size_bytes, d.genuine) for d in self.found)
        return (sha256_hex(self._so_far), came, tuple(self._examined))


def _is_package(exchange: HttpRecord, suffix: str) -> bool:
    named = exchange.url.endswith(suffix) or urlsplit(exchange.url).path.endswith(suffix)
    return exchange.method == "GET" and exchange.status in (OK, PARTIAL_CONTENT) and named


def _resumed(so_far: bytes, piece: bytes, offset: int | None) -> bytes | None:
    """Return the package with `piece` in its place; None when the piece leaves a gap.

    Where its offset is not known, only a piece that is the tail has a place.
    """
    if offset is not None:
        return so_far[:offset] + piece if offset <= len(so_far) else None
    end = piece.rfind(_END_RECORD)
    if end < 0 or end + _END_BYTES > len(piece):
        return None
    directory_bytes = int.from_bytes(piece[end + 12 : end + 16], "little")
    directory_offset = int.from_bytes(piece[end + 16 : end + 20], "little")
    start = directory_offset + directory_bytes - end
    return so_far[:start] + piece if 0 <= start <= len(so_far) else None
