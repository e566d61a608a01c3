"""`otabench ecu --flow-control`: what served ECUs ask of testers that send them long requests."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.errors import InputError

GRAMMAR = "BS,STMIN, each 0 to 255: 8,0xF5 is eight frames at once, 500 us apart"


def flow_control_by_ecu(texts: Sequence[str], ecus: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Read `[ECU/]BS,STMIN`; without ECU it holds for every one that has none of its own. InputError names mistakes."""
    asked: dict[str, tuple[int, int]] = {}
    for text in texts:
        ecu, separator, values = text.rpartition("/")
        if separator and ecu not in ecus:
            raise InputError(
                "no such ECU is served", key="--flow-control", found=text, allowed=", ".join(f"{e}/…" for e in ecus)
            )
        for name in (ecu,) if separator else ecus:
            if separator or name not in asked:
                asked[name] = _pair(values, text)
    return asked


def _pair(values: str, text: str) -> tuple[int, int]:
    try:
        block_size, st_min = (int(value, 0) for value in values.split(","))
    except ValueError:
        raise InputError("flow control is not readable", key="--flow-control", found=text, allowed=GRAMMAR) from None
    if not (0 <= block_size <= 0xFF and 0 <= st_min <= 0xFF):
        raise InputError("flow control does not fit a byte", key="--flow-control", found=text, allowed=GRAMMAR)
    return block_size, st_min
