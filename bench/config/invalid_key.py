"""How a validator of several keys says which one is wrong, what stands there and what may."""

from __future__ import annotations

from pydantic_core import PydanticCustomError

INVALID_KEY = "invalid_key"


def invalid_key(sentence: str, *, key: str, allowed: str, found: object = None) -> PydanticCustomError:
    """Return a ValueError to raise in a validator; `sentence` says what is wrong.

    `key` is dotted, from the model on whose validator raises it, and counted from 0 in lists. Without `found` the
    message shows what the file has there.
    """
    context = {"sentence": sentence, "key": key, "allowed": allowed, "found": "" if found is None else str(found)}
    return PydanticCustomError(INVALID_KEY, "{sentence}", context)
