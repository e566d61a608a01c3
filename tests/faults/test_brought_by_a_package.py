"""A package brings a fault, a kind of event and the part that announces it; neither core nor the rig is changed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from bench.config import data_root
from bench.core.errors import EquipmentError, InputError
from bench.core.loop import VirtualLoop
from bench.core.points import FaultPoint, resolve
from bench.core.world import World
from bench.faults.catalogue import check_fault, event_kinds, events_of, fault_kinds
from bench.faults.inject import ArmedFault, Injector
from bench.oracle.result import Verdict
from bench.rig.job import make_job
from bench.runs.runner import Runner

MODULE = '''
    """A package of a supplier of relays: a fault that lets a contact bounce, and what its relay announces."""

    from typing import Protocol

    from bench.config import FileModel
    from bench.core.offers import Port
    from bench.core.points import EventKind
    from bench.faults.kinds import ECU, FaultKind, Strike
    from bench.ports.faults import POWER


    class Contact(Protocol):
        def bounce(self, times: int) -> None: ...


    CONTACT = Port[Contact]("contact")


    class BounceParameters(FileModel):
        times: int = 3


    def bounce(strike: Strike) -> None:
        strike.port(CONTACT).bounce(strike.parameters.times)


    def blink(strike: Strike) -> None:
        switch = strike.port(POWER)
        switch.cut(str(strike.point))
        strike.end_after_ms(5, lambda: switch.restore("blinked"))


    def kind(name, inject, **more):
        return FaultKind(
            fault_class=name, title=name, parameters=BounceParameters, inject=inject, bounded=inject is blink, **more
        )


    FAULTS = (
        kind("relay.bounce", bounce, strikes=("relay",), ports=(CONTACT,)),
        kind("relay.blink", blink, strikes=(ECU,), ports=(POWER,)),
    )
    EVENTS = (EventKind("switching", "a relay that is about to switch", ("relay",)),)


    class Relay:
        def __init__(self, world):
            self.world, self.bounces = world, 0
            self.points = world.points.counter("k1", "switching")
            world.offers.offer(CONTACT, self, "k1")

        def bounce(self, times: int) -> None:
            self.bounces += times

        def switch(self) -> None:
            self.points.end(self.points.begin())
'''


@pytest.fixture
def relays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the package for one test, as pip would: a module, and entry points in a folder of metadata."""
    (tmp_path / "relays.py").write_text(dedent(MODULE))
    metadata = tmp_path / "relays-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: relays\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[otabench.faults]\nrelays = relays:FAULTS\n\n[otabench.events]\nrelays = relays:EVENTS\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    _look_again()
    yield
    monkeypatch.undo()
    sys.modules.pop("relays", None)
    _look_again()


def _look_again() -> None:
    fault_kinds.cache_clear()
    event_kinds.cache_clear()


def armed(text: str, world: World) -> ArmedFault:
    point = FaultPoint.parse(text)
    return ArmedFault(resolve(point, world.points.table()), check_fault(point, {"times": 2}, file=None))


@pytest.mark.usefixtures("relays")
def test_fault_and_event_of_a_package_strike_its_part() -> None:
    from relays import Relay  # type: ignore[import-not-found]  # stands in a folder that the fixture makes

    def play(fault: str | None) -> tuple[World, int]:
        world = World(VirtualLoop(), seed=1)
        relay = Relay(world)
        if fault is not None:
            injector = Injector(world, [armed(fault, golden)])
            injector.refuse_what_cannot_strike()
            injector.arm()
        for _ in range(3):
            relay.switch()
        return world, relay.bounces

    golden, _ = play(None)
    _, bounces = play("relay.bounce:k1:switching:last:after")
    assert bounces == 2


@pytest.mark.usefixtures("relays")
def test_fault_of_a_package_strikes_in_a_whole_run(tmp_path: Path) -> None:
    scenario = (data_root() / "scenarios" / "power_cut_ecu.toml").read_text()
    head = scenario.partition("[[faults]]")[0].replace('name = "power_cut_ecu"', 'name = "blink"')
    path = tmp_path / "blink.toml"
    path.write_text(f'{head}[[faults]]\npoint = "relay.blink:body:program:middle:after"\n')
    result = Runner().run(make_job(path, data_root() / "benches" / "sim.toml"))
    assert result.verdict.verdict is Verdict.PASS
    assert result.record is not None
    [fault] = result.record.faults
    assert fault.fault_class == "relay.blink"
    assert fault.restored_t_ns is not None
    assert fault.t_ns is not None
    assert fault.restored_t_ns - fault.t_ns == 5_000_000
    assert [record.cause for record in result.record.power.items if record.part == "body"][-1] == "blinked"


@pytest.mark.usefixtures("relays")
@pytest.mark.parametrize(
    ("point", "problem", "allowed"),
    [
        ("relay.bounce:k1:program:1", "relay.bounce does not strike at 'program'", "switching"),
        ("relay.melt:k1:switching:1", "no injector for the fault class 'relay.melt'", "relay.bounce"),
    ],
)
def test_errors_name_what_a_package_brought(point: str, problem: str, allowed: str) -> None:
    with pytest.raises(InputError) as error:
        check_fault(FaultPoint.parse(point), {}, file="x.toml")
    assert error.value.problem == problem
    assert allowed in (error.value.allowed or "")


@pytest.mark.usefixtures("relays")
def test_fault_whose_port_nobody_offers_is_refused_by_name() -> None:
    world = World(VirtualLoop(), seed=1)
    world.points.counter("k1", "switching").begin()
    fault = armed("relay.bounce:k1:switching:1", world)
    with pytest.raises(InputError) as error:
        Injector(world, [fault]).refuse_what_cannot_strike()
    assert error.value.problem == "relay.bounce cannot strike on this bench: nothing offers 'contact' of k1"
    assert error.value.found == "relay.bounce:k1:switching:1"
    assert error.value.allowed == "no part"


@pytest.mark.usefixtures("relays")
def test_package_that_takes_the_name_of_another_fault_is_refused(tmp_path: Path) -> None:
    (tmp_path / "relays.py").write_text(dedent(MODULE).replace("relay.blink", "power.ecu"))
    sys.modules.pop("relays", None)
    with pytest.raises(EquipmentError, match="one name"):
        fault_kinds()


@pytest.mark.usefixtures("relays")
def test_package_that_registers_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "relays.py").write_text('FAULTS = EVENTS = ("lightning",)\n')
    sys.modules.pop("relays", None)
    with pytest.raises(EquipmentError, match="lightning"):
        fault_kinds()


def test_without_the_package_its_names_are_unknown() -> None:
    with pytest.raises(InputError, match=r"no injector for the fault class .relay\.bounce."):
        check_fault(FaultPoint.parse("relay.bounce:k1:switching:1"), {}, file=None)
    assert "switching" not in event_kinds()
    assert all("switching" not in events_of(kind) for kind in fault_kinds().values())
