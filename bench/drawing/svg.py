"""SVG as text: elements without style attributes, so that a strict content security policy lets them through."""

from __future__ import annotations

from markupsafe import Markup, escape

Value = str | int | float | None


class Svg:
    """An image that grows element by element; colours come from classes of the style sheet."""

    def __init__(self, width: float, title: str) -> None:
        self.width = width
        self._title = title
        self._parts: list[str] = []

    def add(self, tag: str, *, text: str | None = None, title: str | None = None, **attributes: Value) -> None:
        """Append one element; `title` is its tool tip, `class_` and `text_anchor` lose or change their underscore."""
        inner = "" if title is None else f"<title>{escape(title)}</title>"
        inner += "" if text is None else str(escape(text))
        opened = f"<{tag}{_attributes(attributes)}"
        self._parts.append(f"{opened}>{inner}</{tag}>" if inner else f"{opened}/>")

    def words(self, parts: list[tuple[str, str]], **attributes: Value) -> None:
        """Append one line of text whose parts (class, text) differ in style."""
        spans = "".join(f'<tspan class="{escape(name)}">{escape(text)}</tspan>' for name, text in parts if text)
        self._parts.append(f"<text{_attributes(attributes)}>{spans}</text>")

    def render(self, height: float, class_: str) -> Markup:
        """Return the whole image."""
        head = (
            f'<svg class="{class_}" viewBox="0 0 {_number(self.width)} {_number(height)}" role="img" '
            f'aria-label="{escape(self._title)}" xmlns="http://www.w3.org/2000/svg">'
        )
        return Markup(head + "".join(self._parts) + "</svg>")  # noqa: S704  # every part was escaped above


def _attributes(attributes: dict[str, Value]) -> str:
    return "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_number(value) if isinstance(value, float) else escape(value)}"'
        for name, value in attributes.items()
        if value is not None
    )


def _number(value: float) -> str:
    """Return at most two decimals, none where none are needed."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else str(int(value))


def shorten(text: str, limit: int) -> str:
    """Return `text`, cut with an ellipsis when longer than `limit`."""
    return text if len(text) <= limit else text[: max(1, limit - 1)] + "…"
