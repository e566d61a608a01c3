from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.core.clock import NS_PER_S
from bench.flasher.errors import NegativeResponse, ProtocolViolation, TransportError, VersionMismatch
from bench.flasher.identification import IDENTIFIERS, read_identification
from bench.flasher.identity import confirm_ecu, read_identity
from bench.flasher.values import EcuIdentity

if TYPE_CHECKING:
    from tests.flasher.conftest import Bench


def identity(bench: Bench) -> EcuIdentity:
    return bench.run(read_identity("body", bench.link, bench.recipe, bench.loop))


def confirm(bench: Bench, version: str = "1.0.0") -> None:
    bench.run(confirm_ecu("body", version, bench.link, bench.recipe, bench.loop))


def test_application_tells_hardware_software_and_version(bench: Bench) -> None:
    seen = identity(bench)
    assert seen == EcuIdentity("BCM-HW-03", "BCM-APP", "1.0.0")
    assert not seen.in_bootloader
    assert str(seen) == "BCM-HW-03 running BCM-APP 1.0.0"


def test_bootloader_tells_hardware_and_an_empty_version(bench: Bench) -> None:
    bench.ecu.start_life(programming=True)
    seen = identity(bench)
    assert seen == EcuIdentity("BCM-HW-03", "", "")
    assert seen.in_bootloader
    assert str(seen) == "BCM-HW-03 running its bootloader"


def test_identity_read_after_one_lost_answer_is_repeated(bench: Bench) -> None:
    bench.ecu.on("22f188", bench.acts.lose_answer())
    assert identity(bench).version == "1.0.0"


def test_identity_of_an_ecu_that_boots_is_waited_for(bench: Bench) -> None:
    bench.ecu.cut(2_500)
    assert identity(bench).version == "1.0.0"


def test_identity_of_a_dead_ecu_is_a_transport_error_after_the_time_of_a_reboot(bench: Bench) -> None:
    bench.ecu.cut(60_000)
    with pytest.raises(TransportError, match="N_TIMEOUT_A"):
        identity(bench)
    assert 5 * NS_PER_S < bench.loop.now_ns() < 7 * NS_PER_S


def test_identity_refused_for_another_reason_than_0x31_is_an_error_not_an_empty_version(bench: Bench) -> None:
    bench.ecu.on("22f189", bench.acts.refuse(0x22), times=10**6)
    with pytest.raises(NegativeResponse, match="0x22 ConditionsNotCorrect"):
        identity(bench)


def test_identity_that_is_not_text_is_a_protocol_violation(bench: Bench) -> None:
    bench.ecu.on("22f191", bench.acts.instead("62f19180"), times=10**6)
    with pytest.raises(ProtocolViolation, match="text identifier holds 80"):
        identity(bench)


def test_confirm_runs_the_routine_in_the_extended_session_and_leaves_it(bench: Bench) -> None:
    confirm(bench)
    assert bench.ecu.confirms == 1
    assert bench.services()[-4:] == ["1003", "22f189", "31010204", "1001"], "read once more after the time to fail"
    assert bench.ecu.session == 1


def test_confirm_of_an_ecu_that_is_dead_for_ten_seconds_succeeds_in_the_end(bench: Bench) -> None:
    bench.ecu.cut(10_000)
    confirm(bench)
    assert bench.ecu.confirms == 1


def test_confirm_of_another_version_than_ordered_is_refused_at_once(bench: Bench) -> None:
    with pytest.raises(VersionMismatch, match=r"'2\.0\.0' should run, found '1\.0\.0'"):
        confirm(bench, "2.0.0")
    assert bench.ecu.confirms == 0
    assert bench.loop.now_ns() < NS_PER_S


def test_confirm_while_only_the_bootloader_answers_ends_after_the_tries(bench: Bench) -> None:
    bench.ecu.start_life(programming=True)
    with pytest.raises(VersionMismatch, match="the bootloader"):
        confirm(bench)
    assert bench.loop.now_ns() > 20 * NS_PER_S


def test_confirm_with_a_status_that_says_no_is_tried_again(bench: Bench) -> None:
    bench.ecu.on("31010204", bench.acts.instead("7101020401"))
    confirm(bench)
    assert bench.ecu.confirms == 2


def test_confirm_without_a_routine_in_the_recipe_asks_nothing(bench: Bench) -> None:
    routines = bench.recipe.routines.model_copy(update={"confirm": None})
    bench.recipe = bench.recipe.model_copy(update={"routines": routines})
    confirm(bench)
    assert bench.ecu.received == []


def test_refused_identifier_has_its_reason_alone_and_not_the_whole_request_again(bench: Bench) -> None:
    for did in IDENTIFIERS:
        bench.ecu.on(f"22{did:04x}", bench.acts.refuse(0x33), times=10**6)
    read = bench.run(read_identification("body", bench.link, bench.recipe, bench.loop))
    assert read.problem == ""
    assert {item.problem for item in read.identifiers} == {"refused: NRC 0x33 SecurityAccessDenied"}
