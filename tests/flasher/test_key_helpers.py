"""Keys from a supplier's program, library or plug-in: what they give, and every way in which they give none."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.core.clock import RealClock
from bench.core.loop import VirtualLoop
from bench.flasher.errors import FlashFailed, SeedKeyFailed
from bench.flasher.key_helpers import check_helper, helper_key
from bench.flasher.key_maker import key_for
from bench.flasher.recipe_security import Security
from bench.wire import seed_key

SEED = bytes.fromhex("00112233445566778899")
SOURCE = """
#include <string.h>
static int answer(const unsigned char *seed, unsigned int n, unsigned int level, const char *variant,
                  unsigned char *key, unsigned int max, unsigned int *actual) {
    if (!strcmp(variant, "long")) { *actual = max + 1; return 0; }
    if (!strcmp(variant, "none")) { *actual = 0; return 0; }
    if (!strcmp(variant, "overrun")) { memset(key, 7, max + 1); *actual = max; return 0; }
    if (!strcmp(variant, "underrun")) { key[-1] = 7; *actual = max; return 0; }
    if (!strcmp(variant, "scribble")) { ((unsigned char *)seed)[0] ^= 1; *actual = 1; return 0; }
    if (!strcmp(variant, "odd")) return 77;
    if (!strcmp(variant, "broken")) return 4;
    if (strcmp(variant, "")) return 3;
    if (level != 1) return 2;
    if (n > max) return 1;
    for (unsigned int i = 0; i < n; i++) key[i] = seed[i] ^ 0x5A;
    *actual = n;
    return 0;
}
int GenerateKeyEx(const unsigned char *seed, unsigned int n, const unsigned int level, const char *variant,
                  unsigned char *key, unsigned int max, unsigned int *actual) {
    return answer(seed, n, level, variant, key, max, actual);
}
int GenerateKeyExOpt(const unsigned char *seed, unsigned int n, const unsigned int level, const char *variant,
                     const char *options, unsigned char *key, unsigned int max, unsigned int *actual) {
    int code = answer(seed, n, level, variant, key, max, actual);
    if (!code) key[0] = (unsigned char)options[0];
    return code;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library as a supplier gives it, compiled here."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler; next: apt-get install gcc")
    folder = tmp_path_factory.mktemp("library")
    (folder / "key.c").write_text(SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "key.so", folder / "key.c"], check=True)
    return folder / "key.so"


def by_library(path: Path, **options: Any) -> Security:
    return Security.model_validate({"level": 1, "algorithm": "library", "library": str(path), **options})


def by_command(code: str, **options: Any) -> Security:
    command = (sys.executable, "-S", "-c", code)
    return Security.model_validate({"level": 1, "algorithm": "command", "command": command, **options})


def failure(security: Security) -> SeedKeyFailed:
    with pytest.raises(SeedKeyFailed) as failed:
        helper_key(security, SEED)
    return failed.value


# A library ------------------------------------------------------------------------------------------


def test_library_makes_the_key(library: Path) -> None:
    assert helper_key(by_library(library), SEED) == bytes(byte ^ 0x5A for byte in SEED)


def test_library_gets_its_options_in_the_longer_signature(library: Path) -> None:
    key = helper_key(by_library(library, function="GenerateKeyExOpt", options="Q"), SEED)
    assert key == b"Q" + bytes(byte ^ 0x5A for byte in SEED[1:])


def test_library_may_fill_the_buffer_to_its_end(library: Path) -> None:
    assert len(helper_key(by_library(library, key_limit_bytes=len(SEED)), SEED)) == len(SEED)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"key_limit_bytes": len(SEED) - 1}, "KEY_BUFFER_TOO_SMALL"),
        ({"level": 3}, "KEY_LEVEL_INVALID"),
        ({"variant": "unknown"}, "KEY_VARIANT_INVALID"),
        ({"variant": "broken"}, "KEY_UNSPECIFIED_ERROR"),
        ({"variant": "odd"}, "KEY_RETURN_CODE"),
        ({"variant": "long"}, "KEY_LENGTH"),
        ({"variant": "none"}, "KEY_LENGTH"),
        ({"variant": "overrun"}, "KEY_LIBRARY_OVERRUN"),
        ({"variant": "underrun"}, "KEY_LIBRARY_OVERRUN"),
        ({"variant": "scribble"}, "KEY_LIBRARY_OVERRUN"),
    ],
)
def test_library_that_gives_no_key_is_told_by_name(library: Path, options: dict[str, Any], name: str) -> None:
    assert failure(by_library(library, **options)).name == name


