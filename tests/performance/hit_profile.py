"""What a hit does beyond preparing the request, counted: Python instructions, and calls of functions

    python tests/performance/hit_profile.py              # counts for each case, as JSON
    python tests/performance/hit_profile.py sqlite       # what a hit on SQLite calls, most frequent first

Counts are the same in each run, on a busy machine too. They stand for the part of the time that is spent in Python;
what is spent in C is for `benchmarks/` to measure.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import requests

sys.path.insert(0, str(Path(__file__).parents[1]))

from requests_cache import CachedSession
from requests_cache.testing.origin import Origin

BOUNDS = {'max_cache_bytes': '1 MB', 'max_entries': 100, 'delete_expired_after': 3600}
SETTINGS: dict[str, dict[str, Any]] = {
    'memory': {'backend': 'memory'},
    'sqlite': {'backend': 'sqlite'},
    'filesystem': {'backend': 'filesystem'},
    'strict': {'backend': 'sqlite', 'cache_control': 'strict'},
    'memory bounded': {'backend': 'memory', **BOUNDS},
    'sqlite bounded': {'backend': 'sqlite', **BOUNDS},
    'filesystem bounded': {'backend': 'filesystem', **BOUNDS},
}
HEADERS = [
    ('Content-Type', 'application/json'),
    ('Cache-Control', 'max-age=3600'),
    ('ETag', '"1"'),
    ('Vary', 'Accept-Encoding'),
]
SHOWN = 60


def calls(action: Callable[[], object]) -> Counter[str]:
    """Functions that are called, in Python and in C"""
    counter: Counter[str] = Counter()

    def count(frame: FrameType, event: str, function: Any) -> None:
        if event == 'call':
            code = frame.f_code
            counter[f'{code.co_filename.rpartition("site-packages/")[2]}:{code.co_firstlineno} {code.co_name}'] += 1
        elif event == 'c_call':
            counter[f'C: {function.__qualname__}'] += 1

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return counter


def instructions(action: Callable[[], object]) -> int:
    """How many instructions of Python are executed"""
    return _monitored(action) if sys.version_info >= (3, 12) else _traced(action)


def _traced(action: Callable[[], object]) -> int:
    number = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal number
        if event == 'call':
            frame.f_trace_lines, frame.f_trace_opcodes = False, True
        elif event == 'opcode':
            number += 1
        return trace

    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(None)
    return number


def _monitored(action: Callable[[], object]) -> int:
    """The same, as traces by instruction are not reliable from Python 3.12 on"""
    monitoring, number = sys.monitoring, 0  # type: ignore[attr-defined]

    def count(code: CodeType, offset: int) -> None:
        nonlocal number
        number += 1

    tool = monitoring.PROFILER_ID
    monitoring.use_tool_id(tool, 'hit_profile')
    monitoring.register_callback(tool, monitoring.events.INSTRUCTION, count)
    monitoring.set_events(tool, monitoring.events.INSTRUCTION)
    try:
        action()
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)
    return number


def counted(action: Callable[[], object]) -> dict[str, int]:
    for _ in range(3):
        action()
    return {'calls': calls(action).total(), 'instructions': instructions(action)}


# Entries that are counted for each case; the least counts
ATTEMPTS = 5


def main(wanted: list[str]) -> None:
    document = {}
    with Origin() as origin, tempfile.TemporaryDirectory() as directory, requests.Session() as plain:
        origin.add('/page', body='{"a": 1}', headers=HEADERS)
        url = origin.url('/page')
        document['floor'] = counted(lambda: plain.prepare_request(requests.Request('GET', url)))
        for case, settings in SETTINGS.items():
            # Bytes that could stand for extensions of pickles make an entry that is looked at more closely, and times
            # may well hold some
            for attempt in range(ATTEMPTS):
                with CachedSession(Path(directory, f'{case}{attempt}'), **settings) as session:
                    count = counted(lambda session=session: session.get(url).content)
                document[case] = min(document.get(case, count), count, key=lambda counts: counts['instructions'])
            with CachedSession(Path(directory, f'{case}0'), **settings) as session:
                if case in wanted:
                    for function, number in calls(lambda: session.get(url).content).most_common(SHOWN):
                        print(f'{number:5} {function}')
        assert origin.hits() <= (ATTEMPTS + 1) * len(SETTINGS), 'not only hits'
    if not wanted:
        print(json.dumps(document))


if __name__ == '__main__':
    main(sys.argv[1:])
