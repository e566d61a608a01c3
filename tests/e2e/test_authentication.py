"""Whole runs in which a certificate opens the ECU instead of a key, or both do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.oracle.decode_isotp import split
from bench.oracle.decode_uds import listen
from bench.oracle.result import RunResult
from bench.runs.job import Job
from bench.runs.runner import Runner
from bench.wire.certificates import Credential, derived_authority, derived_credential, split_chain

ChangedJob = Callable[..., Job]
ECU_SECURITY = """[security]
algorithm = "hmac_sha256"
secret_name = "body_controller"
seed_bytes = 8
max_attempts = 3
delay_ms = 10000
"""
RECIPE_SECURITY = '[security]\nlevel = 1\nalgorithm = "hmac_sha256"\nsecret_name = "body_controller"\n'
ECU_TABLE = '[authentication]\ncertificate_name = "body ecu"\n'
ONE_WAY = '[authentication]\ncertificate_name = "tester"\n'
BOTH_WAYS = ONE_WAY + 'mode = "bidirectional"\n'


def job(
    changed_job: ChangedJob, recipe_table: str, *, keys: bool = False, ecu_table: str = ECU_TABLE, steps: str = ""
) -> Job:
    """Return the van's update with `[authentication]`, beside `[security]` where `keys` is set."""
    wanted = steps or ('"authentication", "security_access",' if keys else '"authentication",')
    ecu = {ECU_SECURITY: ECU_TABLE.replace(ECU_TABLE, ecu_table) + (ECU_SECURITY if keys else "")}
    recipe = {
        RECIPE_SECURITY: recipe_table + (RECIPE_SECURITY if keys else ""),
        '"security_access",': wanted,
    }
    changes = {"ecus/body_controller.toml": ecu, "recipes/single_bank.toml": recipe}
    return changed_job("healthy_van", "sim_van", changes)


def asked(result: RunResult) -> list[str]:
    found = listen(split(result.record.frames.items), result.record.layouts[0]).exchanges
    return [e.request.payload[:2].hex() for e in found if e.service in (0x27, 0x29)]


@pytest.mark.parametrize(
    ("table", "keys", "requests"),
    [
        (ONE_WAY, False, ["2908", "2901", "2903"]),
        (BOTH_WAYS, False, ["2908", "2902", "2903"]),
        (ONE_WAY, True, ["2908", "2901", "2903", "2701", "2702"]),
    ],
)
def test_update_with_a_certificate_reaches_the_target(
    runner: Runner, changed_job: ChangedJob, table: str, keys: bool, requests: list[str]
) -> None:
    result = runner.run(job(changed_job, table, keys=keys))
    assert result.as_expected, [(f.id, f.sentence) for f in result.verdict.invariants if f.verdict != "pass"]
    assert asked(result) == requests


def test_cut_in_the_middle_of_an_authenticated_transfer_authenticates_again(
    runner: Runner, changed_job: ChangedJob, with_faults: Callable[..., Job]
) -> None:
    faulty = with_faults(job(changed_job, BOTH_WAYS), "power.ecu:body:program:middle:phase=transfer:torn=3")
    result = runner.run(faulty)
    assert result.as_expected
    assert asked(result) == ["2908", "2902", "2903"] * 2


@pytest.mark.parametrize(
    ("table", "ecu_table", "told"),
    [
        (ONE_WAY, ECU_TABLE + 'revoked = ["tester"]\n', "NRC 0x57"),
        (ONE_WAY, ECU_TABLE + 'authority = "another maker"\n', "NRC 0x52"),
        (ONE_WAY, ECU_TABLE + 'role = "calibration"\n', "NRC 0x56"),
        (BOTH_WAYS + 'authority = "another maker"\n', ECU_TABLE, "ECU_CERTIFICATE"),
        (BOTH_WAYS, "[authentication]\n", "NRC 0x12"),
    ],
    ids=["revoked", "foreign", "role", "foreign ECU", "ECU proves nothing"],
)
def test_who_is_not_trusted_leaves_the_ecu_as_it_was(
    runner: Runner, changed_job: ChangedJob, table: str, ecu_table: str, told: str
) -> None:
    result = runner.run(job(changed_job, table, ecu_table=ecu_table))
    assert not result.as_expected
    assert [r.value for r in result.record.readings.items if r.did == 0xF189] == [b"1.0.0"]
    assert all(dump.erases == 0 for dump in result.record.flash.items)
    texts = [str(e.data["text"]) for e in result.record.server_events.items if e.kind == "component_result"]
    assert any(told in text for text in texts), texts


def write_files(folder: Path, credential: Credential) -> str:
    """Write a credential as PEM files; returns the recipe's keys."""
    chain = [x509.load_der_x509_certificate(der) for der in split_chain(credential.chain)]
    (folder / "chain.pem").write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in chain))
    key = credential.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(key)
    (folder / "ca.pem").write_bytes(derived_authority().public_bytes(Encoding.PEM))
    names = {"certificate_file": "chain", "key_file": "key", "authority_file": "ca"}
    return "[authentication]\nmode = 'bidirectional'\n" + "".join(
        f"{key} = '{folder / name}.pem'\n" for key, name in names.items()
    )


def test_certificate_and_key_may_come_from_files(runner: Runner, changed_job: ChangedJob, tmp_path: Path) -> None:
    table = write_files(tmp_path, derived_credential("a supplier's tester"))
    assert runner.run(job(changed_job, table)).as_expected


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("key.pem", None, "key.pem: the key does not exist"),
        ("key.pem", b"no key", "holds no PEM key"),
        ("chain.pem", b"no certificate", "holds no PEM certificate"),
        ("key.pem", "other", "is not the key of"),
    ],
)
def test_unusable_file_is_told_before_the_ecu_is_touched(
    runner: Runner, changed_job: ChangedJob, tmp_path: Path, file: str, content: bytes | str | None, told: str
) -> None:
    table = write_files(tmp_path, derived_credential("a supplier's tester"))
    if content is None:
        (tmp_path / file).unlink()
    elif isinstance(content, bytes):
        (tmp_path / file).write_bytes(content)
    else:
        key = derived_credential(content).key
        (tmp_path / file).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    result = runner.run(job(changed_job, table))
    assert not result.as_expected
    assert asked(result) == []
    texts = [str(e.data["text"]) for e in result.record.server_events.items if e.kind == "component_result"]
    assert any("CREDENTIAL_FILE" in text and told in text for text in texts), texts
