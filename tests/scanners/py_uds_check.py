"""Decodes a scanner's exchanges with py-uds and prints what its translator cannot read, as one JSON object.

Reads the rows of `scapy_scan.py` from standard input. No module of this project is imported here.
"""

from __future__ import annotations

import json
import sys

from uds.addressing import AddressingType
from uds.message import UdsMessage
from uds.translator import BASE_TRANSLATOR


def complaint(response: str) -> str | None:
    """Return why a response cannot be read, or None."""
    try:
        message = UdsMessage(payload=bytes.fromhex(response), addressing_type=AddressingType.PHYSICAL)
        BASE_TRANSLATOR.decode(message)
    except Exception as error:  # whatever the foreign decoder says
        return f"{response}: {type(error).__name__}: {error}"
    return None


responses = sorted({row[3] for row in json.load(sys.stdin)["rows"] if row[3] is not None})
found = [text for text in map(complaint, responses) if text is not None]
print(json.dumps({"responses": len(responses), "complaints": found}))
