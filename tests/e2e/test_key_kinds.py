"""A simulated ECU opened by each kind of key: built-in algorithms, a supplier's program, a supplier's library."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.runs.job import Job
from bench.runs.runner import Runner
from bench.wire.seed_key import test_secret as secret_of

ChangedJob = Callable[..., Job]
SECRET = secret_of("body_controller")
PROGRAM = f"""
secret = bytes.fromhex("{SECRET.hex()}")
mixed = [byte ^ secret[n % 32] for n, byte in enumerate(bytes.fromhex(input()))]
print(bytes((byte << 3 | byte >> 5) & 255 for byte in mixed).hex())
"""
LIBRARY = f"""
static const unsigned char secret[] = {{{", ".join(map(str, SECRET))}}};
int GenerateKeyEx(const unsigned char *seed, unsigned int n, const unsigned int level, const char *variant,
                  unsigned char *key, unsigned int max, unsigned int *actual) {{
    if (n > max) return 1;
    for (unsigned int i = 0; i < n; i++) {{
        unsigned char mixed = seed[i] ^ secret[i % 32];
        key[i] = (unsigned char)(mixed << 3 | mixed >> 5);
    }}
    *actual = n;
    return 0;
}}
"""
RECIPE = 'algorithm = "hmac_sha256"\nsecret_name = "body_controller"'


def job_with(changed_job: ChangedJob, ecu: str, recipe: str) -> Job:
    changes = {
        "ecus/body_controller.toml": {'"hmac_sha256"': f'"{ecu}"'},
        "recipes/single_bank.toml": {RECIPE: recipe},
    }
    return changed_job("healthy_van", "sim_van", changes)


@pytest.mark.parametrize("algorithm", ["xor_rotate", "aes_cmac"])
def test_ecu_is_opened_by_another_built_in_algorithm(runner: Runner, changed_job: ChangedJob, algorithm: str) -> None:
    recipe = f'algorithm = "{algorithm}"\nsecret_name = "body_controller"'
    assert runner.run(job_with(changed_job, algorithm, recipe)).as_expected


def test_ecu_is_opened_by_a_program_of_the_supplier(runner: Runner, changed_job: ChangedJob, tmp_path: Path) -> None:
    program = tmp_path / "key.py"
    program.write_text(PROGRAM)
    recipe = f'algorithm = "command"\ncommand = ["{sys.executable}", "{program}"]'
    job = job_with(changed_job, "xor_rotate", recipe)
    first = runner.run(job)
    assert first.as_expected
    assert Runner().run(job).trace_sha256 == first.trace_sha256, "virtual time does not see how long it took"


def test_ecu_is_opened_by_a_library_of_the_supplier(runner: Runner, changed_job: ChangedJob, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler; next: apt-get install gcc")
    (tmp_path / "key.c").write_text(LIBRARY)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", tmp_path / "key.so", tmp_path / "key.c"], check=True)
    recipe = f'algorithm = "library"\nlibrary = "{tmp_path / "key.so"}"'
    assert runner.run(job_with(changed_job, "xor_rotate", recipe)).as_expected


def test_ecu_that_wants_another_key_refuses_and_keeps_its_software(runner: Runner, changed_job: ChangedJob) -> None:
    recipe = 'algorithm = "aes_cmac"\nsecret_name = "body_controller"'
    result = runner.run(job_with(changed_job, "xor_rotate", recipe))
    assert not result.as_expected
    assert [r.value for r in result.record.readings.items if r.did == 0xF189] == [b"1.0.0"]
