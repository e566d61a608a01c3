"""`otabench ecu --all`: ECUs of two buses in one process, the gateway between them, and a foreign tester."""

from __future__ import annotations

from tests.interop.real_can import isolated


def test_ecus_of_two_buses_are_served_together_and_the_inner_one_is_reached_through_the_gateway() -> None:
    result = isolated("tests.interop.served_vehicle")
    assert (result["body"], result["gateway"]) == ("BCM-HW-03", "GW-HW-02")
    assert {"7A0", "7A8"} <= set(result["inner"]), "the gateway carried request and answer"
    assert {"110", "121"} <= set(result["inner"]), "both ECUs send their cyclic frames"
    told = {each["ecu"]: (each["channel"], each["misbehave"]) for each in result["ready"]["ecus"]}
    assert told == {"body": ("can1", ["0x22:slow=200@1"]), "gateway": ("can0", [])}
