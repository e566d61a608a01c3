"""Our flasher on a bus with one foreign unit: the bench of `tests/foreign/bench`, their files as jobs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from bench.assembly.channels import open_buses
from bench.assembly.load import load_bench
from bench.core.clock import Clock
from bench.core.node import Node
from bench.core.realtime import run_on_clock
from bench.core.world import World
from bench.description.load import BenchFiles
from bench.flasher.affected import BusGroups
from bench.flasher.errors import FlasherError
from bench.flasher.sequence import FlashRun
from bench.flasher.software import Part, PartKind, Segment, Software, SoftwareJob
from bench.flashing.access import ecu_accesses
from tests.foreign import plain_unit
from tests.foreign.files import OdxBlock, VbfFile
from tests.foreign.tester import CHANNEL

HERE = Path(__file__).parent / "bench"
CHANNELS = {"engine": "can0", "inverter": "can1", "pump": "can2"}
BENCH = """\
schema = 1
name = "foreign"
vehicle = "foreign"
clock = "real"
{channels}
[ecus]
real = "all"

[power]
driver = "sim"

[server]
driver = "tls"

[agent]
driver = "local"
"""
ONE_CHANNEL = """
[[channels]]
name = "{name}"
driver = "python-can"
interface = "udp_multicast"
channel = "{channel}"
bitrate_bit_s = 500_000
options = {{ port = {port}, hop_limit = 0 }}
"""


def foreign_bench(folder: Path, ports: dict[str, int]) -> BenchFiles:
    """Return the bench whose channels are the buses with these ports, by ECU; the others have ports of their own."""
    shutil.copytree(HERE, folder, dirs_exist_ok=True)
    channels = "".join(
        ONE_CHANNEL.format(name=name, channel=CHANNEL, port=ports[ecu]) for ecu, name in CHANNELS.items()
    )
    (folder / "benches").mkdir(exist_ok=True)
    path = folder / "benches" / "foreign.toml"
    path.write_text(BENCH.format(channels=channels), encoding="utf-8")
    return load_bench(path)


@dataclass
class Flashed:
    """How a job ended."""

    run: FlashRun
    error: FlasherError | None = None
    requests: list[bytes] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        return {name: count for name, count in self.run.report().counts.items() if count}


def flash(files: BenchFiles, job: SoftwareJob) -> Flashed:
    """Flash one ECU in real time."""

    async def main(clock: Clock) -> Flashed:
        world = World(clock, seed=1)
        node = Node(world, "tester", lambda _life: None)
        node.power_on()
        life = node.incarnation
        assert life is not None
        with open_buses(world, files) as buses:
            access = ecu_accesses(files, buses, life)[job.ecu]
            buses_of_job = BusGroups().affected(access.functional)
            run = FlashRun(job, access.link, buses_of_job, access.recipe, life, world.points)
            try:
                await run.flash()
            except FlasherError as error:
                return Flashed(run, error)
            return Flashed(run)

    return run_on_clock(main, virtual=False)


# Their files as parts -----------------------------------------------------------------------------------


def vbf_part(file: VbfFile) -> Part:
    return Part(
        name=file.kind.lower(),
        kind=PartKind.BOOTLOADER if file.kind == "SBL" else PartKind.SOFTWARE,
        segments=tuple(Segment.of(address, data) for address, data in file.blocks),
        data_format=0,
        erase=file.erase,
        proofs=(("signature_dev", file.signature),),
        start_address=file.call,
    )


def vbf_job(*files: VbfFile) -> SoftwareJob:
    versions = tuple(f"{file.part_number} {file.version}" for file in files if file.kind != "SBL")
    parts = tuple(vbf_part(file) for file in files)
    return SoftwareJob(ecu="engine", given=Software(parts=parts, versions=versions, software_id="engine"))


def odx_part(block: OdxBlock) -> Part:
    segment = Segment(address=block.address, data=block.packed, size_bytes=len(block.data), plain=block.data)
    return Part(
        name=block.name.lower(),
        segments=(segment,),
        data_format=0x10,
        index=block.index,
        proofs=(("signature", block.signature),),
    )


def odx_job(version: str, *blocks: OdxBlock) -> SoftwareJob:
    software = Software(
        parts=tuple(odx_part(block) for block in blocks),
        versions=(version, version),
        software_id="inverter",
        hardware_ids=("HW-4711",),
    )
    return SoftwareJob(ecu="inverter", given=software)


def plain_job(image: bytes) -> SoftwareJob:
    part = Part(name="image", segments=(Segment.of(plain_unit.START, image),), data_format=0)
    software = Software(parts=(part,), versions=(), software_id="pump", hardware_ids=("MAKER C",))
    return SoftwareJob(ecu="pump", given=software)
