"""Drawings of the scoreboard as SVG, coloured through the page's own variables."""
import html
import math

STATES = (("serving", "#3f8f5f"), ("draining", "#b9a23a"), ("switching", "#c0563f"), ("lingering", "#7a6bb5"), ("idle", "#aab2bd"))


def label(x, y, text, anchor="start", kind=""):
    anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
    classed = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{anchored}{classed}>{html.escape(text)}</text>'


def svg(width, height, parts):
    return f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'


def shade(ratio):
    """From green at 1 to red at 4 and beyond, on a logarithmic scale."""
    far = min(1.0, max(0.0, math.log(ratio) / math.log(4)))
    return f"hsl({130 - 130 * far:.0f} 48% 52% / 0.55)"


def heat(names, columns, cell):
    """`cell(name, column)` is (ratio or None, mark)."""
    left, top, width, height = 180, 70, 42, 20
    parts = [f'<g transform="translate({left + width * i + width / 2:.0f},{top - 6}) rotate(-50)">{label(0, 0, column)}</g>'
             for i, column in enumerate(columns)]
    for row, name in enumerate(names):
        y = top + row * height
        parts.append(label(left - 8, y + 14, name, "end"))
        for column, title in enumerate(columns):
            ratio, mark = cell(name, title)
            x = left + column * width
            fill = shade(ratio) if ratio is not None else "none"
            text = f"{ratio:.2f}" if ratio is not None and ratio < 9.995 else f"{ratio:.0f}" if ratio is not None else mark
            parts.append(f'<rect x="{x}" y="{y}" width="{width - 2}" height="{height - 2}" fill="{fill}"/>'
                         + label(x + width / 2 - 1, y + 14, text, "middle", "" if ratio is not None else "soft"))
    return svg(left + width * len(columns) + 40, top + height * len(names) + 6, parts)


def forest(rows):
    """Ratios with their intervals, on a logarithmic axis."""
    left, width, height = 270, 560, 15
    limits = [limit for _, ratio in rows for limit in (ratio.low or ratio.value, ratio.high or ratio.value)] + [0.9, 1.1]
    low, high = math.log(max(min(limits), 0.005)) - 0.05, math.log(min(max(limits), 20)) + 0.05

    def at(value):
        return left + width * (min(max(math.log(value), low), high) - low) / (high - low)

    parts = []
    bottom = 22 + height * len(rows)
    for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10):
        if low <= math.log(tick) <= high:
            parts.append(f'<line x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="18" y2="{bottom}" stroke="var(--{"text" if tick == 1 else "line"})"/>'
                         + label(at(tick), 12, f"{tick:g}", "middle", "soft"))
    for index, (name, ratio) in enumerate(rows):
        y = 30 + height * index
        colour = "--soft" if ratio.low is None or ratio.low <= 1 <= ratio.high else "--good" if ratio.value < 1 else "--bad"
        parts.append(label(left - 10, y + 4, name, "end"))
        if ratio.low is not None:
            parts.append(f'<line x1="{at(ratio.low):.1f}" x2="{at(ratio.high):.1f}" y1="{y}" y2="{y}" stroke="var({colour})" stroke-width="2"/>')
        parts.append(f'<circle cx="{at(ratio.value):.1f}" cy="{y}" r="3.5" fill="var({colour})"/>')
    return svg(left + width + 20, bottom + 12, parts)


def device_time(rows):
    """Stacked shares of device time."""
    left, width, height = 180, 620, 18
    parts, paths = [], {state: [] for state, _ in STATES}
    for index, (state, colour) in enumerate(STATES):
        x = left + 100 * index
        parts.append(f'<rect x="{x}" y="2" width="11" height="11" fill="{colour}"/>' + label(x + 16, 12, state, "start", "soft"))
    for index, (name, time) in enumerate(rows):
        y, at = 20 + height * index, float(left)
        parts.append(label(left - 8, y + 13, name, "end"))
        for state, _ in STATES:
            wide = width * time[f"{state}_frac"]
            if wide > 0.05:
                paths[state].append(f"M{at:.1f} {y}h{wide:.1f}v{height - 3}h-{wide:.1f}z")
            at += wide
    parts += [f'<path d="{"".join(paths[state])}" fill="{colour}"/>' for state, colour in STATES]
    return svg(left + width + 20, 24 + height * len(rows), parts)
