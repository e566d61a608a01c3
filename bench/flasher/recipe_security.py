"""How a recipe unlocks its ECU: who makes the key for a seed (`[security]`), whose certificate (`[authentication]`)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from bench.config import FileModel
from bench.wire import seed_key
from bench.wire.certificates import AUTHORITY

COMMAND, LIBRARY = "command", "library"
_OPTIONS = {
    COMMAND: ("command", "time_limit_ms"),
    LIBRARY: ("library", "function", "variant", "options", "key_limit_bytes"),
}
"""Keys that only one kind of key maker has; all others are the algorithm's `secret_name`."""


class Security(FileModel):
    """0x27: the odd level, and who makes the key.

    `algorithm` is a built-in or installed algorithm over the secret `secret_name`; or `command`, a program that reads
    the seed and writes the key, in hexadecimal; or `library`, a DLL or shared object with `GenerateKeyEx`.
    """

    level: Annotated[int, Field(ge=1, le=0x7D)]
    algorithm: str
    secret_name: Annotated[str, Field(min_length=1)] | None = None
    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    time_limit_ms: Annotated[int, Field(ge=1, le=60_000)] = 2_000
    library: Annotated[str, Field(min_length=1)] | None = None
    function: Literal["GenerateKeyEx", "GenerateKeyExOpt"] = "GenerateKeyEx"
    variant: str = ""
    options: str = ""
    key_limit_bytes: Annotated[int, Field(ge=1, le=4_000)] = 64

    @field_validator("algorithm")
    @classmethod
    def _known(cls, algorithm: str) -> str:
        if algorithm not in _OPTIONS and not seed_key.is_known(algorithm):
            raise ValueError(f"one of: {', '.join((*seed_key.algorithm_names(), *_OPTIONS))}")
        return algorithm

    @field_validator("level")
    @classmethod
    def _odd(cls, level: int) -> int:
        if level % 2 == 0:
            raise ValueError("an odd number: requestSeed of the level, sendKey is one more")
        return level

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        needed = self.algorithm if self.algorithm in _OPTIONS else "secret_name"
        if getattr(self, needed) is None:
            raise ValueError(f"algorithm {self.algorithm} needs security.{needed}")
        allowed = {"level", "algorithm", *_OPTIONS.get(self.algorithm, ("secret_name",))}
        fields = type(self).model_fields
        strange = sorted(name for name in fields if name not in allowed and getattr(self, name) != fields[name].default)
        if strange:
            raise ValueError(f"algorithm {self.algorithm} has no security.{strange[0]}: {', '.join(sorted(allowed))}")
        return self


_FILES = ("certificate_file", "key_file", "authority_file")


class Authentication(FileModel):
    """0x29 with certificates: who the tester is, and (bidirectional) whom he trusts.

    Either test certificates by name, or PEM files: the tester's chain (his own certificate first), his key (PKCS#8,
    Ed25519), and the authority of the ECUs.
    """

    mode: Literal["unidirectional", "bidirectional"] = "unidirectional"
    communication_configuration: Annotated[int, Field(ge=0, le=0xFF)] = 0
    certificate_name: Annotated[str, Field(min_length=1)] | None = None
    authority: Annotated[str, Field(min_length=1)] = AUTHORITY
    certificate_file: str | None = None
    key_file: str | None = None
    authority_file: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in _FILES if getattr(self, name) is not None]
        needed = _FILES if self.mode == "bidirectional" else _FILES[:2]
        if self.certificate_name is None and not given:
            raise ValueError("certificate_name is missing (or certificate_file and key_file)")
        if self.certificate_name is not None and given:
            raise ValueError(f"certificate_name and {given[0]} exclude each other")
        missing = [name for name in needed if given and name not in given]
        if missing:
            raise ValueError(f"{missing[0]} is missing beside {given[0]}")
        return self
