"""A line chart as SVG, by hand: small enough to commit, and nothing to install."""
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 56, 16, 40, 44
COLOURS = ("#1f5fa8", "#c1501f", "#3c7d3c")


def chart(path, title, unit, series):
    """Draws `series`, a name with points (label, number) each, of the same labels; the labels stand evenly, numbers start at 0."""
    labels = [label for label, _ in next(iter(series.values()))]
    most = max(number for points in series.values() for _, number in points) * 1.1
    across = lambda place: LEFT + (WIDTH - LEFT - RIGHT) * place / (len(labels) - 1)
    up = lambda number: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * number / most
    text = lambda x, y, words, anchor="middle", colour="#222": f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{words}</text>'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        text(LEFT, 18, title, "start"),
        text(WIDTH / 2, HEIGHT - 8, unit),
    ]
    step = 0.5 if most < 4 else round(most / 5)
    for count in range(int(most / step) + 1):
        y = up(count * step)
        lines += [f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>', text(LEFT - 8, y + 4, f"{count * step:g}", "end")]
    lines += [text(across(place), HEIGHT - BOTTOM + 18, label) for place, label in enumerate(labels)]
    for number, (colour, (name, points)) in enumerate(zip(COLOURS, series.items())):
        places = [(across(place), up(value)) for place, (_, value) in enumerate(points)]
        drawn = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        lines += [f'<path d="M{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>']
        lines += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        lines += [text(LEFT + 8, HEIGHT - BOTTOM - 14 - 16 * number, name, "start", colour)]
    Path(path).write_text("\n".join([*lines, "</svg>", ""]), encoding="utf-8")
