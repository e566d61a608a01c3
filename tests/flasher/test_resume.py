"""What the flasher makes of an ECU's progress report: true ones save work, wrong ones cost a whole download at most."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from bench.flasher.errors import FlashFailed, ProtocolViolation

Benches = Callable[..., Any]
REPORT = "31010205"


@pytest.fixture
def bench(benches: Benches) -> Any:
    """A recipe that asks; the fake ECU itself does not know the routine."""
    made = benches()
    made.recipe = made.recipe.model_copy(
        update={"routines": made.recipe.routines.model_copy(update={"report_progress": 0x0205})}
    )
    return made


def report(bench: Any, held: int, dirty: int = 0, mark: int = 0, data: bytes | None = None, size: int = 0) -> str:
    """Return the answer of an ECU that says so of the image."""
    image: bytes = bench.new.data
    shown = hashlib.sha256((data or image)[:held]).digest()
    option = b"\x44" + bytes(4) + (size or len(image)).to_bytes(4, "big")
    record = bytes((mark,)) + held.to_bytes(4, "big") + dirty.to_bytes(4, "big") + shown
    return (b"\x71\x01\x02\x05\x00" + option + record).hex()


def assert_from_scratch(bench: Any) -> None:
    """Flash in one try: one report asked for, one erase, everything sent."""
    result = bench.flash()
    assert (result.counts["job_retry"], result.counts["resumed_transfer"], bench.ecu.erases) == (0, 0, 1)
    assert bench.services().count(REPORT) == 1
    assert result.sent_bytes == len(bench.new.data) + 256


def sent_bytes(bench: Any) -> int:
    return sum(len(request) - 2 for request in bench.ecu.received if request[0] == 0x36)


def test_ecu_that_does_not_know_the_routine_is_erased_as_before(bench: Any) -> None:
    result = bench.flash()
    assert bench.ecu.erases == 1
    assert result.counts["resumed_transfer"] == 0
    assert any(event.name == "cannot_say_progress" for event in result.events)
    bench.assert_runs("1.1.0")


@pytest.mark.parametrize("nrc", [0x11, 0x12, 0x31, 0x7E, 0x7F])
def test_every_way_of_not_knowing_the_routine_means_a_whole_erase(bench: Any, nrc: int) -> None:
    bench.ecu.on(REPORT, bench.acts.refuse(nrc))
    bench.flash()
    assert bench.ecu.erases == 1


def test_other_image_in_flash_is_erased_as_a_whole(bench: Any) -> None:
    bench.ecu.on(REPORT, bench.acts.pretend(report(bench, 4096, data=bytes(4096))))
    assert_from_scratch(bench)


def test_valid_mark_over_a_part_of_the_image_is_erased_as_a_whole(bench: Any) -> None:
    bench.ecu.on(REPORT, bench.acts.pretend(report(bench, 4096, mark=1)))
    assert_from_scratch(bench)


def test_ecu_that_lies_about_what_it_holds_is_not_believed_twice(bench: Any) -> None:
    """The hash is right, but nothing stands there: the check fails, then everything is erased and sent."""
    held = 4096
    bench.ecu.banks[0] = type(bench.ecu.banks[0])(erased_bytes=0x40000)
    bench.ecu.start_life(programming=False)
    header = report(bench, 0, size=256).replace("4400000000", "4400f00000")
    bench.ecu.on(f"{REPORT}4400000000", bench.acts.pretend(report(bench, held)), times=9)
    bench.ecu.on(f"{REPORT}4400F00000", bench.acts.pretend(header), times=9)
    result = bench.flash()
    assert result.counts["download_restart"] == 1
    assert bench.ecu.erases == 1
    assert sent_bytes(bench) == len(bench.new.data) - held + 256 + len(bench.new.data) + 256
    bench.assert_runs("1.1.0")


@pytest.mark.parametrize(
    "answer",
    [
        "7101020500",
        "7101020500440000000000002711" + "00" * 41,
        "7101020500440000000000002710" + "03" + "00" * 40,
        "7101020500440000000000002710" + "00" + "00002000" + "00002000" + "00" * 32,
    ],
    ids=["no record", "another range", "unknown mark", "more than the range"],
)
def test_report_that_contradicts_itself_is_a_violation(bench: Any, answer: str) -> None:
    bench.limits(retries={"job": 1})
    bench.recipe = bench.recipe.model_copy(
        update={"routines": bench.recipe.routines.model_copy(update={"report_progress": 0x0205})}
    )
    bench.ecu.on(REPORT, bench.acts.pretend(answer))
    with pytest.raises(FlashFailed) as failure:
        bench.flash()
    assert isinstance(failure.value.cause, ProtocolViolation)
