"""Sealed texts of the registration: EncryptedVIN (vehicle to server) and session token (server to vehicle).

X25519 with an ephemeral key, HKDF-SHA256, AES-256-GCM. The text is base64 of the ephemeral public key (32 bytes),
the nonce (12) and the sealed text with its tag (16). Direction and device id are bound in: a text sealed for one
cannot be opened as another. Ephemeral keys and nonces come from the caller's `Entropy`, fresh for every text.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

EPHEMERAL_BYTES = 32
NONCE_BYTES = 12
TOKEN_BYTES = 32
_OVERHEAD_BYTES = EPHEMERAL_BYTES + NONCE_BYTES + 16
_VIN, _TOKEN = b"otabench EncryptedVIN", b"otabench session token"


class SealError(ValueError):
    """The sealed text cannot be opened: damaged, for somebody else, or not a sealed text."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """Random bytes for one sealing: an X25519 private key (32 bytes) and a nonce (12 bytes), never used twice."""

    ephemeral: bytes
    nonce: bytes

    def __post_init__(self) -> None:
        if len(self.ephemeral) != EPHEMERAL_BYTES or len(self.nonce) != NONCE_BYTES:
            raise ValueError(f"need {EPHEMERAL_BYTES} and {NONCE_BYTES} bytes")


def token_text(random: bytes) -> str:
    """Return `TOKEN_BYTES` random bytes as the text of a session token (43 characters)."""
    if len(random) != TOKEN_BYTES:
        raise ValueError(f"a session token is made of {TOKEN_BYTES} bytes, got {len(random)}")
    return base64.urlsafe_b64encode(random).rstrip(b"=").decode()


def encrypt_vin(vin: str, server_public_key: bytes, *, dev_id: str, fresh: Freshness) -> str:
    """Seal the VIN for the server."""
    return _seal(vin, server_public_key, _VIN, dev_id, fresh)


def decrypt_vin(text: str, server_key: X25519PrivateKey, *, dev_id: str) -> str:
    """Open an EncryptedVIN; `SealError` when it is not one of that device for this server."""
    return _open(text, server_key, _VIN, dev_id)


def encrypt_token(token: str, vehicle_public_key: bytes, *, dev_id: str, fresh: Freshness) -> str:
    """Seal a session token for the vehicle."""
    return _seal(token, vehicle_public_key, _TOKEN, dev_id, fresh)


def decrypt_token(text: str, vehicle_key: X25519PrivateKey, *, dev_id: str) -> str:
    """Open a session token; `SealError` when it is not one for this vehicle."""
    return _open(text, vehicle_key, _TOKEN, dev_id)


def _seal(plain: str, recipient: bytes, purpose: bytes, dev_id: str, fresh: Freshness) -> str:
    ephemeral = X25519PrivateKey.from_private_bytes(fresh.ephemeral)
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
    sender = ephemeral.public_key().public_bytes_raw()
    sealed = AESGCM(_derived(shared, sender, recipient, purpose)).encrypt(fresh.nonce, plain.encode(), dev_id.encode())
    return base64.b64encode(sender + fresh.nonce + sealed).decode()


def _open(text: str, key: X25519PrivateKey, purpose: bytes, dev_id: str) -> str:
    try:
        raw = base64.b64decode(text, validate=True)
        if len(raw) <= _OVERHEAD_BYTES:
            raise SealError(f"sealed text has {len(raw)} bytes, more than {_OVERHEAD_BYTES} are due")
        sender, rest = raw[:EPHEMERAL_BYTES], raw[EPHEMERAL_BYTES:]
        shared = key.exchange(X25519PublicKey.from_public_bytes(sender))
        derived = _derived(shared, sender, key.public_key().public_bytes_raw(), purpose)
        return AESGCM(derived).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], dev_id.encode()).decode()
    except SealError:
        raise
    except (binascii.Error, InvalidTag, ValueError) as error:
        raise SealError(f"sealed text cannot be opened: {type(error).__name__}") from None


def _derived(shared: bytes, sender: bytes, recipient: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=sender + recipient, info=purpose).derive(shared)
