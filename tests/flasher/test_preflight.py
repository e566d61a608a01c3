from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bench.flasher.errors import ImageMismatch

if TYPE_CHECKING:
    from bench.flasher.signed_image import FlashJob
    from tests.flasher.conftest import Bench


def refusal(bench: Bench, job: FlashJob) -> str:
    with pytest.raises(ImageMismatch) as caught:
        bench.flash(job)
    assert bench.ecu.functional == []
    assert all(request[0] == 0x22 for request in bench.ecu.received)
    assert "was not touched" in str(caught.value)
    return str(caught.value)


def test_image_for_other_hardware_is_refused_before_the_ecu_is_touched_and_both_ids_are_named(bench: Bench) -> None:
    told = refusal(bench, bench.job(bench.image("1.1.0", hardware_id="GW-HW-02")))
    assert "'GW-HW-02'" in told
    assert "'BCM-HW-03'" in told
    bench.assert_runs("1.0.0")


def test_image_beyond_the_region_is_refused_with_both_ranges_and_without_a_request(bench: Bench) -> None:
    told = refusal(bench, bench.job(bench.image("1.1.0", length=0x40001)))
    assert "0x00000000..0x00040001" in told
    assert "0x00000000..0x00040000" in told
    assert bench.ecu.received == []


def test_image_linked_below_the_region_is_refused(bench: Bench) -> None:
    bench.recipe = bench.recipe.model_copy(
        update={"memory": bench.recipe.memory.model_copy(update={"region_base": 0x8000})}
    )
    assert "region" in refusal(bench, bench.job())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image": b""}, "length: the image has no bytes"),
        ({"image": bytes(9_999)}, "length: the image has 9999 bytes, the ECU would expect 10000 bytes"),
        ({"image": bytes(10_000)}, "hash"),
        ({"header": bytes(256)}, "header: the image has magic is"),
        ({"header": b"short"}, "header: the image has 5 bytes"),
        ({"version": "2.0.0"}, "version: the image has '1.1.0', the ECU shall run '2.0.0'"),
        ({"software_id": "GW-APP"}, "software id: the image has 'BCM-APP', the ECU shall run 'GW-APP'"),
    ],
)
def test_image_that_disagrees_with_header_or_order_is_refused_without_a_request(
    bench: Bench, change: dict[str, object], told: str
) -> None:
    assert told in refusal(bench, replace(bench.job(), **change))  # type: ignore[arg-type]
    assert bench.ecu.received == []
