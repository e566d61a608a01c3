"""The option `--can interface=…,channel=…`: a CAN adapter named on the command line."""

from __future__ import annotations

from bench.core.errors import InputError
from bench.ports.can import ChannelSpec
from bench.serving.ecu_server import ServedVehicle

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
        named_by="--can",
    )


def adapters(
    served: ServedVehicle, texts: tuple[str, ...], bitrate_bit_s: int, data_bitrate_bit_s: int | None
) -> list[ChannelSpec]:
    """Return the adapter of each channel that the ECUs need: `CHANNEL=interface=…`, without CHANNEL for a single one.

    `InputError` names what is missing or too much.
    """
    needed = served.channels
    every = ", ".join(f"{name}=interface=…,channel=…" for name in needed)
    allowed = every if len(needed) > 1 else f"interface=…,channel=…, {EXAMPLE}"
    specs: dict[str, ChannelSpec] = {}
    for text in texts:
        name, _, rest = text.partition("=")
        if name not in needed:
            name, rest = needed[0], text
            if len(needed) > 1:
                raise InputError("--can names no channel of these ECUs", key="--can", found=text, allowed=every)
        if name in specs:
            raise InputError(f"two adapters for {name}", key="--can", found=text, allowed=allowed)
        specs[name] = can_channel(name, rest, bitrate_bit_s, data_bitrate_bit_s)
    missing = [name for name in needed if name not in specs]
    if missing:
        found = f"none for {', '.join(missing)}" if specs else "none"
        raise InputError("--can is missing", key="--can", found=found, allowed=allowed, hint="otabench ecu --help")
    return list(specs.values())


def _value(text: str) -> str | int | float | bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (lambda: int(text, 0), lambda: float(text)):
        try:
            return kind()
        except ValueError:
            continue
    return text
