"""Timing calls in turns, so that load on the machine affects all of them"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

BATCHES = 9
BATCH_SECONDS = 0.1

Clock = Callable[[], float]
Sample = dict[str, float]


def per_call(call: Callable[[], Any], number: int = 1, clock: Clock = time.perf_counter) -> float:
    """Average seconds per call"""
    start = clock()
    for _ in range(number):
        call()
    return (clock() - start) / number


def calls_per_batch(call: Callable[[], Any]) -> int:
    """The number of calls that fill a batch"""
    number = 1
    while (cost := per_call(call, number)) * number < BATCH_SECONDS / 4:
        number *= 2
    return max(1, round(BATCH_SECONDS / cost))


def time_in_turns(calls: dict[str, Callable[[], Any]], clock: Clock = time.process_time) -> Sample:
    """Seconds for each of several calls: medians over batches that alternate between the calls"""
    numbers = {name: calls_per_batch(call) for name, call in calls.items()}
    batches = [{name: per_call(call, numbers[name], clock) for name, call in calls.items()} for _ in range(BATCHES)]
    return {name: median(batch[name] for batch in batches) for name in calls}
