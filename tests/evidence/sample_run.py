"""Finished runs told by hand: two ECUs, one power cut in the middle of programming, a few hundred frames."""

from __future__ import annotations

import hashlib
import json

from bench.core.canonical import canonical_json, sha256_hex
from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.journal import Entry, Trace
from bench.core.records import (
    BankLayout,
    BootRecord,
    DidReading,
    EcuLayout,
    ExecutionRecord,
    FaultRecord,
    FlashDump,
    FrameRecord,
    HttpRecord,
    ImageReference,
    Limits,
    MemoryRegion,
    PowerRecord,
    RunRecord,
    ServerEvent,
)
from bench.oracle.result import (
    Evidence,
    FaultSummary,
    Invariant,
    InvariantVerdict,
    RunResult,
    RunVerdict,
    Verdict,
)
from tests.oracle.oracle_vectors import replace, watched

VIN = "ZZZ00TABENCH00001"
POINT = "power.ecu:body:program:12:torn=3"
IMAGE_BYTES, BLOCK_BYTES, BANK_BYTES = 2048, 256, 8192
FRAME_NS = 230_000
BASE = "https://dm.sim"
BODY = EcuLayout("body", "can0", 0x7A0, 0x7A8, "BCM-HW-03", 0xF00000, (BankLayout("A", 0, BANK_BYTES),), 3000, 0xFF00)
GATEWAY = EcuLayout(
    "gateway", "can0", 0x7A1, 0x7A9, "GW-HW-02", 0xF00000,
    (BankLayout("A", 0, BANK_BYTES), BankLayout("B", 0, BANK_BYTES)), 3000, 0xFF00,
)  # fmt: skip
LAYOUTS = (BODY, GATEWAY)
SENTENCES = {
    Invariant.BOOTABLE: "Every ECU answered UDS within its boot time; body and gateway run their application.",
    Invariant.AUTHENTIC: "Every image that was executed carried a valid signature, hardware id and release counter.",
    Invariant.WHOLE: "The flash of every running image equals the signed image, byte by byte.",
    Invariant.TRUTHFUL: "What the server believes of body and gateway equals what UDS reads; the order ended once.",
    Invariant.LIVE: "The vehicle reached the target 7.4 s after the cut; 64.0 s were allowed.",
    Invariant.TIDY: "Normal communication and DTC setting are back, no ECU was flashed twice without need.",
    Invariant.SILENT: "Nothing was erased before the package was verified.",
}


