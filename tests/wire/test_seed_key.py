"""Built-in key algorithms against vectors from elsewhere, and their shape for any seed."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from bench.wire import seed_key

LENGTHS: dict[str, Callable[[bytes], int]] = {
    "hmac_sha256": lambda _seed: 8,
    "xor_rotate": len,
    "aes_cmac": lambda _seed: 16,
}


def test_aes_cmac_gives_the_value_of_rfc_4493() -> None:
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    message = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    assert seed_key.find("aes_cmac")(key, message).hex() == "070a16b46b4d4144f79bdd9dd04a287c"


def test_xor_rotate_by_hand() -> None:
    """0x81 ^ 0x01 = 0x80, rotated left by 3 is 0x04; 0x10 ^ 0x02 = 0x12 becomes 0x90; the secret repeats."""
    assert seed_key.find("xor_rotate")(b"\x01\x02", b"\x81\x10\x81").hex() == "049004"


@given(st.sampled_from(sorted(LENGTHS)), st.binary(min_size=1, max_size=64), st.integers(0, 511))
def test_every_algorithm_gives_one_key_of_its_length_and_another_one_for_another_seed(
    name: str, seed: bytes, bit: int
) -> None:
    key = seed_key.compute(name, "x", seed)
    assert key == seed_key.compute(name, "x", seed)
    assert len(key) == LENGTHS[name](seed)
    at = bit % (8 * len(seed))
    other = bytearray(seed)
    other[at // 8] ^= 1 << at % 8
    assert seed_key.compute(name, "x", bytes(other)) != key
    assert seed_key.compute(name, "y", seed) != key
