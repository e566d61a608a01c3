"""Keys made by a supplier's program or library: the one place where the flasher starts processes or calls C.

Both block. In real time they run in a thread, so that the loop goes on; in virtual time they run inline, since a
thread would have no place in it: the call then takes no time, and the run repeats as far as the helper does.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import subprocess  # the helper is named by the user's own recipe
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from bench.core.clock import Clock
from bench.flasher.errors import SeedKeyFailed
from bench.flasher.recipe_security import COMMAND, LIBRARY, Security

T = TypeVar("T")
OUTPUT_LIMIT_BYTES = 65_536
GUARD_BYTES = 256
GUARD = 0xA5
RETURN_CODES = {
    1: ("KEY_BUFFER_TOO_SMALL", "raise security.key_limit_bytes"),
    2: ("KEY_LEVEL_INVALID", "check security.level: the library does not know it"),
    3: ("KEY_VARIANT_INVALID", "check security.variant: the library does not know it"),
    4: ("KEY_UNSPECIFIED_ERROR", "ask who made the library"),
}
"""What GenerateKeyEx returns other than 0 (KGRE_Ok)."""
NEEDS_A_HELPER = 'a 32-bit library needs a 32-bit program of its own that calls it: algorithm = "command"'


async def without_blocking(clock: Clock, work: Callable[[], T]) -> T:
    """Do what blocks: in a thread in real time, inline in virtual time."""
    # A thread in virtual time would bring the order of the host into the run (D1).
    return work() if clock.virtual else await asyncio.to_thread(work)


def check_helper(security: Security) -> None:
    """SeedKeyFailed when the command or library that a recipe names is not there: asked before an ECU is touched."""
    if security.algorithm == COMMAND:
        _program(_command(security))
    elif security.algorithm == LIBRARY:
        _function(security)


def helper_key(security: Security, seed: bytes) -> bytes:
    """Return the key for `seed`; SeedKeyFailed names what went wrong. Blocks."""
    return _command_key(security, seed) if security.algorithm == COMMAND else _library_key(security, seed)


# A program: seed on standard input, key on standard output ------------------------------------------


def _command(security: Security) -> tuple[str, ...]:
    assert security.command is not None, "the recipe was checked"
    return security.command


def _program(command: tuple[str, ...]) -> str:
    found = shutil.which(command[0])
    if found is None:
        raise SeedKeyFailed("KEY_COMMAND_MISSING", command[0], "no such program", "check security.command")
    return found


def _command_key(security: Security, seed: bytes) -> bytes:
    command = _command(security)
    # The seed goes by standard input: on a command line every user of the machine could read it.
    output, errors, code = _run((_program(command), *command[1:]), seed.hex() + "\n", security.time_limit_ms)
    who = " ".join(command)
    if code != 0:
        said = errors.strip().splitlines()
        raise SeedKeyFailed("KEY_COMMAND_EXIT", who, f"exit code {code}{f': {said[-1][:200]}' if said else ''}")
    words = output.split()
    try:
        key = bytes.fromhex("".join(words))
    except ValueError:
        key = b""
    if not key:
        shown = f"{output[:40]!r}"
        raise SeedKeyFailed("KEY_COMMAND_GARBAGE", who, f"wrote {shown}", "it must write the key in hexadecimal")
    return key


def _run(command: tuple[str, ...], text: str, limit_ms: int) -> tuple[str, str, int]:
    """Run a program in a session of its own, so that a time-out ends its children too."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own recipe names it, no shell is involved
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            errors="replace", start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise SeedKeyFailed("KEY_COMMAND_MISSING", command[0], f"cannot be started: {error}") from None
    with process:
        try:
            output, errors = process.communicate(text, timeout=limit_ms / 1000)
        except subprocess.TimeoutExpired:
            _end(process)
            who = " ".join(command)
            hint = "raise security.time_limit_ms, or repair the program"
            raise SeedKeyFailed("KEY_COMMAND_TIMEOUT", who, f"no key within {limit_ms} ms", hint) from None
        return output[:OUTPUT_LIMIT_BYTES], errors, process.returncode


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        # The whole group: a script that ends leaves the program that it started, and that keeps the pipe open.
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


# A library with GenerateKeyEx -----------------------------------------------------------------------


def _function(security: Security) -> Callable[..., int]:
    """Return the library's function with its C types."""
    assert security.library is not None, "the recipe was checked"
    path = Path(security.library)
    if not path.is_file():
        raise SeedKeyFailed("KEY_LIBRARY_MISSING", str(path), "no such file", "check security.library")
    try:
        function = getattr(ctypes.CDLL(str(path.resolve())), security.function)
    except OSError as error:
        raise SeedKeyFailed("KEY_LIBRARY_UNUSABLE", str(path), f"cannot be loaded: {error}", NEEDS_A_HELPER) from None
    except AttributeError:
        raise SeedKeyFailed("KEY_LIBRARY_UNUSABLE", str(path), f"has no {security.function}") from None
    options = (ctypes.c_char_p,) if security.function == "GenerateKeyExOpt" else ()
    function.restype = ctypes.c_int
    function.argtypes = (
        ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_char_p, *options, ctypes.c_void_p, ctypes.c_uint,
        ctypes.POINTER(ctypes.c_uint),
    )  # fmt: skip
    call: Callable[..., int] = function
    return call


class _Guarded:
    """A C buffer between two guards, which a library that writes outside of it changes."""

    def __init__(self, content: bytes) -> None:
        self._guard = bytes((GUARD,)) * GUARD_BYTES
        self._length = len(content)
        whole = self._guard + content + self._guard
        self._buffer = (ctypes.c_ubyte * len(whole)).from_buffer_copy(whole)
        self.address = ctypes.addressof(self._buffer) + GUARD_BYTES

    @property
    def content(self) -> bytes:
        """The bytes between the guards."""
        return bytes(self._buffer)[GUARD_BYTES : GUARD_BYTES + self._length]

    @property
    def intact(self) -> bool:
        """Whether nothing was written outside."""
        whole = bytes(self._buffer)
        return whole[:GUARD_BYTES] == self._guard == whole[GUARD_BYTES + self._length :]


def _library_key(security: Security, seed: bytes) -> bytes:
    """Call the library with buffers that it can overrun a little without harm, and look whether it did."""
    function, who = _function(security), f"{security.library} {security.function}"
    seed_buffer, key_buffer = _Guarded(seed), _Guarded(bytes(security.key_limit_bytes))
    actual = ctypes.c_uint(0)
    options = (security.options.encode(),) if security.function == "GenerateKeyExOpt" else ()
    code = function(
        seed_buffer.address, len(seed), security.level, security.variant.encode(), *options, key_buffer.address,
        security.key_limit_bytes, ctypes.byref(actual),
    )  # fmt: skip
    # Looked at before the return code: a library that wrote outside is not believed when it says that all went well.
    if not (seed_buffer.intact and key_buffer.intact and seed_buffer.content == seed):
        raise SeedKeyFailed(
            "KEY_LIBRARY_OVERRUN", who, "wrote outside of the key's buffer", "do not trust this library"
        )
    if code != 0:
        name, hint = RETURN_CODES.get(code, ("KEY_RETURN_CODE", "ask who made the library"))
        raise SeedKeyFailed(name, who, f"returned {code}", hint)
    if not 0 < actual.value <= security.key_limit_bytes:
        what = f"says the key has {actual.value} bytes, the buffer {security.key_limit_bytes}"
        raise SeedKeyFailed("KEY_LENGTH", who, what, "ask who made the library")
    return key_buffer.content[: actual.value]