def reference(ecu: str, role: str, version: str) -> ImageReference:
    seed = f"{ecu} {version}".encode()
    data = b"".join(hashlib.sha256(seed + bytes([i])).digest() for i in range(IMAGE_BYTES // 32))
    return ImageReference(ecu, role, version, b"OTAB" + hashlib.sha512(seed).digest() * 3 + bytes(60), data)


REFERENCES = tuple(
    reference(ecu, role, version)
    for ecu in ("body", "gateway")
    for role, version in (("installed", "1.0.0"), ("target", "2.0.0"))
)


def image_of(ecu: str, role: str) -> ImageReference:
    return next(r for r in REFERENCES if (r.ecu, r.role) == (ecu, role))


class Story:
    """A clock that only goes on, and the records that it leaves behind."""

    def __init__(self) -> None:
        self.t_ns = 0
        self.frames: list[FrameRecord] = []
        self.http: list[HttpRecord] = []
        self.events: list[ServerEvent] = []
        self.power: list[PowerRecord] = []
        self.boots: list[BootRecord] = []
        self.executions: list[ExecutionRecord] = []
        self.lines: list[tuple[int, str, str, str]] = []

    def wait(self, ms: float) -> None:
        self.t_ns += round(ms * NS_PER_MS)

    def note(self, part: str, kind: str, payload: str = "") -> None:
        self.lines.append((self.t_ns, part, kind, payload))

    def frame(self, sender: str, can_id: int, data: bytes) -> None:
        self.t_ns += FRAME_NS
        record = FrameRecord(self.t_ns, "can0", sender, can_id, 0, data.ljust(8, b"\xcc"))
        self.frames.append(record)
        self.note("can0", "frame", record.text())

    def message(self, sender: str, other: str, ids: tuple[int, int], payload: bytes, frames: int = 10**6) -> None:
        """Send one ISO-TP message from `ids[0]`; the receiver's flow control comes from `ids[1]`."""
        if len(payload) <= 7:
            self.frame(sender, ids[0], bytes([len(payload)]) + payload)
            return
        self.frame(sender, ids[0], (0x1000 | len(payload)).to_bytes(2, "big") + payload[:6])
        self.frame(other, ids[1], b"\x30\x00\x00")
        for n, start in enumerate(range(6, len(payload), 7), 1):
            if n > frames:
                return
            self.frame(sender, ids[0], bytes([0x20 | n & 0xF]) + payload[start : start + 7])

    def uds(self, ecu: EcuLayout, request: bytes, *answers: bytes, busy_ms: float = 2, sender: str = "agent") -> None:
        self.message(sender, ecu.ecu, (ecu.request_id, ecu.response_id), request)
        for answer in answers:
            self.wait(busy_ms)
            self.message(ecu.ecu, sender, (ecu.response_id, ecu.request_id), answer)

    def functional(self, request: bytes) -> None:
        self.frame("agent", 0x7DF, bytes([len(request)]) + request)
        self.wait(20)

    def post(self, request: object, answer: object, path: str = "/dm") -> None:
        self.wait(40)
        body, said = canonical_json(request), canonical_json(answer)
        self.http.append(HttpRecord(self.t_ns, "agent", "POST", BASE + path, 200, body, said))
        self.note("agent", "http", f"POST {BASE + path} 200")

    def get(self, path: str, body: bytes, status: int = 200) -> None:
        self.wait(40)
        self.http.append(HttpRecord(self.t_ns, "agent", "GET", BASE + path, status, b"", body))
        self.note("agent", "http", f"GET {BASE + path} {status}")

    def event(self, kind: str, **data: object) -> None:
        self.events.append(ServerEvent(len(self.events) + 1, self.t_ns, VIN, kind, data))
        self.note("server", kind, canonical_json(data).hex()[:64])

    def supply(self, part: str, on: bool, cause: str) -> None:
        self.power.append(PowerRecord(self.t_ns, part, on, cause))
        self.note(part, "power", f"{'on' if on else 'off'} {cause}")

    def boot(self, ecu: str, bank: str | None, role: str = "installed", reason: str = "reset") -> None:
        self.boots.append(BootRecord(self.t_ns, ecu, "boot_manager", None, reason))
        self.wait(24)
        if bank is None:
            self.boots.append(BootRecord(self.t_ns, ecu, "bootloader", None, "no valid image"))
            return
        image = image_of(ecu, role)
        self.executions.append(ExecutionRecord(self.t_ns, ecu, bank, 0, image.header, sha256_hex(image.data), 1))
        self.boots.append(BootRecord(self.t_ns, ecu, "application", bank, f"{role} image is valid"))

    def flash_work(self, ecu: str, kind: str, times: int, each_ms: float) -> None:
        for _ in range(times):
            self.wait(each_ms)
            self.note(ecu, f"flash.{kind}")


def _registration(s: Story) -> None:
    s.event("vehicle_added", dev_id="IMEI:490154203237518")
    s.event("package_uploaded", package_id="demo-2.0.0", sha256="ab" * 32)
    s.event("order_placed", order="o1", package_id="demo-2.0.0", targets=[{"ecu": "body", "version": "2.0.0"}])
    devinfo = {"ClientURI": "urn:oma:mo:oma-dm-devinfo:1.0//", "MOData": {"DevInfo": {"DevID": "IMEI:49"}}}
    s.post(devinfo, {"ClientURI": "urn:oma:mo:oma-dm-dmacc:1.2//", "MOData": {"DmAcc": {}}})
    s.event("registered", dev_id="IMEI:490154203237518", repeated=False)
    alert = {"AlertType": "urn:oma:at:dm:2.0:BootstrapComplete", "Data": {"ResultCode": 200}}
    s.post({"Alert": [alert]}, {"CMD": [["END"]]})
    s.event("bootstrap_complete")


def _session(s: Story, alerts: list[object], version: str, commands: list[list[str]]) -> None:
    s.event("session_started", session=f"s{len(s.events)}", alert="ClientInitiatedMgmt")
    start = {"AlertType": "urn:oma:at:dm:2.0:ClientInitiatedMgmt"}
    gets = [["GET", "urn:oma:mo:oma-dm-devinfo:1.0//"], ["GET", "urn:oma:mo:oma-scomo:1.1//"]]
    s.post({"MOS": [{"MOID": "urn:oma:mo:oma-scomo:1.1"}], "Alert": [start, *alerts]}, {"CMD": gets})
    trees = [
        {"ClientURI": "urn:oma:mo:oma-dm-devinfo:1.0//", "MOData": {}},
        {"ClientURI": "urn:oma:mo:oma-scomo:1.1//", "MOData": {}},
    ]
    s.post({"Status": [{"sc": 200}, {"sc": 200}], "MOS": trees}, {"CMD": commands})
    s.event("inventory", ecus={"body": version, "gateway": version})


def _offer(s: Story) -> None:
    target = "urn:oma:mo:oma-scomo:1.1//Download/demo-2.0.0"
    hget = ["HGET", f"{BASE}/pkgurl/demo-2.0.0", f"{target}/PkgURL"]
    _session(s, [], "1.0.0", [hget, ["EXEC", f"{target}/Operations/DownloadInstall"]])
    s.event("order_offered", order="o1", package_id="demo-2.0.0")
    s.get("/pkgurl/demo-2.0.0", b'{"ClientURI":"urn:oma:mo:oma-scomo:1.1//Download/demo-2.0.0/PkgURL","MOData":{}}')
    s.post({"Status": [{"sc": 200}, {"sc": 202}]}, {"CMD": [["END"]]})
    s.event("order_accepted", order="o1")
    s.event("session_ended", session="s1")
    for _ in range(6):
        s.wait(35)
        s.note("agent", "disk.sync", "package.part")
    s.get("/packages/demo-2.0.0.zip", b"PK" + bytes(5000))


def _enter_programming(s: Story, ecu: EcuLayout, boots: bool) -> None:
    s.functional(b"\x10\x83")
    s.functional(b"\x85\x82")
    s.functional(b"\x28\x83\x01")
    s.uds(ecu, b"\x10\x03", b"\x50\x03\x00\x32\x01\xf4")
    s.uds(ecu, b"\x10\x02", b"\x50\x02\x00\x32\x01\xf4")
    if boots:
        s.boots.append(BootRecord(s.t_ns, ecu.ecu, "boot_manager", None, "reprogramming requested"))
        s.wait(20)
        s.boots.append(BootRecord(s.t_ns, ecu.ecu, "bootloader", None, "reprogramming requested"))
    s.wait(30)
    s.uds(ecu, b"\x27\x01", b"\x67\x01" + bytes(range(8)))
    s.uds(ecu, b"\x27\x02" + bytes(range(8)), b"\x67\x02")
    s.uds(ecu, b"\x2e\xf1\x5a" + b"\x30\x01\x01TESTER1", b"\x6e\xf1\x5a")
    erase = b"\x31\x01\xff\x00\x44" + bytes(4) + IMAGE_BYTES.to_bytes(4, "big")
    s.uds(ecu, erase, b"\x7f\x31\x78")
    s.flash_work(ecu.ecu, "erase", 3, 100)
    s.message(ecu.ecu, "agent", (ecu.response_id, ecu.request_id), b"\x71\x01\xff\x00\x00")


def _download(s: Story, ecu: EcuLayout, address: int, data: bytes, cut_in_block: int = 0) -> None:
    s.uds(ecu, b"\x34\x00\x44" + address.to_bytes(4, "big") + len(data).to_bytes(4, "big"), b"\x74\x20\x0f\xff")
    ids = (ecu.request_id, ecu.response_id)
    for n, start in enumerate(range(0, len(data), BLOCK_BYTES), 1):
        payload = bytes([0x36, n]) + data[start : start + BLOCK_BYTES]
        s.message("agent", ecu.ecu, ids, payload, frames=20 if n == cut_in_block else 10**6)
        if n == cut_in_block:
            return
        s.flash_work(ecu.ecu, "program", 4, 9)
        s.message(ecu.ecu, "agent", (ids[1], ids[0]), bytes([0x76, n]))
    s.uds(ecu, b"\x37", b"\x77")


def _flash(s: Story, ecu: EcuLayout, bank: str) -> None:
    image = image_of(ecu.ecu, "target")
    _download(s, ecu, 0, image.data)
    _download(s, ecu, ecu.header_address, image.header)
    s.uds(ecu, b"\x31\x01\x02\x02", b"\x7f\x31\x78", b"\x71\x01\x02\x02\x00", busy_ms=30)
    s.uds(ecu, b"\x11\x01", b"\x51\x01")
    s.boot(ecu.ecu, bank, "target")
    s.wait(30)
    s.uds(ecu, b"\x22\xf1\x89", b"\x62\xf1\x892.0.0")


def _cut(s: Story) -> tuple[int, int]:
    cut_ns = s.t_ns
    s.note("body", "fault", POINT)
    s.supply("body", False, f"fault {POINT}")
    s.wait(200)
    s.supply("body", True, "restored after 200 ms")
    restored_ns = s.t_ns
    s.boot("body", None, reason="power on")
    s.wait(1100)
    return cut_ns, restored_ns


def _report(s: Story) -> None:
    alerts: list[object] = [
        {
            "AlertType": "urn:oma:at:scomo:1.0:OperationComplete",
            "Data": {"ResultCode": 1200, "Identifier": ecu, "State": "20"},
        }
        for ecu in ("body", "gateway")
    ]
    _session(s, alerts, "2.0.0", [["END"]])
    for ecu in ("body", "gateway"):
        s.event("component_result", order="o1", ecu=ecu, result_code=1200, version="2.0.0", text="ok")
    s.event("order_closed", order="o1", status="success")
    s.event("session_ended", session="s2")


def _tell() -> tuple[Story, FaultRecord, tuple[DidReading, ...]]:
    s = Story()
    for part in ("agent", "body", "gateway"):
        s.supply(part, True, "supply")
    s.boot("body", "A", reason="power on")
    s.boot("gateway", "A", reason="power on")
    s.wait(300)
    _registration(s)
    _offer(s)
    _enter_programming(s, BODY, boots=True)
    _download(s, BODY, 0, image_of("body", "target").data, cut_in_block=4)
    cut_ns, restored_ns = _cut(s)
    _enter_programming(s, BODY, boots=False)
    _flash(s, BODY, "A")
    _enter_programming(s, GATEWAY, boots=True)
    _flash(s, GATEWAY, "B")
    for request in (b"\x28\x80\x01", b"\x85\x81", b"\x10\x81"):
        s.functional(request)
    _report(s)
    s.wait(30_000)
    _session(s, [], "2.0.0", [["END"]])
    s.event("session_ended", session="s3")
    readings = []
    for ecu in LAYOUTS:
        s.uds(ecu, b"\x22\xf1\x89", b"\x62\xf1\x892.0.0", sender="tester")
        readings.append(DidReading(s.t_ns, ecu.ecu, 0xF189, b"2.0.0"))
        readings.append(DidReading(s.t_ns, ecu.ecu, 0xF191, ecu.hardware_id.encode()))
        readings.append(DidReading(s.t_ns, ecu.ecu, 0xF186, b"\x01"))
    s.wait(100)
    return s, FaultRecord("power.ecu", POINT, {"restore_after_ms": 200}, cut_ns, restored_ns), tuple(readings)


def _dump(ecu: EcuLayout, banks: dict[str, str]) -> FlashDump:
    regions = []
    for bank in ecu.banks:
        image = image_of(ecu.ecu, banks[bank.name])
        regions += [
            MemoryRegion(f"mark:{bank.name}", 0xE00000, b"VALID!!!" + b"\xff" * 248),
            MemoryRegion(f"header:{bank.name}", ecu.header_address, image.header),
            MemoryRegion(f"image:{bank.name}", bank.linked_base, image.data.ljust(bank.size_bytes, b"\xff")),
        ]
    return FlashDump(ecu.ecu, tuple(regions), erases=6, programs=47, driver_faults=())


def _verdicts() -> tuple[InvariantVerdict, ...]:
    return tuple(
        InvariantVerdict(
            id=invariant,
            verdict=Verdict.PASS,
            sentence=sentence,
            evidence=(
                Evidence("boot", "body @ 9.120 s", "application in bank A, 27 ms after power was restored"),
                Evidence("flash", "body image:A 0x00000000", "2048 bytes, sha256 equal to the signed image"),
            ),
        )
        for invariant, sentence in SENTENCES.items()
    )


def passing_run() -> RunResult:
    """A power cut in the middle of programming; the vehicle reaches the target afterwards."""
    story, fault, readings = _tell()
    record = RunRecord(
        vin=VIN,
        ended_t_ns=story.t_ns,
        limits=Limits(64 * NS_PER_S, 30 * NS_PER_S),
        expects_update=True,
        layouts=LAYOUTS,
        references=REFERENCES,
        image_public_key=bytes(32),
        package_public_key=bytes(32),
        package_url_suffix="/packages/demo-2.0.0.zip",
        faults=(fault,),
        power=watched(tuple(story.power)),
        server_events=watched(tuple(story.events)),
        http=watched(tuple(story.http)),
        readings=watched(readings),
        frames=watched(tuple(story.frames)),
        flash=watched((_dump(BODY, {"A": "target"}), _dump(GATEWAY, {"A": "installed", "B": "target"}))),
        boots=watched(tuple(story.boots)),
        executions=watched(tuple(story.executions)),
        agent_files=watched(()),
    )
    return RunResult(
        id=f"v1.power_cut_ecu.{POINT}.1.1f0c9a7b2e44.9d17c2a08b31",
        scenario="power_cut_ecu",
        title="The body controller loses power in the middle of programming",
        bench="sim",
        seed=1,
        fault=FaultSummary("power.ecu", POINT, {"restore_after_ms": 200}),
        expected_verdict=Verdict.PASS,
        expected_invariant=None,
        verdict=RunVerdict(Verdict.PASS, (), None, _verdicts()),
        as_expected=True,
        virtual_s=story.t_ns / NS_PER_S,
        wall_s=0.214,
        trace=Trace([Entry(*line) for line in story.lines]),
        record=record,
        inputs={
            "benches/sim.toml": b'name = "sim"\n[[channels]]\nname = "can0"\ndriver = "sim"\nbitrate_bit_s = 500_000\n',
            "scenarios/power_cut_ecu.toml": b'name = "power_cut_ecu"\n',
            "vehicles/two_ecu_car.toml": json.dumps(VIN).encode(),
        },
        notes=("The golden run has 24 program operations of body; the cut stands at number 12.",),
    )


def _judged(run: RunResult, verdict: Verdict, invariant: Invariant, sentence: str, blame: str | None) -> RunResult:
    items = tuple(
        replace(
            item,
            verdict=verdict,
            sentence=sentence,
            blame=blame,
            evidence=(
                Evidence("execution", "body @ 9.120 s", "bank A executed; header and bytes disagree"),
                Evidence("flash", "body image:A 0x00001234", "bit 3 is 1, signed image has 0"),
            ),
        )
        if item.id is invariant
        else item
        for item in run.verdict.invariants
    )
    return replace(run, verdict=RunVerdict(verdict, (), blame, items))


def failing_run() -> RunResult:
    """The same story, but the running image differs from the signed one: nobody expected that."""
    run = passing_run()
    record = run.record
    assert record.flash.watched
    body = record.flash.items[0]
    image = body.regions[2]
    data = bytearray(image.data)
    data[0x234] ^= 8
    changed = replace(body, regions=(*body.regions[:2], replace(image, data=bytes(data), torn=((0x600, 64),))))
    run = replace(
        run, id=run.id.replace(".1.1f", ".2.1f"), seed=2, record=replace(record, flash=(changed, record.flash.items[1]))
    )
    failed = _judged(run, Verdict.FAIL, Invariant.WHOLE, "body executes bytes that nobody signed.", "bootloader")
    return replace(failed, as_expected=False)


def caught_run() -> RunResult:
    """A planted defect, caught by the invariant that it names."""
    run = replace(
        failing_run(),
        id="v1.planted_no_verification.none.1.1f0c9a7b2e44.9d17c2a08b31+ecu-boot-no-verification",
        scenario="planted_no_verification",
        title="Planted defect: a boot manager that does not verify",
    )
    return replace(
        run,
        expected_verdict=Verdict.FAIL,
        expected_invariant=Invariant.WHOLE,
        as_expected=True,
        defect="ecu-boot-no-verification",
    )


AGENT_POINT = "power.agent:agent:transition:6"


def two_fault_run() -> RunResult:
    """The same story with a second fault near its end, and a server that counts its package's events by themselves."""
    run = passing_run()
    record = run.record
    first = record.faults[0]
    struck_ns = record.ended_t_ns - 40 * NS_PER_S // 10
    second = FaultRecord("power.agent", AGENT_POINT, {"restore_after_ms": 300}, struck_ns, struck_ns + 300 * NS_PER_MS)
    events = tuple(
        replace(event, vin="", seq=1) if event.seq == 2 else replace(event, seq=max(1, event.seq - 1))
        for event in record.server_events.items
    )
    return replace(
        run,
        id=f"v1.two_faults.{POINT},{AGENT_POINT}.1.1f0c9a7b2e44.9d17c2a08b31",
        scenario="two_faults",
        title="Two power cuts in one run",
        fault=FaultSummary(
            "power.ecu,power.agent",
            f"{POINT},{AGENT_POINT}",
            {POINT: first.parameters, AGENT_POINT: second.parameters},
        ),
        record=replace(record, faults=(first, second), server_events=events),
    )


def real_time_run() -> RunResult:
    """The story on the machine's own clock, with the user's own firmware."""
    run = passing_run()
    return replace(
        run,
        id=f"v1.healthy.{POINT}.7.1f0c9a7b2e44.realtime-9d17c2a08b31",
        scenario="healthy",
        bench="realtime",
        seed=7,
        inputs={**run.inputs, "images/body.header": b"own"},
        notes=(),
    )


def unobserved_run() -> RunResult:
    """A bench that cannot read flash and hears no bus: much is not observed."""
    run = passing_run()
    items = tuple(
        replace(item, verdict=Verdict.NOT_OBSERVED, sentence="This bench cannot read flash.")
        if item.id in (Invariant.WHOLE, Invariant.AUTHENTIC)
        else item
        for item in run.verdict.invariants
    )
    record = replace(run.record, frames=None, flash=None, boots=None, executions=None, agent_files=None)
    return replace(
        run,
        id=run.id.replace("power_cut_ecu", "bench_without_eyes"),
        scenario="bench_without_eyes",
        record=record,
        verdict=RunVerdict(Verdict.PASS, (Invariant.AUTHENTIC, Invariant.WHOLE), None, items),
    )


def broken_run() -> RunResult:
    """A part crashed: the run proves nothing."""
    run = replace(passing_run(), id=passing_run().id + "+crash", scenario="crashed", notes=("agent: KeyError: 'x'",))
    unclear = _judged(run, Verdict.INCONCLUSIVE, Invariant.LIVE, "The run broke off before the time limit.", "bench")
    return replace(unclear, as_expected=False)
