"""Benchmarks of large bodies, streamed or whole: plain `requests`, a miss and a hit, each in its own process"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import requests
from _sessions import Options, open_session
from _timing import Sample

CHUNK_BYTES = 65_536
STATUS, CLEAR_REFS = Path('/proc/self/status'), Path('/proc/self/clear_refs')


def peak_mebibytes() -> float:
    """The peak memory of this process since the last reset"""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith('VmHWM'))
    return int(line.split()[1]) / 1024


def reset_peak() -> float | None:
    """Return free memory to the system, and reset the peak to what is in use; None if the system cannot do this"""
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        CLEAR_REFS.write_text('5')
        return peak_mebibytes()
    except (OSError, ValueError):
        return None


def read(session: Any, url: str, is_streamed: bool) -> Sample:
    """Get a body and read all of it; measures seconds to the first chunk and to the end, and how much memory grew"""
    in_use = reset_peak()
    first, length = 0.0, 0
    start = time.perf_counter()
    response = session.get(url, stream=is_streamed)
    if is_streamed:
        for chunk in response.iter_content(CHUNK_BYTES):
            if not length:
                first = time.perf_counter() - start
            length += len(chunk)
    else:
        length = len(response.content)
    sample = {'total': time.perf_counter() - start, 'served': float(response.headers['X-Served'])}
    if is_streamed:
        sample['first'] = first
    if in_use is not None:
        sample['peak'] = peak_mebibytes() - in_use
    assert length == int(response.headers['Content-Length']), 'the body is incomplete'
    return sample


def read_repeatedly(options: Options, backend: str | None, is_streamed: bool, times: int) -> list[Sample]:
    """Read one URL several times, with plain `requests` if there is no backend; fewer samples if the library fails"""
    samples: list[Sample] = []
    opening: AbstractContextManager[Any] = open_session(options, backend) if backend else requests.Session()
    try:
        with opening as session:
            # Connect to the origin and the store, and import modules
            for _ in range(2):
                read(session, options['origin'] + '/json', is_streamed)
            for _ in range(times):
                sample = read(session, f'{options["origin"]}/blocks/{options["mebibytes"]}', is_streamed)
                samples.append(sample)
    except Exception as error:
        print(f'{options["library"]}, {options["case"]}: {error!r}', file=sys.stderr)
    return samples


def read_in_new_process(*arguments: Any) -> list[Sample]:
    try:
        with ProcessPoolExecutor(1, get_context('spawn')) as pool:
            return pool.submit(read_repeatedly, *arguments).result()
    except BrokenProcessPool as error:  # out of memory
        print(f'{arguments}: {error}', file=sys.stderr)
        return []


def large_body(options: Options, backend: str, is_streamed: bool) -> Sample:
    """Measure plain `requests`, a miss and a hit; leaves out the hit if it was served by the origin"""
    steps = {'plain': read_in_new_process(options, None, is_streamed, 1)}
    if backend == 'memory':
        both = read_in_new_process(options, backend, is_streamed, 2)
        steps |= {'miss': both[:1], 'hit': both[1:]}
    else:
        for step in ('miss', 'hit'):
            steps[step] = read_in_new_process(options, backend, is_streamed, 1)
    if [each['served'] for each in steps['miss']] != [each['served'] for each in steps['hit']]:
        del steps['hit']
    sample: Sample = {'mebibytes': options['mebibytes']}
    for step, measured in steps.items():
        sample |= {f'{step} {name}': value for each in measured for name, value in each.items()}
    return sample
