"""`otabench ecu` in one process, a tester in another, over udp_multicast in a network of their own."""

from __future__ import annotations

from tests.interop.real_can import isolated

SCRIPT = "tests.interop.two_processes"


def test_our_flasher_programs_an_ecu_in_another_process_twice() -> None:
    result = isolated(SCRIPT, "flash")
    assert result["versions"] == ["2.0.0", "2.0.0"]
    assert result["sent_bytes"] == 16_384 + 256
    assert result["repeats"] == 0
    assert result["senders"] == ["agent", "body"]


def test_udsoncan_client_over_can_isotp_is_served_and_refused_by_the_rules() -> None:
    result = isolated(SCRIPT, "udsoncan")
    assert (result["vin"], result["version"]) == ("ZZZ00TABENCH00001", "1.0.0")
    assert result["p2_ms"] == 50
    assert result["refused"] is not None
    assert result["after_reset"] == "1.0.0"
    assert (result["ready"]["request_id"], result["ready"]["response_id"]) == (0x7A0, 0x7A8)
