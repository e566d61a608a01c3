"""The key for a seed, by whatever the recipe names."""

from __future__ import annotations

from bench.core.clock import Clock
from bench.core.errors import InputError
from bench.flasher.errors import SeedKeyFailed
from bench.flasher.key_helpers import helper_key, without_blocking
from bench.flasher.recipe_security import COMMAND, LIBRARY, Security
from bench.wire import seed_key


async def key_for(security: Security, seed: bytes, clock: Clock) -> bytes:
    """Return the key that opens `seed`; SeedKeyFailed when whoever makes keys gives none."""
    if security.algorithm in (COMMAND, LIBRARY):
        return await without_blocking(clock, lambda: helper_key(security, seed))
    assert security.secret_name is not None, "the recipe was checked"
    try:
        return seed_key.compute(security.algorithm, security.secret_name, seed)
    except InputError as error:
        raise SeedKeyFailed("KEY_PLUG_IN", security.algorithm, error.problem, error.hint or "") from None