def test_missing_library_other_file_and_missing_function_are_told_apart(library: Path, tmp_path: Path) -> None:
    assert failure(by_library(tmp_path / "no.so")).name == "KEY_LIBRARY_MISSING"
    (tmp_path / "text.so").write_text("no library")
    unusable = failure(by_library(tmp_path / "text.so"))
    assert unusable.name == "KEY_LIBRARY_UNUSABLE"
    assert "32-bit" in unusable.hint
    other = tmp_path / "other.c"
    other.write_text("int answer(void) { return 42; }\n")
    compiler = shutil.which("cc") or "gcc"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", tmp_path / "other.so", other], check=True)
    assert "has no GenerateKeyEx" in str(failure(by_library(tmp_path / "other.so")))


# A program ------------------------------------------------------------------------------------------

ECHO = "print(bytes(b ^ 0x5A for b in bytes.fromhex(input())).hex(' '))"


def test_program_reads_the_seed_and_writes_the_key() -> None:
    assert helper_key(by_command(ECHO), SEED) == bytes(byte ^ 0x5A for byte in SEED)


@pytest.mark.parametrize(
    ("code", "name", "told"),
    [
        ("raise SystemExit(3)", "KEY_COMMAND_EXIT", "exit code 3"),
        ("raise SystemExit('no licence')", "KEY_COMMAND_EXIT", "no licence"),
        ("import os; os.abort()", "KEY_COMMAND_EXIT", "exit code -6"),
        ("print('the key is 12')", "KEY_COMMAND_GARBAGE", "the key is 12"),
        ("print('123')", "KEY_COMMAND_GARBAGE", "123"),
        ("", "KEY_COMMAND_GARBAGE", "hexadecimal"),
        ("import sys; sys.stdout.buffer.write(bytes((255, 0, 254)))", "KEY_COMMAND_GARBAGE", "hexadecimal"),
        ("import signal; signal.pause()", "KEY_COMMAND_TIMEOUT", "no key within 400 ms"),
    ],
)
def test_program_that_gives_no_key_is_told_by_name(code: str, name: str, told: str) -> None:
    found = failure(by_command(code, time_limit_ms=400 if "pause" in code else 20_000))
    assert found.name == name
    assert told in str(found)


def test_time_limit_ends_the_programs_children_too(tmp_path: Path) -> None:
    """The child holds a pipe open; its end is seen there."""
    fifo, silent = tmp_path / "fifo", tmp_path / "silent"
    os.mkfifo(fifo)
    os.mkfifo(silent)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        program = ("sh", "-c", f"exec 3>{fifo}; cat <{silent} & wait")
        security = Security(level=1, algorithm="command", command=program, time_limit_ms=2_000)
        assert failure(security).name == "KEY_COMMAND_TIMEOUT"
        assert select.select([reader], [], [], 10)[0] == [reader]
        assert os.read(reader, 1) == b"", "nobody holds the other end"
    finally:
        os.close(reader)


def test_missing_program_is_told_before_anything_is_asked_of_the_ecu(bench: Any) -> None:
    security = Security(level=1, algorithm="command", command=("no-such-program",))
    with pytest.raises(SeedKeyFailed, match="KEY_COMMAND_MISSING"):
        check_helper(security)
    bench.recipe = bench.recipe.model_copy(update={"security": security})
    with pytest.raises(SeedKeyFailed, match="KEY_COMMAND_MISSING"):
        bench.flash()
    assert bench.ecu.received == []


# Through the flasher --------------------------------------------------------------------------------


def test_program_that_fails_ends_the_job_at_once_and_restores_the_ecu(bench: Any) -> None:
    bench.recipe = bench.recipe.model_copy(update={"security": by_command("raise SystemExit(1)")})
    with pytest.raises(FlashFailed, match="KEY_COMMAND_EXIT") as failed:
        bench.flash()
    assert failed.value.step == "security_access"
    assert sum(request[:2] == b"\x27\x01" for request in bench.ecu.received) == 1
    bench.assert_runs("1.0.0")


