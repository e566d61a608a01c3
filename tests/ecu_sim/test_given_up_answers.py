"""An answer that was given up is taken back: it must not meet a tester that comes later."""

from __future__ import annotations

from bench.wire.can import CanFrame
from tests.ecu_sim.network_world import NetCar, drive, ecu

RESPONSE_ID = 0x7A8
READ_SESSION = "0322f186cccccccc"


def test_answer_that_nobody_acknowledged_within_n_as_does_not_meet_a_tester_that_joins_later() -> None:
    async def story(car: NetCar) -> None:
        tester = car.can0
        request = CanFrame(0x7A0, bytes.fromhex(READ_SESSION))
        tester.port.send(request, lambda _outcome: tester.node.cut("its request has crossed"))
        await car.wait_ms(5_000)
        tester.node.power_on()
        await car.wait_ms(100)
        assert tester.of(RESPONSE_ID) == []
        assert await tester.ask("22f186") == "62 F1 86 01"

    drive(story, [ecu()])
