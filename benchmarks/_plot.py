"""A plot of the time of a hit, as SVG"""

from __future__ import annotations

from html import escape

from _table import Measured, duration, spread

BARS = (
    ('floor', 'requests prepares the request', 'hit-sqlite', 'ours', 'floor'),
    ('ours', 'this package, memory', 'hit-memory', 'ours', 'seconds'),
    ('ours', 'this package, SQLite', 'hit-sqlite', 'ours', 'seconds'),
    ('ours', 'this package, files', 'hit-filesystem', 'ours', 'seconds'),
    ('peer', 'CacheControl, memory', 'hit-memory', 'cachecontrol', 'seconds'),
    ('peer', 'CacheControl, files', 'hit-filesystem', 'cachecontrol', 'seconds'),
    ('peer', 'hishel, SQLite', 'hit-sqlite', 'hishel', 'seconds'),
    ('peer', 'requests-cache 1.3.3, memory', 'hit-memory', 'published', 'seconds'),
    ('peer', 'requests-cache 1.3.3, SQLite', 'hit-sqlite', 'published', 'seconds'),
    ('peer', 'requests-cache 1.3.3, files', 'hit-filesystem', 'published', 'seconds'),
)
COLOURS = {'floor': '#8a8f98', 'ours': '#1f6feb', 'peer': '#c9a227'}
LABEL_WIDTH, BAR_WIDTH, ROW_HEIGHT, TOP = 230, 420, 26, 40


def plot(measured: Measured) -> str:
    """Draw bars for the medians of all rounds, and lines from the lower to the upper quartile"""
    rows = []
    for kind, label, case, library, name in BARS:
        numbers = [each[library][name] for each in measured.get(case, []) if library in each]
        if numbers:
            rows.append((kind, label, spread(numbers)))
    longest = max((high for _, _, (_, _, high) in rows), default=1.0)
    width, height = LABEL_WIDTH + BAR_WIDTH + 90, TOP + ROW_HEIGHT * len(rows) + 12
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">',
        '<title>Time of a hit with a small JSON document</title>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        '<text x="12" y="24" font-size="15">A hit with a small JSON document: CPU time</text>',
    ]
    for number, (kind, label, numbers) in enumerate(rows):
        low, middle, high = (LABEL_WIDTH + BAR_WIDTH * each / longest for each in numbers)
        y, colour = TOP + ROW_HEIGHT * number, COLOURS[kind]
        parts += [
            f'<text x="{LABEL_WIDTH - 8}" y="{y + 16}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{LABEL_WIDTH}" y="{y + 3}" width="{middle - LABEL_WIDTH:.1f}" height="18" fill="{colour}"/>',
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + 12}" y2="{y + 12}" stroke="#000" stroke-width="1.5"/>',
            f'<text x="{max(middle, high) + 6:.1f}" y="{y + 16}">{duration(numbers[1])}</text>',
        ]
    return '\n'.join([*parts, '</svg>', ''])