def test_program_does_not_block_the_loop_in_real_time() -> None:
    """The program ends only once the loop has written into its pipe: a blocked loop would run into the limit."""

    async def main(fifo: Path) -> bytes:
        security = by_command(f"input(); print(open({str(fifo)!r}).read())", time_limit_ms=20_000)
        key = asyncio.create_task(key_for(security, SEED, RealClock()))
        await asyncio.to_thread(fifo.write_text, "c0ffee")
        return await key

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        fifo = Path(folder) / "fifo"
        os.mkfifo(fifo)
        assert asyncio.run(main(fifo)) == bytes.fromhex("c0ffee")


def test_program_takes_no_time_and_no_thread_in_virtual_time() -> None:
    loop = VirtualLoop()

    async def main() -> tuple[bytes, int]:
        return await key_for(by_command(ECHO), SEED, loop), loop.now_ns()

    try:
        assert loop.run(main()) == (bytes(byte ^ 0x5A for byte in SEED), 0)
    finally:
        loop.discard()


# Plug-ins -------------------------------------------------------------------------------------------


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Install a package that brings the algorithm `acme`."""

    def install(body: str) -> None:
        (tmp_path / "acme_keys.py").write_text(body)
        info = tmp_path / "acme_keys-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-keys\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            f"[{seed_key.GROUP}]\nacme = acme_keys:key\nhmac_sha256 = acme_keys:key\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "acme_keys", raising=False)

    return install


def test_installed_plug_in_is_found_by_name(plug_in: Callable[[str], None]) -> None:
    plug_in("def key(secret, seed):\n    return secret[:2] + seed[::-1]\n")
    assert seed_key.algorithm_names() == ("acme", "aes_cmac", "hmac_sha256", "xor_rotate")
    assert Security(level=1, algorithm="acme", secret_name="x").algorithm == "acme"
    assert seed_key.compute("acme", "x", SEED) == seed_key.test_secret("x")[:2] + SEED[::-1]


def test_plug_in_cannot_take_the_name_of_a_built_in_algorithm(plug_in: Callable[[str], None]) -> None:
    plug_in("def key(secret, seed):\n    return b'wrong'\n")
    assert seed_key.compute("hmac_sha256", "x", SEED) != b"wrong"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise RuntimeError('no dongle')\n", "cannot be loaded: RuntimeError: no dongle"),
        ("lock = 1\n", "cannot be loaded: AttributeError"),
        ("key = 5\n", "is no function"),
        ("def key(secret, seed):\n    return seed.hex()\n", "gave str"),
        ("def key(secret, seed):\n    return b''\n", "gave bytes"),
        ("def key(secret, seed):\n    raise ValueError('seed too long')\n", "failed: ValueError: seed too long"),
    ],
)
def test_plug_in_that_gives_no_key_is_told_by_name(plug_in: Callable[[str], None], body: str, told: str) -> None:
    plug_in(body)
    loop = VirtualLoop()
    try:
        with pytest.raises(SeedKeyFailed, match="KEY_PLUG_IN: acme") as failed:
            loop.run(key_for(Security(level=1, algorithm="acme", secret_name="x"), SEED, loop))
    finally:
        loop.discard()
    assert told in str(failed.value)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"algorithm": "hmac_sha256"}, "needs security.secret_name"),
        ({"algorithm": "command"}, "needs security.command"),
        ({"algorithm": "command", "command": []}, "at least 1 item"),
        ({"algorithm": "library"}, "needs security.library"),
        ({"algorithm": "aes_cmac", "secret_name": "x", "library": "a.so"}, "has no security.library"),
        ({"algorithm": "library", "library": "a.so", "secret_name": "x"}, "has no security.secret_name"),
        ({"algorithm": "library", "library": "a.so", "function": "MakeKey"}, "GenerateKeyEx"),
        ({"algorithm": "acme", "secret_name": "x"}, "one of: aes_cmac, hmac_sha256, xor_rotate, command, library"),
    ],
)
def test_security_table_with_a_gap_is_refused_with_what_is_missing(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Security.model_validate({"level": 1, **values})
