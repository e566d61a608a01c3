"""Settings of an ECU as people read them: yes and no, addresses and identifiers in hexadecimal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEX_DIGITS = {"padding": 2, "node": 2, "_did": 4, "_routine": 4, "_address": 8, "linked_base": 8, "_id": 3}
"""How a number is written whose key is, or ends in, this; the first that fits counts."""


def settings(values: Mapping[str, Any]) -> list[str]:
    """Return `key value` for each setting that has a value; of an empty table or list nothing."""
    return [f"{key} {setting(key, value)}" for key, value in values.items() if value not in (None, [], (), {})]


def setting(key: str, value: Any) -> str:
    """Return one value as its key wants it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "(" + ", ".join(settings(value)) + ")"
    if isinstance(value, list | tuple):
        return ", ".join(setting(key, each) for each in value)
    if isinstance(value, int):
        digits = next((digits for end, digits in HEX_DIGITS.items() if key == end or key.endswith(end)), None)
        return str(value) if digits is None else f"0x{value:0{digits}X}"
    return str(value)
