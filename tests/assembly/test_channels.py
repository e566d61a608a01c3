"""Channels of a bench file: drivers, their keys, which ECUs are real, drivers that a package brings."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from bench.assembly import can_drivers
from bench.assembly.can_drivers import needs_module
from bench.assembly.channels import TESTER, UNKNOWN, gaps_seen, open_buses, senders
from bench.assembly.load import load_bench
from bench.core.errors import EquipmentError, InputError
from bench.core.loop import VirtualLoop
from bench.core.records import FrameRecord
from bench.core.world import World
from bench.link.sim_bus import SimCanBus
from bench.rig.job import make_job
from bench.wire.can import CanFrame
from tests.interop.real_can import BENCH

KEYS = {"vehicle": "two_ecu_car", "interface": "virtual", "channel": "x", "transport": "own", "options": ""}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def writing(old: str = "", new: str = "", **keys: str) -> Path:
        path = tmp_path / "benches" / "mine.toml"
        path.parent.mkdir(exist_ok=True)
        text = BENCH.format(**(KEYS | keys))
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return path

    return writing


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('clock = "real"', 'clock = "virtual"', ("channel can0", "clock = 'real'")),
        ('driver = "python-can"', 'driver = "warp"', ("channels.0.driver", "warp", "sim, python-can")),
        ('interface = "virtual"', "", ("needs interface", "socketcan")),
        ('transport = "own"', 'transport = "kernel"', ("kernel", "socketcan")),
        ('transport = "own"', 'transport = "doip"', ("channels.0.transport", "can-isotp")),
        ('driver = "python-can"', 'driver = "sim"', ("for adapters",)),
        ('real = "all"', 'real = ["door"]', ("ecus.real", "door", "body, gateway")),
    ],
)
def test_bench_file_that_fits_no_adapter_is_refused_by_key(
    write: Callable[..., Path], old: str, new: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as refused:
        load_bench(write(old, new))
    for word in words:
        assert word in str(refused.value)


def test_ecus_that_are_not_named_real_are_simulated(write: Callable[..., Path]) -> None:
    assert [ecu.id for ecu in load_bench(write('real = "all"', 'real = ["body"]')).simulated] == ["gateway"]
    assert load_bench(write()).simulated == ()


def test_real_ecu_on_a_simulated_channel_is_refused(write: Callable[..., Path]) -> None:
    text = BENCH.format(**KEYS)
    start, end = text.index("interface"), text.index("bitrate")
    path = write()
    path.write_text(text[:start] + text[end:].replace('transport = "own"\noptions = {  }\n', ""))
    path.write_text(path.read_text().replace('driver = "python-can"', 'driver = "sim"'))
    with pytest.raises(InputError, match="its channel is simulated"):
        load_bench(path)


def test_run_with_real_ecus_is_refused_since_it_could_not_be_judged(write: Callable[..., Path]) -> None:
    scenario = Path(__file__).parent.parent.parent / "fixtures" / "scenarios" / "healthy.toml"
    with pytest.raises(InputError, match="needs every ECU simulated"):
        make_job(scenario, write())


def test_missing_library_is_told_with_the_command_that_brings_it() -> None:
    with pytest.raises(InputError, match=r"pip install '\.\[can\]'"):
        needs_module("no_such_module", extra="can", key="channels.driver", found="python-can")


def test_sender_of_a_heard_frame_is_named_by_its_identifier(write: Callable[..., Path]) -> None:
    sender_of = senders(load_bench(write()).vehicle, "can0")
    heard = [sender_of(CanFrame(can_id, b"")) for can_id in (0x7A8, 0x7A9, 0x7A0, 0x7DF, 0x123)]
    assert heard == ["body", "gateway", TESTER, TESTER, UNKNOWN]


def test_gaps_are_counted_between_consecutive_frames_of_one_block_only(write: Callable[..., Path]) -> None:
    frames = [
        FrameRecord(t_us * 1000, "can0", "agent", can_id, 0, bytes((head, 0, 0)))
        for t_us, can_id, head in (
            (0, 0x7A0, 0x10), (50, 0x7A8, 0x30), (100, 0x7A0, 0x21), (450, 0x7A0, 0x22),
            (500, 0x7A8, 0x30), (5000, 0x7A0, 0x23), (5310, 0x7A0, 0x24),
        )
    ]  # fmt: skip
    seen = gaps_seen(frames, load_bench(write()).vehicle, "can0")
    assert seen == "2 gaps seen, end to end: 310 to 350 us, half below 350 us"


class Supplied:
    """A supplier's bus: a simulated one that must be closed."""

    def __init__(self, world: World) -> None:
        self.bus, self.closed = SimCanBus(world, "can0", 500_000), False
        self.fd = False

    def attach(self, life: Any) -> Any:
        return self.bus.attach(life)

    def close(self) -> None:
        self.closed = True


def test_driver_of_a_package_is_opened_by_its_name_and_closed(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Supplied] = []

    def build(world: World, spec: Any, sender_of: Any) -> Supplied:
        assert (spec.interface, spec.bitrate_bit_s, sender_of(CanFrame(0x7A8, b""))) == ("virtual", 500_000, "body")
        opened.append(Supplied(world))
        return opened[0]

    class Installed(EntryPoint):
        def load(self) -> Any:
            return build

    found = Installed("acme", "acme:build", "otabench.can")
    monkeypatch.setattr(can_drivers, "installed", lambda group: [found] if group == "otabench.can" else [])
    files = load_bench(write('driver = "python-can"', 'driver = "acme"'))
    with open_buses(World(VirtualLoop(), seed=1), files) as buses:
        assert buses["can0"] is opened[0]
        assert not opened[0].closed
    assert opened[0].closed


def test_adapter_that_cannot_be_opened_is_an_equipment_error(write: Callable[..., Path]) -> None:
    async def main(clock: Any) -> None:
        with open_buses(World(clock, seed=1), files):
            raise AssertionError("it was opened")

    from bench.core.realtime import run_on_clock

    files = load_bench(write(interface="slcan", channel="/dev/otabench-none"))
    with pytest.raises(EquipmentError, match="otabench doctor"):
        run_on_clock(main, virtual=False)
