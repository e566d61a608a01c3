"""A healthy run written out by hand, and tiny builders of its bytes; nothing here comes from the judged code."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace as plain_replace
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.core.records import (
    UNWATCHED,
    BankLayout,
    BootRecord,
    DidReading,
    DtcReading,
    EcuLayout,
    ExecutionRecord,
    FlashDump,
    FrameRecord,
    HttpRecord,
    ImageReference,
    Limits,
    MemoryRegion,
    PowerRecord,
    RunRecord,
    ServerEvent,
    StoredFile,
    Surroundings,
    Watched,
)
from bench.oracle import decode_package
from bench.oracle.decode_package import PackageFindings
from bench.oracle.delivery import Deliveries, Delivery
from bench.oracle.facts import Facts, Source
from bench.oracle.judge import judge_one
from bench.oracle.result import Invariant, InvariantVerdict

MS = 1_000_000
S = 1_000 * MS
VIN = "ZZZ00TABENCH00001"
HEADER_ADDRESS = 0x00F00000
SUFFIX = "/packages/spring.zip"
HARDWARE = {"body": "BCM-HW-03", "gateway": "GW-HW-02"}
SOFTWARE = {"body": "BCM-APP", "gateway": "GW-APP"}
REQUEST = {"body": 0x7A0, "gateway": 0x7A1}
RESPONSE = {"body": 0x7A8, "gateway": 0x7A9}
BANKS = {"body": ("A",), "gateway": ("A", "B")}


T = TypeVar("T")


def watched(items: Any, ended_t_ns: int = 10 * S) -> Any:
    """A source that was watched all the time; None: one that nobody watched."""
    if isinstance(items, Watched):
        return items
    return UNWATCHED if items is None else Watched.during(items, 0, ended_t_ns)


def replace(value: T, /, **changes: Any) -> T:
    """`dataclasses.replace`, for which the sources of a record may be written as tuples."""
    if isinstance(value, RunRecord):
        names = [source.value for source in Source]
        ended_t_ns = changes.get("ended_t_ns", value.ended_t_ns)
        if ended_t_ns != value.ended_t_ns:  # who watched all the time went on
            kept = {name: getattr(value, name) for name in names if getattr(value, name).watched}
            changes = {**{name: watched(source.items, ended_t_ns) for name, source in kept.items()}, **changes}
        changes = {name: watched(item, ended_t_ns) if name in names else item for name, item in changes.items()}
    changed: T = plain_replace(value, **changes)  # type: ignore[type-var]
    return changed


def authentic(record: RunRecord) -> InvariantVerdict:
    return judge_one(record, Invariant.AUTHENTIC)


def bootable(record: RunRecord) -> InvariantVerdict:
    return judge_one(record, Invariant.BOOTABLE)


def whole(record: RunRecord) -> InvariantVerdict:
    return judge_one(record, Invariant.WHOLE)


def truthful(record: RunRecord) -> InvariantVerdict:
    return judge_one(record, Invariant.TRUTHFUL)


def live(record: RunRecord) -> InvariantVerdict:
    return judge_one(record, Invariant.LIVE)


def tidy(record: RunRecord) -> InvariantVerdict:
    return judge_one(record, Invariant.TIDY)


def silent(record: RunRecord) -> InvariantVerdict:
    return judge_one(record, Invariant.SILENT)


def neighbours(record: RunRecord) -> InvariantVerdict:
    return judge_one(record, Invariant.NEIGHBOURS)


def deliveries(record: RunRecord) -> tuple[Delivery, ...]:
    found = Deliveries(Facts.of(record))
    for exchange in record.http.items:
        found.take(exchange)
    return tuple(found.found)


def first_genuine_ns(found: Sequence[Delivery]) -> int | None:
    return next((delivery.t_ns for delivery in found if delivery.genuine), None)


def examine_package(raw: bytes, record: RunRecord) -> PackageFindings:
    return decode_package.examine_package(raw, Facts.of(record))


def key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"vectors {name}".encode()).digest())


def public(name: str) -> bytes:
    return key(name).public_key().public_bytes_raw()


def payload(text: str, length: int = 600) -> bytes:
    """Bytes that repeat nowhere, different for each text."""
    return b"".join(hashlib.sha256(f"{text}{n}".encode()).digest() for n in range(length // 32 + 1))[:length]


def header(
    ecu: str, version: str, counter: int, data: bytes, *,
    hardware: str = "", signer: str = "image", load_address: int = 0,
) -> bytes:  # fmt: skip
    texts = (hardware or HARDWARE[ecu], SOFTWARE[ecu], version)
    numbers = b"".join(number.to_bytes(4, "big") for number in (counter, load_address, len(data)))
    signed = b"OTBIMG1\x00" + b"".join(text.encode().ljust(32, b"\x00") for text in texts) + numbers + bytes(44)
    signed += hashlib.sha256(data).digest()
    return signed + key(signer).sign(signed)


def reference(ecu: str, role: str, version: str, counter: int) -> ImageReference:
    data = payload(f"{ecu} {version}")
    return ImageReference(ecu, role, version, header(ecu, version, counter, data), data)


OLD = {ecu: reference(ecu, "installed", "1.0.0", 1) for ecu in ("body", "gateway")}
NEW = {ecu: reference(ecu, "target", "2.0.0", 2) for ecu in ("body", "gateway")}


def entry(ecu: str, file: bytes, **changes: object) -> dict[str, object]:
    number = int.from_bytes(file[104:108], "big")
    texts = [file[start : start + 32].rstrip(b"\x00").decode() for start in (8, 40, 72)]
    return {
        "ecu": ecu, "hardware_id": texts[0], "software_id": texts[1], "version": texts[2], "release_counter": number,
        "length": len(file), "sha256": hashlib.sha256(file).hexdigest(), **changes,
    }  # fmt: skip


def package(
    files: Mapping[str, bytes],
    entries: Sequence[Mapping[str, object]] | None = None,
    *,
    signer: str = "package",
    change: Callable[[dict[str, bytes]], None] = lambda members: None,
) -> bytes:
    """Zip and sign; `change` alters the members after signing."""
    listed = [entry(ecu, file) for ecu, file in files.items()] if entries is None else list(entries)
    manifest = json.dumps({"schema": 1, "package_id": "spring", "images": listed}).encode()
    members = {"manifest.json": manifest, "manifest.sig": key(signer).sign(manifest)}
    members |= {f"images/{ecu}.bin": file for ecu, file in files.items()}
    change(members)
    return zipped(members)


def zipped(members: Mapping[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, (2030, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return held.getvalue()


FILES = {ecu: image.header + image.data for ecu, image in NEW.items()}
PACKAGE = package(FILES)


def flip_body_payload(members: dict[str, bytes]) -> None:
    file = members["images/body.bin"]
    members["images/body.bin"] = file[:-1] + bytes((file[-1] ^ 1,))


FORGED = package(FILES, change=flip_body_payload)


def spoken(t_ns: int, can_id: int, message: bytes, sender: str = "agent", channel: str = "can0") -> list[FrameRecord]:
    """Cut a message into 8-byte ISO-TP frames, 0.25 ms apart."""
    if len(message) < 8:
        parts = [bytes((len(message),)) + message]
    else:
        parts = [(0x1000 | len(message)).to_bytes(2, "big") + message[:6]]
        rest = [message[at : at + 7] for at in range(6, len(message), 7)]
        parts += [bytes((0x20 | (n & 15),)) + part for n, part in enumerate(rest, 1)]
    return [
        FrameRecord(t_ns + n * MS // 4, channel, sender, can_id, 0, part.ljust(8, b"\xcc"))
        for n, part in enumerate(parts)
    ]


class Talk:
    """A bus trace that grows: each exchange takes 20 ms."""

    def __init__(self, t_ns: int) -> None:
        self.t_ns = t_ns
        self.frames: list[FrameRecord] = []

    def to_all(self, text: str) -> None:
        self.frames += spoken(self.t_ns, 0x7DF, bytes.fromhex(text))
        self.t_ns += 20 * MS

    def ask(self, ecu: str, request: bytes, answer: str | None) -> None:
        self.frames += spoken(self.t_ns, REQUEST[ecu], request)
        if len(request) > 7:
            flow = FrameRecord(self.t_ns + MS // 10, "can0", ecu, RESPONSE[ecu], 0, bytes.fromhex("300000CCCCCCCCCC"))
            self.frames.append(flow)
        if answer is not None:
            self.frames += spoken(self.t_ns + 15 * MS, RESPONSE[ecu], bytes.fromhex(answer), ecu)
        self.t_ns += 20 * MS
        self.frames.sort(key=lambda frame: frame.t_ns)

    def download(self, ecu: str, address: int, data: bytes, *, complete: bool = True) -> None:
        where = address.to_bytes(4, "big") + len(data).to_bytes(4, "big")
        self.ask(ecu, b"\x34\x00\x44" + where, "74200FFF")
        for n, start in enumerate(range(0, len(data), 256), 1):
            self.ask(ecu, bytes((0x36, n)) + data[start : start + 256], f"76{n:02X}")
        if complete:
            self.ask(ecu, b"\x37", "77")

    def erase(self, ecu: str, answer: str | None = "7101FF0000") -> None:
        self.ask(ecu, bytes.fromhex("3101FF00440000000000004000"), answer)

    def check(self, ecu: str, answer: str = "7101020200") -> None:
        self.ask(ecu, bytes.fromhex("31010202"), answer)

    def flash(self, image: ImageReference) -> None:
        self.ask(image.ecu, b"\x10\x02", "5002003201F4")
        self.erase(image.ecu)
        self.download(image.ecu, 0, image.data)
        self.download(image.ecu, HEADER_ADDRESS, image.header)
        self.check(image.ecu)
        self.ask(image.ecu, b"\x11\x01", "5101")


def healthy_talk() -> Talk:
    """Flash both ECUs from 4 s on; ends before 6 s."""
    talk = Talk(4 * S)
    for text in ("1083", "8582", "288301"):
        talk.to_all(text)
    for ecu in ("body", "gateway"):
        talk.flash(NEW[ecu])
    for text in ("288001", "8581", "1081"):
        talk.to_all(text)
    return talk


def and_the_gateway(frames: Sequence[FrameRecord], *also: str) -> tuple[FrameRecord, ...]:
    """A bus on which the gateway (and others) got new software before: a healthy run executes it."""
    talk = Talk(3 * S + 100 * MS)
    for ecu in (*also, "gateway"):
        talk.download(ecu, 0, NEW[ecu].data)
        talk.download(ecu, HEADER_ADDRESS, NEW[ecu].header)
    return (*talk.frames, *frames)


def boot(t_ns: int, ecu: str, stage: str, bank: str | None = None, reason: str = "power on") -> BootRecord:
    return BootRecord(t_ns, ecu, stage, bank, reason)


def ran(t_ns: int, image: ImageReference, bank: str, floor: int = 1) -> ExecutionRecord:
    return ExecutionRecord(t_ns, image.ecu, bank, 0, image.header, hashlib.sha256(image.data).hexdigest(), floor)


def start(t_ns: int, ecu: str, stage: str, bank: str | None = None) -> tuple[BootRecord, BootRecord]:
    return boot(t_ns, ecu, "boot_manager"), boot(t_ns + 30 * MS, ecu, stage, bank)


def event(seq: int, t_ns: int, kind: str, **data: object) -> ServerEvent:
    return ServerEvent(seq, t_ns, VIN, kind, data)


def server_events() -> tuple[ServerEvent, ...]:
    targets = [{"ecu": ecu, "version": "2.0.0"} for ecu in NEW]
    results = [
        event(5 + n, 8 * S, "component_result", order="o1", ecu=ecu, result_code=1200, version="2.0.0", text="")
        for n, ecu in enumerate(NEW)
    ]
    return (
        event(1, 0, "vehicle_added", dev_id="IMEI:490154203237518"),
        event(2, 1 * S, "inventory", ecus={"body": "1.0.0", "gateway": "1.0.0"}),
        event(3, 2 * S, "order_placed", order="o1", package_id="spring", targets=targets),
        event(4, 2 * S, "order_offered", order="o1", package_id="spring"),
        *results,
        event(7, 8 * S, "inventory", ecus={"body": "2.0.0", "gateway": "2.0.0"}),
        event(8, 8 * S + MS, "order_closed", order="o1", status="success"),
    )


def dump(
    ecu: str, held: Mapping[str, ImageReference], *, erases: int = 3, floor: int | None = None, trial: str | None = None
) -> FlashDump:
    """A dump whose image regions are 1024 bytes, erased behind the image."""
    regions = []
    for bank, image in held.items():
        regions.append(MemoryRegion(f"mark:{bank}", 0x00F10000, b"\x5a" * 16))
        regions.append(MemoryRegion(f"header:{bank}", HEADER_ADDRESS, image.header.ljust(512, b"\xff")))
        regions.append(MemoryRegion(f"image:{bank}", 0, image.data.ljust(1024, b"\xff")))
    return FlashDump(ecu, tuple(regions), erases, 12, (), floor, trial)


def read(ecu: str, did: int, value: bytes | None) -> DidReading:
    return DidReading(10 * S, ecu, did, value)


def http(body: bytes, *, status: int = 200, t_ns: int = 3 * S) -> HttpRecord:
    return HttpRecord(t_ns, "agent", "GET", f"https://dm.test{SUFFIX}", status, b"", body)


def layout(ecu: str) -> EcuLayout:
    banks = tuple(BankLayout(name, 0, 1024) for name in BANKS[ecu])
    return EcuLayout(
        ecu, "can0", REQUEST[ecu], RESPONSE[ecu], HARDWARE[ecu], HEADER_ADDRESS, banks, 500, 0xFF00
    )  # fmt: skip


def healthy() -> RunRecord:
    """Two ECUs updated from 1.0.0 to 2.0.0 without a fault; the gateway ends in bank B."""
    boots = [b for ecu in NEW for b in start(0, ecu, "application", "A")]
    boots += [*start(5 * S, "body", "application", "A"), *start(6 * S, "gateway", "application", "B")]
    executions = [ran(30 * MS, OLD[ecu], "A") for ecu in OLD]
    executions += [ran(5 * S + 30 * MS, NEW["body"], "A"), ran(6 * S + 30 * MS, NEW["gateway"], "B")]
    return RunRecord(
        vin=VIN,
        ended_t_ns=10 * S,
        ended_by="quiet",
        limits=Limits(20 * S, S),
        expects_update=True,
        layouts=(layout("body"), layout("gateway")),
        references=(*OLD.values(), *NEW.values()),
        image_public_key=public("image"),
        package_public_key=public("package"),
        package_url_suffix=SUFFIX,
        faults=(),
        power=watched(tuple(PowerRecord(0, part, True, "supply") for part in ("agent", "body", "gateway"))),
        server_events=watched(server_events()),
        http=watched((http(PACKAGE),)),
        readings=watched(tuple(r for ecu in NEW for r in (read(ecu, 0xF186, b"\x01"), read(ecu, 0xF189, b"2.0.0")))),
        frames=watched(tuple(healthy_talk().frames)),
        flash=watched((dump("body", {"A": NEW["body"]}), dump("gateway", {"A": OLD["gateway"], "B": NEW["gateway"]}))),
        boots=watched(tuple(boots)),
        executions=watched(tuple(executions)),
        agent_files=watched((StoredFile("agent/log.json", 812),)),
        surroundings=Surroundings(("body", "gateway"), (("body", "can0"), ("gateway", "can0")), (), (), (), 0),
        dtcs=watched(tuple(DtcReading(9 * S, ecu, before, ()) for before in (True, False) for ecu in NEW)),
        memory_before=watched(()),
        drive_after_ns=(8 * S + 2 * MS, 9 * S),
    )


def refused() -> RunRecord:
    """The same vehicle given a forged package: it refuses, and nothing is touched."""
    base = healthy()
    results = [
        event(5 + n, 8 * S, "component_result", order="o1", ecu=ecu, result_code=1407, version="", text="forged")
        for n, ecu in enumerate(NEW)
    ]
    closed = event(8, 8 * S, "order_closed", order="o1", status="refused")
    return replace(
        base,
        expects_update=False,
        http=(http(FORGED),),
        server_events=(*base.server_events.items[:4], *results, closed),
        readings=tuple(r for ecu in OLD for r in (read(ecu, 0xF186, b"\x01"), read(ecu, 0xF189, b"1.0.0"))),
        frames=spoken(10 * S - MS, REQUEST["body"], bytes.fromhex("22F189"), "tester"),
        boots=tuple(b for b in base.boots.items if b.t_ns < S),
        executions=tuple(e for e in base.executions.items if e.t_ns < S),
        flash=(
            dump("body", {"A": OLD["body"]}, erases=0),
            dump("gateway", {"A": OLD["gateway"], "B": OLD["gateway"]}, erases=0),
        ),
    )
