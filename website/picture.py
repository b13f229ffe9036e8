"""Draw the picture of the method, light and dark, into ``docs``: ``python website/picture.py``."""

from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
TITLE = "From data to scores"
TOLD = (
    "n training samples go through the model with its adapter: each gives a gradient of r by d numbers a layer. Their "
    "products, averaged, are the GFIM, d by d whatever the rank r is. It is damped and inverted. The mean gradient v "
    "of m target samples, r by d, times that inverse, is compared with each training sample's gradient: n scores, of "
    "which positive ones harm the target and negative ones help it."
)
COLOURS = {
    "pipeline.svg": {"ink": "#1f2430", "soft": "#5b6270", "line": "#8a91a0", "train": "#0072b2", "target": "#b85c00"},
    "pipeline-dark.svg": {
        "ink": "#e6e8ee",
        "soft": "#aab1c0",
        "line": "#7d8596",
        "train": "#56b4e9",
        "target": "#e69f00",
    },
}
WIDTH, HEIGHT = 1020, 400
LEFT = (20, 220, 430, 630, 830)
TOP = 64


def drawn(ink: str, soft: str, line: str, train: str, target: str) -> str:
    """Make the SVG in these colours."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t d">',
        f'<title id="t">{TITLE}</title><desc id="d">{TOLD}</desc>',
        f'<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{line}"/></marker></defs>',
        f'<g font-family="system-ui, Helvetica, Arial, sans-serif" font-size="16" fill="{ink}">',
    ]

    def text(x: float, y: float, words: str, size: int = 16, colour: str = ink, weight: int = 400) -> None:
        parts.append(f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" font-weight="{weight}">{words}</text>')

    def box(x: float, y: float, wide: float, high: float, colour: str, opacity: float = 0.25) -> None:
        parts.append(
            f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="3" fill="{colour}" fill-opacity="{opacity}"'
            f' stroke="{colour}" stroke-width="1.5"/>'
        )

    def arrow(*points: tuple[float, float]) -> None:
        path = " ".join(f"{x},{y}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{line}" stroke-width="2" marker-end="url(#a)"/>')

    heads = ("Data", "Gradients", "GFIM", "Inverse", "Scores")
    below = (
        ("n training samples",),
        ("g<tspan dy='4' font-size='11'>i</tspan><tspan dy='-4'> of each loss</tspan>", "r × d, n times a layer"),
        ("G = mean gᵀg", "d × d, whatever r is"),
        ("(G + λI)⁻¹", "d × d, Schulz’s iteration"),
        (
            "−⟨v (G + λI)⁻¹, g<tspan dy='4' font-size='11'>i</tspan><tspan dy='-4'>⟩</tspan>",
            "n numbers; positive harms",
        ),
    )
    for x, head, lines in zip(LEFT, heads, below, strict=True):
        text(x, 34, head, 21, weight=600)
        for row, words in enumerate(lines):
            text(x, TOP + 140 + 23 * row, words, 16 if row == 0 else 14, ink if row == 0 else soft)
    for row in range(5):
        box(LEFT[0], TOP + 22 * row, 104, 14, train)
        box(LEFT[1] + 7 * row, TOP + 4 + 15 * row, 100, 26, train)
    for x in LEFT[2:4]:
        box(x, TOP, 100, 100, train)
    parts.append(
        f'<path d="M{LEFT[3]} {TOP}l100 100" stroke="{train}" stroke-width="5" stroke-opacity=".8" fill="none"/>'
    )
    parts.append(f'<path d="M{LEFT[4] + 60} {TOP - 6}v116" stroke="{line}" stroke-width="1.5"/>')
    for row, length in enumerate((-34, 20, -12, 52, -44)):
        start = LEFT[4] + 60 + min(0, length)
        box(start, TOP + 22 * row, abs(length), 14, target if length > 0 else train, 0.6)
    middle = TOP + 50
    arrow((LEFT[0] + 116, middle), (LEFT[1] - 12, middle))
    arrow((LEFT[1] + 140, middle), (LEFT[2] - 12, middle))
    arrow((LEFT[2] + 112, middle), (LEFT[3] - 12, middle))
    arrow((LEFT[3] + 112, middle), (LEFT[4] - 4, middle))
    text(LEFT[0] + 112, middle - 28, "model,", 14, soft)
    text(LEFT[0] + 112, middle - 11, "adapter", 14, soft)
    for row in range(3):
        box(LEFT[0], 288 + 22 * row, 104, 14, target)
    box(LEFT[1] + 20, 300, 100, 26, target)
    text(LEFT[0], 378, "m target samples")
    text(LEFT[1], 355, "v: their mean gradient")
    text(LEFT[1], 378, "r × d a layer", 14, soft)
    arrow((LEFT[0] + 116, 313), (LEFT[1] + 8, 313))
    arrow((LEFT[1] + 132, 313), (LEFT[4] + 60, 313), (LEFT[4] + 60, 240))
    parts.append("</g></svg>\n")
    return "\n".join(parts)


if __name__ == "__main__":
    for name, colours in COLOURS.items():
        (DOCS / name).write_text(drawn(**colours), encoding="utf-8")
