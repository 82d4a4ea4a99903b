"""Line plots as SVG, with logarithmic axes, written by hand: nothing to install."""

import math

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 180, 40, 55
COLORS = ("#d62728", "#7f7f7f", "#8c564b", "#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd")


class Axis:
    """Maps values to pixels; ticks at 1, 2 and 5 of each decade, or where there are values."""

    def __init__(self, values, first, last, at_values=False):
        low, high = math.log10(min(values)), math.log10(max(values))
        margin = max((high - low) * 0.05, 0.05)
        self._low, self._high = low - margin, high + margin
        self._first, self._last = first, last
        self.ticks = sorted(set(values)) if at_values else self._decades()

    def _decades(self):
        ticks = [step * 10.0 ** decade
                 for decade in range(math.floor(self._low), math.ceil(self._high) + 1)
                 for step in (1, 2, 5)]
        return [tick for tick in ticks if self._low <= math.log10(tick) <= self._high]

    def __call__(self, value):
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._first + share * (self._last - self._first)


def _label(value):
    if value >= 1 << 20 and value % (1 << 20) == 0:
        return f"{int(value) >> 20} Mi"
    if value >= 1024 and value % 1024 == 0:
        return f"{int(value) >> 10} Ki"
    return f"{value:g}"


def _text(x, y, text, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{text}</text>'


def _grid(x_axis, y_axis, x_title, y_title, title):
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    yield _text((LEFT + right) / 2, TOP - 15, title, extra='font-size="15"')
    yield _text((LEFT + right) / 2, HEIGHT - 12, x_title)
    middle = (TOP + bottom) / 2
    yield _text(18, middle, y_title, extra=f'transform="rotate(-90 18 {middle:.1f})"')
    for tick in x_axis.ticks:
        x = x_axis(tick)
        yield f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="#ddd"/>'
        yield _text(x, bottom + 18, _label(tick))
    for tick in y_axis.ticks:
        y = y_axis(tick)
        yield f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#ddd"/>'
        yield _text(LEFT - 8, y + 4, f"{tick:g}", "end")


def _line(points, color, x_axis, y_axis):
    places = [(x_axis(x), y_axis(y), y_axis(low), y_axis(high)) for x, y, low, high in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in places)
    yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>'
    for x, y, low, high in places:
        yield f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{color}"/>'
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>'


def plot(path, title, x_title, y_title, series):
    """`series`: name -> [(x, median, least, most)]; all above zero."""
    series = {name: points for name, points in series.items() if points}
    if not series:
        return False
    everything = [point for points in series.values() for point in points]
    x_axis = Axis([point[0] for point in everything], LEFT, WIDTH - RIGHT, at_values=True)
    y_axis = Axis([y for point in everything for y in point[1:]], HEIGHT - BOTTOM, TOP)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
             'font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    parts += _grid(x_axis, y_axis, x_title, y_title, title)
    for place, (name, points) in enumerate(series.items()):
        color = COLORS[place % len(COLORS)]
        parts += _line(sorted(points), color, x_axis, y_axis)
        y = TOP + 10 + 20 * place
        x = WIDTH - RIGHT + 15
        parts.append(f'<path d="M{x} {y}h20" stroke="{color}" stroke-width="3"/>')
        parts.append(_text(x + 27, y + 4, name, "start"))
    parts.append("</svg>\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(parts))
    return True


def points_of(figures, target, cells):
    points = []
    for x, cell in cells:
        values = figures.values(cell, target, "cpu_us")
        if values and min(values) > 0:
            points.append((x, figures.median(cell, target), min(values), max(values)))
    return points


PLOTS = (
    ("pipeline.svg", "Own CPU by pipeline depth", "requests in one batch",
     ((1, "get-p1"), (10, "get-p10"), (16, "get-p16"), (100, "get-p100"))),
    ("value-size.svg", "Own CPU by value size", "bytes of a value",
     ((100, "get-p1"), (1024, "get-1KiB"), (16384, "get-16KiB"), (1 << 20, "get-1MiB"))),
    ("connections.svg", "Own CPU by connections", "connections",
     ((50, "get-p1"), (500, "conns-500"), (5000, "conns-5000"))),
)


def draw(figures, folder):
    """Names of the plots that could be drawn."""
    drawn = []
    for name, title, x_title, cells in PLOTS:
        targets = dict.fromkeys(t for _, cell in cells for t in figures.targets(cell))
        series = {target: points_of(figures, target, cells) for target in targets}
        series = {target: points for target, points in series.items() if len(points) > 1}
        if plot(f"{folder}/{name}", title, x_title, "microseconds per request", series):
            drawn.append(name)
    return drawn
