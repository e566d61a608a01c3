"""What a key may hold, in words, from the JSON schema of the model that reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.config.toml_text import spelled

Schema = Mapping[str, Any]
PATTERNS = {
    r"^[a-z0-9][a-z0-9_-]{0,63}$": "a name: 1 to 64 of a-z, 0-9, - and _, first a letter or digit",
    r"^[a-z0-9][a-z0-9_-]*$": "a name: a-z, 0-9, - and _, first a letter or digit",
    r"^[ -~]{1,32}$": "1 to 32 printable ASCII characters",
    r"^[ -~]{7}$": "7 printable ASCII characters",
    r"^[A-HJ-NPR-Z0-9]{17}$": "17 of A-Z and 0-9 without I, O and Q",
    r"^[A-Z]+:[A-Za-z0-9-]{1,64}$": "a scheme in capitals, a colon, and 1 to 64 letters, digits and -, as in IMEI:350…",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": "1 to 64 letters, digits, dots, - and _, first a letter or digit",
}
"""Patterns of the models in words; one that is not here is shown as it is."""


def keys_of(root: Schema, path: Sequence[str | int]) -> tuple[str, ...]:
    """Return the keys of the table at `path`."""
    return tuple(dict.fromkeys(key for node in _at(root, path) for key in node.get("properties", {})))


def allowed_at(root: Schema, path: Sequence[str | int], *, hexadecimal: bool = False) -> str | None:
    """Return what may stand at `path`; None when the schema says nothing of it."""
    return _either(root, _at(root, path), hexadecimal) or None


def kinds_at(root: Schema, path: Sequence[str | int]) -> frozenset[type]:
    """Return the Python types of the choices at `path`, where the schema lists choices and nothing else; else none."""
    nodes = list(_at(root, path))
    choices = [[node["const"]] if "const" in node else node.get("enum") for node in nodes]
    if not choices or None in choices:
        return frozenset()
    return frozenset(type(choice) for each in choices if each is not None for choice in each)


def allowed_key(root: Schema, path: Sequence[str | int]) -> str | None:
    """Return what a key of the table at `path` may be called."""
    names = [node["propertyNames"] for node in _at(root, path) if "propertyNames" in node]
    patterns = [PATTERNS.get(each, f"text of the form {each}") for node in _at(root, path) for each in _patterns(node)]
    return " or ".join([_text(name) for name in names] + patterns) or None


def added(root: Schema, path: Sequence[str | int], above: str) -> str | None:
    """Return how a missing table is added, with the keys that it needs; None where `path` is none."""
    for node in _at(root, path):
        many = node.get("type") == "array"
        tables = _expanded(root, node.get("items", {})) if many else iter((node,))
        required = next((table.get("required", []) for table in tables if table.get("type") == "object"), None)
        if required is None or ("properties" not in node and not many):
            continue
        values = ", ".join(f"{key} = …" for key in required)
        if above or any(isinstance(part, int) for part in path):  # headers of tables in lists depend on their place
            name, inner = path[-1], f"{{ {values} }}" if values else "{}"
            table = ".".join(str(part) for part in (above, *path[:-1]) if part != "")
            return f"add {name} = {f'[{inner}]' if many else inner} to the table {table}"
        header = ".".join(map(str, path))
        return f"add a table {f'[[{header}]]' if many else f'[{header}]'}{f' with {values}' if values else ''}"
    return None


def _patterns(node: Schema) -> Iterator[str]:
    yield from node.get("patternProperties", {})


def _either(root: Schema, nodes: Iterator[Schema], hexadecimal: bool) -> str:
    return " or ".join(dict.fromkeys(text for text in (_words(root, node, hexadecimal) for node in nodes) if text))


def _expanded(root: Schema, node: Any) -> Iterator[Schema]:
    """Yield the alternatives that `node` stands for, references followed."""
    if not isinstance(node, Mapping):
        return
    if "$ref" in node:
        yield from _expanded(root, root["$defs"][node["$ref"].rsplit("/", 1)[-1]])
        return
    choices = [*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())]
    if not choices:
        yield node
    for choice in choices:
        yield from _expanded(root, choice)


def _at(root: Schema, path: Sequence[str | int]) -> Iterator[Schema]:
    nodes = list(_expanded(root, root))
    for part in path:
        nodes = [each for node in nodes for each in _expanded(root, _child(node, part))]
    return iter(nodes)


def _child(node: Schema, part: str | int) -> Any:
    if isinstance(part, int):
        return node.get("items")
    others = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties"))
    return node.get("properties", {}).get(part, others)


def _words(root: Schema, node: Schema, hexadecimal: bool) -> str | None:
    choices = [node["const"]] if "const" in node else node.get("enum")
    if choices is not None:
        return _listed([spelled("", (), choice).text for choice in choices])
    kind = node.get("type")
    if kind in ("integer", "number"):
        return _number(node, hexadecimal and kind == "integer")
    if kind == "string":
        return _text(node)
    if kind == "array":
        return _list(root, node, hexadecimal)
    if kind == "object":
        keys = ", ".join(node.get("properties", {}))
        return f"a table with the keys {keys}" if keys else "a table"
    return "true or false" if kind == "boolean" else None


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _number(node: Schema, hexadecimal: bool) -> str:
    whole = node["type"] == "integer"
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if whole:  # bounds of whole numbers are shown as the first and the last that may stand
        low = above + 1 if above is not None else low
        high = below - 1 if below is not None else high
        above = below = None
    bounds = [("from", low), ("above", above), ("to" if low is not None else "up to", high), ("below", below)]
    shown = [f"{word} {_digits(bound, hexadecimal)}" for word, bound in bounds if bound is not None]
    return " ".join(["a whole number" if whole else "a number", *shown])


def _digits(bound: float, hexadecimal: bool) -> str:
    if hexadecimal:
        return f"0x{int(bound):X}"
    return f"{int(bound)}" if bound == int(bound) else f"{bound}"


def _text(node: Schema) -> str:
    if "pattern" in node:
        return PATTERNS.get(node["pattern"], f"text of the form {node['pattern']}")
    least, most = node.get("minLength", 0), node.get("maxLength")
    if most is not None:
        return f"text of {least} to {most} characters"
    return "text that is not empty" if least else "text in quotes"


def _list(root: Schema, node: Schema, hexadecimal: bool) -> str:
    inner = _either(root, _expanded(root, node.get("items", {})), hexadecimal)
    least, most = node.get("minItems"), node.get("maxItems")
    bounds = [f"from {least}"] if least else []
    bounds += [f"{'to' if least else 'up to'} {most}"] if most is not None else ["on"] if least else []
    count = f" ({' '.join(bounds)} of them)" if bounds else ""
    return f"a list{count}{f', each {inner}' if inner else ''}"
