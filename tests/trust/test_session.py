from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.trust.keys import exchange_key, exchange_public_key
from bench.trust.session import (
    Freshness,
    SealError,
    decrypt_token,
    decrypt_vin,
    encrypt_token,
    encrypt_vin,
    token_text,
)

VIN = "ZZZ00TABENCH00001"
DEV_ID = "IMEI:490154203237518"
FRESH = Freshness(bytes(range(32)), bytes(range(12)))
SERVER, SERVER_PUBLIC = exchange_key("server"), exchange_public_key("server")


def sealed() -> str:
    return encrypt_vin(VIN, SERVER_PUBLIC, dev_id=DEV_ID, fresh=FRESH)


@given(st.text(max_size=60), st.binary(min_size=32, max_size=32), st.binary(min_size=12, max_size=12))
def test_token_sealed_for_the_vehicle_is_opened_by_it(token: str, ephemeral: bytes, nonce: bytes) -> None:
    token = "t" + token.encode("utf-8", "replace").decode()
    text = encrypt_token(token, exchange_public_key(VIN), dev_id=DEV_ID, fresh=Freshness(ephemeral, nonce))
    assert decrypt_token(text, exchange_key(VIN), dev_id=DEV_ID) == token


def test_sealed_vin_is_opened_by_the_server_and_has_a_fixed_length() -> None:
    assert decrypt_vin(sealed(), SERVER, dev_id=DEV_ID) == VIN
    assert sealed() == sealed()
    assert len(base64.b64decode(sealed())) == 32 + 12 + 17 + 16
    assert VIN not in sealed()


def test_session_token_text_has_43_characters() -> None:
    assert len(token_text(bytes(32))) == 43
    with pytest.raises(ValueError, match="32 bytes, got 31"):
        token_text(bytes(31))


def test_sealed_vin_is_not_opened_with_another_key_device_or_purpose() -> None:
    with pytest.raises(SealError):
        decrypt_vin(sealed(), exchange_key("stranger"), dev_id=DEV_ID)
    with pytest.raises(SealError):
        decrypt_vin(sealed(), SERVER, dev_id="IMEI:1")
    with pytest.raises(SealError):
        decrypt_token(sealed(), SERVER, dev_id=DEV_ID)


@given(st.integers(0, 76), st.integers(1, 255))
def test_sealed_vin_damaged_anywhere_is_refused(at: int, change: int) -> None:
    raw = bytearray(base64.b64decode(sealed()))
    raw[at] ^= change
    with pytest.raises(SealError):
        decrypt_vin(base64.b64encode(raw).decode(), SERVER, dev_id=DEV_ID)


@pytest.mark.parametrize("text", ["", "not base64!", "ABJHABD^UVBJA", base64.b64encode(bytes(60)).decode(), "ü"])
def test_sealed_vin_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SealError):
        decrypt_vin(text, SERVER, dev_id=DEV_ID)


def test_sealed_vin_with_a_key_of_small_order_is_refused() -> None:
    with pytest.raises(SealError):
        decrypt_vin(base64.b64encode(bytes(80)).decode(), SERVER, dev_id=DEV_ID)


def test_freshness_of_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="need 32 and 12"):
        Freshness(bytes(32), bytes(11))
