"""Pictures as text, for whoever draws one: elements of SVG, and nothing about what they show."""
