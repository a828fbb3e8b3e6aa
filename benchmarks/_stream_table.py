"""The table about large bodies: ratios to plain `requests` in the same round, or differences, with their limits"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

from _bars import STREAM_CASES, Round
from _table import NAMES, Measured, Row, duration, spread
from _timing import Sample

LIBRARIES = ('ours', 'published', 'hishel')
STREAM_HEADER = ['body', 'quantity', 'plain `requests`', *(NAMES[library] for library in LIBRARIES), 'bar', 'met']
NOT_MEASURED = '-'

# Limits in milliseconds for first chunks, as multiples for whole times, and in MiB or bodies for memory
FIRST_LIMIT = 20
TOTAL_LIMITS = {'sqlite': 1.6, 'filesystem': 1.3}
STREAMED_PEAK_LIMIT, WHOLE_PEAK_LIMIT = 4, 1.1


@dataclass(frozen=True)
class Quantity:
    """A quantity that is compared with plain `requests`

    Args:
        step: `miss` or `hit`
        words: What is compared
        of: Calculates the quantity from a sample; raises `KeyError` if the library has no result
        name: The measured value, which plain `requests` has too
        limit: The limit to meet; None for a quantity that is only shown for comparison
    """

    step: str
    words: str
    of: Callable[[Sample], float]
    name: str
    limit: float | None


def quantities(backend: str, is_streamed: bool) -> Iterator[Quantity]:
    for step in ('miss', 'hit'):
        if is_streamed:
            yield Quantity(step, 'first chunk, ms over plain', _more(step, 'first', 1000), 'first', FIRST_LIMIT)
        yield Quantity(step, 'total, x plain', _times(step), 'total', TOTAL_LIMITS.get(backend))
        if is_streamed:
            # A cache in memory has to keep the body there
            limit = None if (backend, step) == ('memory', 'miss') else STREAMED_PEAK_LIMIT
            yield Quantity(step, 'peak memory, MiB over plain', _more(step, 'peak'), 'peak', limit)
        else:
            yield Quantity(step, 'peak memory, bodies over plain', _bodies(step), 'peak', WHOLE_PEAK_LIMIT)


def _more(step: str, name: str, factor: float = 1.0) -> Callable[[Sample], float]:
    return lambda sample: (sample[f'{step} {name}'] - sample[f'plain {name}']) * factor


def _times(step: str) -> Callable[[Sample], float]:
    return lambda sample: sample[f'{step} total'] / sample['plain total']


def _bodies(step: str) -> Callable[[Sample], float]:
    return lambda sample: _more(step, 'peak')(sample) / sample['mebibytes']


def stream_rows(measured: Measured) -> Iterator[Row]:
    """The rows of the table; memory is only in it if it was measured"""
    for case, rounds in measured.items():
        samples = [sample for each in rounds for sample in each.values()]
        if case not in STREAM_CASES or not samples:
            continue
        label, size = STREAM_CASES[case], samples[0]['mebibytes']
        for quantity in quantities(case.rpartition('-')[2], 'stream-' in case):
            if any(f'plain {quantity.name}' in sample for sample in samples):
                yield [f'{shown_size(size)}, {label}, {quantity.step}', quantity.words, *_cells(quantity, rounds)]


def _cells(quantity: Quantity, rounds: list[Round]) -> Row:
    numbers = {library: _values(quantity.of, rounds, library) for library in LIBRARIES}
    low, middle, high = spread(numbers['ours']) if numbers['ours'] else (0.0, 0.0, 0.0)
    ours = f'{shown(middle)} ({shown(low)} … {shown(high)})' if numbers['ours'] else NOT_MEASURED
    peers = [shown(median(numbers[name])) if numbers[name] else NOT_MEASURED for name in LIBRARIES[1:]]
    limit = '' if quantity.limit is None else f'≤ {quantity.limit:g}'
    is_met = bool(numbers['ours']) and (quantity.limit is None or middle <= quantity.limit)
    met = '' if quantity.limit is None else 'yes' if is_met else 'no'
    return [_plain(quantity, rounds), ours, *peers, limit, met]


def _values(of: Callable[[Sample], float], rounds: list[Round], library: str) -> list[float]:
    """The quantity in each round; empty if the library failed in one of them"""
    with suppress(KeyError):
        return [of(each[library]) for each in rounds]
    return []


def _plain(quantity: Quantity, rounds: list[Round]) -> str:
    """The result of plain `requests`, measured in the same samples as this package"""
    numbers = _values(lambda sample: sample[f'plain {quantity.name}'], rounds, 'ours')
    if not numbers:
        return NOT_MEASURED
    return f'{median(numbers):.1f} MiB' if quantity.name == 'peak' else duration(median(numbers))


def shown(number: float) -> str:
    return f'{round(number, 2) + 0.0:.2f}'  # not -0.00


def shown_size(mebibytes: float) -> str:
    return f'{mebibytes / 1024:g} GiB' if mebibytes >= 1024 else f'{mebibytes:g} MiB'
