"""Every service whose requests are read: service id to decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.wire.uds import DECODERS
from bench.wire.uds_authentication import Authentication
from bench.wire.uds_dtc import ReadDtcInformation
from bench.wire.uds_memory import MEMORY_DECODERS

ALL_DECODERS: Mapping[int, Callable[[bytes], Any]] = {
    **DECODERS,
    **MEMORY_DECODERS,
    Authentication.SID: Authentication.decode,
    ReadDtcInformation.SID: ReadDtcInformation.decode,
}
