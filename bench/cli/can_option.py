"""The option `--can interface=…,channel=…`: a CAN adapter named on the command line."""

from __future__ import annotations

from bench.core.errors import InputError
from bench.ports import ChannelSpec

EXAMPLE = "for example interface=socketcan,channel=vcan0"
DEFAULT_BITRATE_BIT_S = 500_000


def can_channel(name: str, text: str, bitrate_bit_s: int, data_bitrate_bit_s: int | None) -> ChannelSpec:
    """Return the adapter that the user means; what is neither interface nor channel is for the adapter's driver."""
    values: dict[str, str] = {}
    for pair in text.split(","):
        key, separator, value = pair.partition("=")
        if not separator or not key or not value:
            raise InputError("--can is not KEY=VALUE,…", key="--can", found=pair or text, allowed=EXAMPLE)
        if key in values:
            raise InputError("--can names a key twice", key="--can", found=key, allowed=EXAMPLE)
        values[key] = value
    for key in ("interface", "channel"):
        if key not in values:
            raise InputError(f"--can lacks {key}", key="--can", found=text, allowed=EXAMPLE)
    if data_bitrate_bit_s is not None and data_bitrate_bit_s < bitrate_bit_s:
        raise InputError(
            "the data phase is slower than the nominal one",
            key="--data-bitrate",
            found=data_bitrate_bit_s,
            allowed=f"{bitrate_bit_s} or more",
        )
    return ChannelSpec(
        name=name,
        interface=values.pop("interface"),
        channel=values.pop("channel"),
        bitrate_bit_s=bitrate_bit_s,
        data_bitrate_bit_s=data_bitrate_bit_s,
        options={key: _value(value) for key, value in values.items()},
    )


def _value(text: str) -> str | int | float | bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (lambda: int(text, 0), lambda: float(text)):
        try:
            return kind()
        except ValueError:
            continue
    return text
