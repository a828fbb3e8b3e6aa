"""Benchmarks of many threads and processes that use the same SQLite file"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from threading import Barrier, Thread
from typing import Any

import requests
from _requests import prepare_with
from _sessions import Options, fetch, open_session, store_response
from _timing import Sample

SECONDS = 1.0


def calls_in_time(call: Callable[[], Any], wait: Callable[[], Any]) -> int:
    wait()
    calls, end = 0, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        call()
        calls += 1
    return calls


def by_threads(call: Callable[[], Any], number: int) -> int:
    barrier = Barrier(number)
    counts: list[int] = []
    threads = [Thread(target=lambda: counts.append(calls_in_time(call, barrier.wait))) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counts) == number, 'a thread failed'
    return sum(counts)


def one_process(options: Options, url: str, barrier: Any, counts: Any) -> None:
    with open_session(options, 'sqlite') as session:
        store_response(session, url)
        counts.put(calls_in_time(partial(fetch, session, url), barrier.wait))


def by_processes(options: Options, url: str, number: int) -> int:
    context = multiprocessing.get_context('spawn')
    barrier, counts = context.Barrier(number), context.Queue()
    with ExitStack() as stack:
        processes = [context.Process(target=one_process, args=(options, url, barrier, counts)) for _ in range(number)]
        for process in processes:
            process.start()
            stack.callback(process.join)
        return sum(counts.get(timeout=60) for _ in processes)


def shared_and_alone(count_calls: Callable[[int], int], number: int) -> Sample:
    alone, together = count_calls(1), count_calls(number)
    return {'seconds': SECONDS / together, 'alone': SECONDS / alone}


def threads(options: Options, number: int) -> Sample:
    """Seconds per hit of several threads with one session, and of a single thread; the same for preparing requests"""
    url = options['origin'] + '/json'
    with open_session(options, 'sqlite') as session, requests.Session() as plain:
        store_response(session, url)
        hits = shared_and_alone(partial(by_threads, partial(fetch, session, url)), number)
        floor = shared_and_alone(partial(by_threads, prepare_with(plain, url)), number)
        return {**hits, 'floor': floor['seconds'], 'floor alone': floor['alone']}


def processes(options: Options, number: int) -> Sample:
    """Seconds per hit of several processes with a session each, and of a single process"""
    url = options['origin'] + '/json'
    with open_session(options, 'sqlite') as session:
        store_response(session, url)
    return shared_and_alone(lambda n: by_processes(options, url, n), number)


def callers(options: Options, number: int) -> Sample:
    """Seconds until all threads have a response that was not stored, and the number of requests at the origin"""
    url, barrier, lengths = options['origin'] + '/slow', Barrier(number + 1), list[int]()

    def call() -> None:
        barrier.wait()
        lengths.append(fetch(session, url))

    with open_session(options, 'sqlite') as session, requests.Session() as plain:
        store_response(session, options['origin'] + '/json')
        served_before = served(plain, options)
        threads = [Thread(target=call) for _ in range(number)]
        for thread in threads:
            thread.start()
        start = time.perf_counter()
        barrier.wait()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - start
        assert len(lengths) == number, 'a thread failed'
        return {'seconds': seconds, 'requests': served(plain, options) - served_before - 1}


def served(plain: requests.Session, options: Options) -> int:
    """The number of requests that the origin has answered, including this one"""
    return int(plain.get(options['origin'] + '/json').headers['X-Served'])
