"""Whole stories in both grains of the wire (D2): the same trace, whatever strikes and whoever talks."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import data_root
from bench.rig.job import make_job
from bench.runs.runner import Runner

STORIES = (
    ("healthy", "sim"),
    ("power_cut_ecu", "sim"),
    ("power_cut_agent", "sim"),
    ("power_cut_fd", "sim_fd"),
    ("healthy_adas", "sim_adas"),
    ("power_cut_together", "sim_two_buses"),
)


@pytest.mark.parametrize(("scenario", "bench"), STORIES)
def test_story_has_the_same_trace_frame_by_frame(tmp_path: Path, scenario: str, bench: str) -> None:
    story = data_root() / "scenarios" / f"{scenario}.toml"
    auto = data_root() / "benches" / f"{bench}.toml"
    text = auto.read_text(encoding="utf-8")
    single = tmp_path / "benches" / auto.name
    single.parent.mkdir()
    single.write_text(text.replace('driver = "sim"\nbitrate', 'driver = "sim"\ngrain = "frame"\nbitrate'), "utf-8")
    assert 'grain = "frame"' in single.read_text(encoding="utf-8")
    many, each = (Runner().run(make_job(story, file)) for file in (auto, single))
    assert many.trace_sha256 == each.trace_sha256
    assert many.verdict == each.verdict
    assert many.as_expected
    assert each.as_expected
