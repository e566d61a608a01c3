"""What an ECU asks of testers that send it long requests: as its vehicle or the option says, else as it is built."""

from __future__ import annotations

import pytest

from bench.cli.ecu.flow_control import flow_control_by_ecu
from bench.config import data_root
from bench.serving.ecu_server import ServedEcu, ServedVehicle
from tests.ecu_sim.network_world import NetCar, drive, ecu

LONG_REQUEST = bytes.fromhex("2e f1 98") + bytes(20)


@pytest.mark.parametrize(("asked", "head"), [(None, "30 00 00"), ((8, 0xF5), "30 08 f5"), ((0, 20), "30 00 14")])
def test_flow_control_carries_what_the_vehicle_file_asks_for(asked: tuple[int, int] | None, head: str) -> None:
    async def story(car: NetCar) -> None:
        assert await car.can0.ask(LONG_REQUEST) is not None
        answers = [data for _, data in car.can0.of(0x7A8)]
        assert [data[:3] for data in answers if data[0] >> 4 == 3] == [bytes.fromhex(head)]

    drive(story, [ecu(flow_control=asked)])


def test_option_of_one_ecu_goes_before_that_of_all() -> None:
    both = {"body": (4, 1), "gateway": (8, 0)}
    assert flow_control_by_ecu(["body/4,1", "8,0"], ["body", "gateway"]) == both
    assert flow_control_by_ecu(["8,0", "body/4,0x01"], ["body", "gateway"]) == both
    assert flow_control_by_ecu([], ["body"]) == {}


def test_served_ecu_asks_what_the_option_says() -> None:
    served = ServedVehicle([ServedEcu(data_root() / "vehicles" / "two_ecu_car.toml", "body", (), (16, 2))])
    assert [each.flow_control for each in served._spec().ecus] == [(16, 2)]
