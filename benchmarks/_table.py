"""Tables of results, as text and as Markdown"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median, quantiles

from _bars import BARS, CASES, STREAM_CASES, Round, values

NAMES = {'ours': 'this package', 'published': '1.3.3', 'cachecontrol': 'CacheControl', 'hishel': 'hishel'}
Measured = dict[str, list[Round]]
Row = list[str]


def spread(numbers: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile"""
    if len(numbers) == 1:
        return numbers[0], numbers[0], numbers[0]
    low, _, high = quantiles(numbers, n=4, method='inclusive')
    return low, median(numbers), high


def duration(seconds: float) -> str:
    for limit, factor, unit in ((1e-3, 1e6, 'µs'), (1, 1e3, 'ms')):
        if seconds < limit:
            return f'{seconds * factor:.3g} {unit}' if seconds * factor < 100 else f'{seconds * factor:.0f} {unit}'
    return f'{seconds:.2f} s'


def bar_rows(measured: Measured) -> Iterator[Row]:
    """The rows of the table of limits"""
    for bar in BARS:
        numbers = values(bar, measured.get(bar.case, []))
        if numbers:
            low, middle, high = spread(numbers)
            stretch = '' if bar.stretch is None else f'{bar.stretch:g}'
            limit = '' if bar.limit is None else f'{"≥" if bar.at_least else "≤"} {bar.limit:g}'
            met = '' if bar.limit is None else 'yes' if bar.is_met_by(middle) else 'no'
            shown = f'{middle:.2f} ({low:.2f} … {high:.2f})'
            yield [CASES[bar.case], bar.quantity, shown, limit, stretch, met]


def time_rows(measured: Measured) -> Iterator[Row]:
    """The rows of the table of times; memory is only in it where it was measured"""
    for case, rounds in measured.items():
        for library, name in NAMES.items():
            samples = [each[library] for each in rounds if library in each]
            if samples and case not in STREAM_CASES:
                low, middle, high = spread([sample['seconds'] for sample in samples])
                memory = median(s['megabytes'] for s in samples) if 'megabytes' in samples[0] else None
                shown = '' if memory is None else f'{memory:.0f} MB'
                times = f'{duration(middle)} ({duration(low)} … {duration(high)})'
                yield [CASES[case], name, times, shown]


BAR_HEADER = ['case', 'quantity', 'median (quartiles)', 'bar', 'stretch', 'met']
TIME_HEADER = ['case', 'library', 'median (quartiles)', 'memory']


def as_text(header: Row, rows: list[Row]) -> str:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = ('  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows])
    return '\n'.join(line.rstrip() for line in lines)


def as_markdown(header: Row, rows: list[Row]) -> str:
    return '\n'.join(f'| {" | ".join(row)} |' for row in [header, ['---'] * len(header), *rows])
