"""The table with a column for each library"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from _bars import CASES, STREAM_CASES, Round
from _table import NAMES, Measured, Row, duration


def comparison_header(libraries: list[str]) -> Row:
    return ['', *(NAMES[library] for library in libraries)]


def comparison_rows(measured: Measured, libraries: list[str]) -> Iterator[Row]:
    """The benchmark and, for each library, its median time and the median of its ratios to ours"""
    for case, rounds in measured.items():
        if case not in STREAM_CASES and any('ours' in each for each in rounds):
            yield [CASES[case], *(_cell(rounds, library) for library in libraries)]


def _cell(rounds: list[Round], library: str) -> str:
    samples = [(each[library]['seconds'], each['ours']['seconds']) for each in rounds if library in each]
    if not samples:
        return '-'
    shown = duration(median(theirs for theirs, _ in samples))
    return shown if library == 'ours' else f'{shown} ({median(theirs / ours for theirs, ours in samples):.2g} x)'
