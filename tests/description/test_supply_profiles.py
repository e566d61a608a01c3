"""Supply profiles by name: the user's own folder first, then the built-in ones; a wrong name lists what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import data_root
from bench.core.errors import InputError
from bench.rig.job import make_job

BENCH = data_root() / "benches" / "sim.toml"


def scenario(folder: Path, profile: str) -> Path:
    """A scenario in a user's folder that names a profile."""
    path = folder / "scenarios" / "mine.toml"
    path.parent.mkdir()
    text = (data_root() / "scenarios" / "supply_crank.toml").read_text()
    path.write_text(text.replace("crank_cold", profile))
    return path


def test_own_profile_beside_the_scenario_is_found_and_kept_as_an_input(tmp_path: Path) -> None:
    own = tmp_path / "supply" / "mine.toml"
    own.parent.mkdir()
    own.write_text((data_root() / "supply" / "drop.toml").read_text().replace('"drop"', '"mine"'))
    job = make_job(scenario(tmp_path, "mine"), BENCH)
    assert job.inputs["supply/mine.toml"] == own.read_bytes()


def test_built_in_profile_is_found_from_anywhere(tmp_path: Path) -> None:
    job = make_job(scenario(tmp_path, "drop"), BENCH)
    assert job.inputs["supply/drop.toml"] == (data_root() / "supply" / "drop.toml").read_bytes()


def test_unknown_profile_is_refused_with_the_names_of_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        make_job(scenario(tmp_path, "nothing"), BENCH)
    assert caught.value.key == "faults.parameters.profile"
    assert caught.value.allowed is not None
    assert "crank_cold, " in caught.value.allowed


def test_scenario_without_supply_faults_has_no_profile_among_its_inputs() -> None:
    job = make_job(data_root() / "scenarios" / "healthy.toml", BENCH)
    assert not any(name.startswith("supply/") for name in job.inputs)
