"""The bench file in the guide to real buses is one that loads."""

from __future__ import annotations

from pathlib import Path

from bench.assembly.load import load_bench

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "real-can.md"


def test_bench_file_of_the_guide_loads_and_names_the_real_ecu(tmp_path: Path) -> None:
    text = GUIDE.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
    file = tmp_path / "two_processes.toml"
    file.write_text(text, encoding="utf-8")
    files = load_bench(file)
    assert files.bench.channels[0].interface == "udp_multicast"
    assert [ecu.id for ecu in files.simulated] == ["gateway"]
