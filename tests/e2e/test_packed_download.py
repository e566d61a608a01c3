"""Whole runs with encrypted and compressed downloads, judged by an oracle that looks into them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.oracle.decode_isotp import split
from bench.oracle.decode_uds import listen
from bench.oracle.result import RunResult
from bench.runs.job import Job
from bench.runs.runner import Runner

Load = Callable[..., Job]
IMAGE_BYTES = 65_536


def image_downloads(result: RunResult) -> list[tuple[int, int, int]]:
    """Return (data format, address, unpacked bytes) of each download of the image."""
    layout = result.record.layouts[0]
    found = listen(split(result.record.frames.items), layout).downloads
    return [(d.data_format, d.address, len(d.data)) for d in found if d.address != layout.header_address]


@pytest.mark.parametrize("scenario", ["healthy_adas", "power_cut_adas"])
def test_adas_scenario_ends_as_it_expects_and_every_invariant_is_observed(
    runner: Runner, load: Load, scenario: str
) -> None:
    result = runner.run(load(scenario, "sim_adas"))
    assert result.as_expected, [(f.id, f.verdict, f.sentence) for f in result.verdict.invariants]
    assert result.verdict.not_observed == ()


def test_image_crosses_the_bus_encrypted_and_compressed(runner: Runner, load: Load) -> None:
    result = runner.run(load("healthy_adas", "sim_adas"))
    assert image_downloads(result) == [(0x11, 0, IMAGE_BYTES)]
    target = next(r for r in result.record.references if r.role == "target")
    bus = b"".join(frame.data[1:] for frame in result.record.frames.items if frame.can_id == 0x7A2)
    assert target.data[:64] not in bus
    assert target.header[8:40] in b"".join(f.data[1:] for f in result.record.frames.items if f.can_id == 0x7A2), (
        "the header is plain"
    )


def test_interrupted_packed_download_goes_on_at_a_units_begin_with_a_stream_of_its_own(
    runner: Runner, load: Load, with_faults: Callable[..., Job]
) -> None:
    job = with_faults(load("healthy_adas", "sim_adas"), "power.ecu:adas:request:middle:phase=transfer")
    result = runner.run(job)
    assert result.as_expected
    (_, _, first), (_, address, second) = image_downloads(result)
    assert address % 256 == 0
    assert first >= address > IMAGE_BYTES // 4
    assert address + second == IMAGE_BYTES


@pytest.mark.parametrize(
    ("compression", "encryption"), [("none", "aes_ctr"), ("none", "aes_cbc"), ("lzma", "aes_cbc"), ("lzma", "none")]
)
def test_every_other_packing_reaches_the_target_too_with_a_power_cut(
    runner: Runner, changed_job: Callable[..., Job], compression: str, encryption: str
) -> None:
    changes = {
        'compression = "lzma"': f'compression = "{compression}"',
        "compression_nibble = 1": f"compression_nibble = {int(compression != 'none')}",
        'encryption = "aes_ctr"': f'encryption = "{encryption}"',
        "encryption_nibble = 1": f"encryption_nibble = {2 * (encryption != 'none')}",
    }
    if encryption == "none":
        changes['key_name = "adas download"'] = ""
    job = changed_job("power_cut_adas", "sim_adas", {"ecus/adas.toml": changes, "recipes/adas.toml": changes})
    result = runner.run(job)
    assert result.as_expected, [(f.id, f.sentence) for f in result.verdict.invariants if f.verdict != "pass"]


def test_cut_at_sampled_points_of_a_packed_download_ends_whole_and_authentic(
    runner: Runner, load: Load, with_faults: Callable[..., Job]
) -> None:
    job = load("healthy_adas", "sim_adas")
    points = runner.golden(job).points["adas", "program"]
    for n, point in enumerate([o for o in points if o.phase == "transfer"][::3]):
        cut = f"power.ecu:adas:program:{point.n}:torn={n % point.units}"
        result = runner.run(with_faults(job, cut, restore_after_ms=200))
        assert result.as_expected, (cut, [(f.id, f.sentence) for f in result.verdict.invariants])
