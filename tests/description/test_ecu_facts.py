"""What the judge knows of an ECU comes from the files, and says the same as the simulated ECU read out of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.assembly.load import load_bench
from bench.config import data_root
from bench.core.errors import InputError
from bench.core.records import BankLayout
from bench.description.ecu_facts import EcuFacts, ecu_layouts
from ecu_sim.personality.personality import Personality, load_personality

KINDS = sorted((data_root() / "ecus").glob("*.toml"))
BENCHES = sorted((data_root() / "benches").glob("*.toml"))


@pytest.mark.parametrize("path", KINDS, ids=lambda path: path.stem)
def test_both_readers_of_an_ecu_file_read_the_same(path: Path) -> None:
    facts, rules = EcuFacts.load(path), load_personality(path)
    for name in EcuFacts.model_fields.keys() - {"banks", "boot", "security", "diagnostics"}:
        assert getattr(facts, name) == getattr(rules, name), name
    locks = (rules.security, rules.diagnostics.application_security)
    assert facts.static_seed == any(lock is not None and lock.static_seed for lock in locks)
    assert facts.boot.time_limit_ms == rules.boot.time_limit_ms
    assert [bank.model_dump() for bank in facts.banks] == [bank.model_dump() for bank in rules.banks]


def test_every_key_that_the_judge_reads_is_one_of_an_ecu_file() -> None:
    assert EcuFacts.model_fields.keys() <= Personality.model_fields.keys()


@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.stem)
def test_every_ecu_of_a_bench_has_a_layout_in_the_order_of_the_vehicle_file(path: Path) -> None:
    files = load_bench(path)
    layouts = ecu_layouts(files)
    assert [layout.ecu for layout in layouts] == [ecu.id for ecu in files.vehicle.ecus]
    for layout in layouts:
        recipe = files.recipes[layout.ecu]
        assert (layout.erase_routine, layout.check_routine) == (recipe.routines.erase, recipe.routines.check_memory)


def test_layout_of_the_gateway_tells_what_the_judge_may_know() -> None:
    layout = ecu_layouts(load_bench(data_root() / "benches" / "sim.toml"))[1]
    assert layout.banks == (BankLayout("A", 0, 0x40000), BankLayout("B", 0, 0x40000))
    assert (layout.header_address, layout.erase_routine, layout.boot_time_limit_ms) == (0xF0_0000, 0xFF00, 500)


def test_an_ecu_file_without_a_boot_limit_is_refused(tmp_path: Path) -> None:
    text = KINDS[0].read_text().replace("time_limit_ms", "time_limits_ms")
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        EcuFacts.load(path)
    assert refused.value.key == "boot.time_limit_ms"
