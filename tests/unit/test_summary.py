"""Summaries: every entry is counted once in each table, and memory does not grow with the cache"""

from __future__ import annotations

import json
import tracemalloc
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stored import LARGE, fill, pages, response_to

from requests_cache import BaseCache, CachedResponse, SQLiteCache
from requests_cache.backends.summary import MAX_NAMES, Counting, Tally

NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)


def counted(*responses: CachedResponse | None) -> Counting:
    counting = Counting(NOW)
    for number, response in enumerate(responses):
        counting.add(str(number), response)
    return counting


def at(age: timedelta, left: timedelta | None = None, url: str = 'https://a.example.com/') -> CachedResponse:
    response = response_to(url)
    response.created_at, response.expires = NOW - age, None if left is None else NOW + left
    return response


def test_a_summary_of_a_cache() -> None:
    cache = BaseCache()
    fill(cache)
    cache.responses.data['broken'] = 'no response'
    cache.redirects['a'] = 'b'
    summary = cache.summary()
    assert (summary.entries, summary.unreadable, summary.redirects) == (6, 1, 1)
    assert summary.bytes == sum(len(response.content) for response in pages())
    assert summary.by_host == {
        'www.example.com': (3, len(LARGE) + 3000 + 250),
        'api.example.com': (3, 20 + 13 + 2),
    }
    assert next(iter(summary.by_content_type)) == 'video/mp4'
    assert summary.by_content_type['application/json'].entries == 3
    assert summary.by_status == {200: (5, summary.bytes - 2), 404: (1, 2)}
    assert {name: tally.entries for name, tally in summary.by_age.items()} == {
        'up to an hour': 1,
        'up to a day': 2,
        'up to a week': 1,
        'up to a month': 1,
        'up to a year': 1,
    }
    assert {name: tally.entries for name, tally in summary.by_expiry.items()} == {
        'expired more than a week ago': 1,
        'expired': 1,
        'within a day': 1,
        'never': 3,
    }
    assert summary.expired == Tally(2, 15)
    assert summary.largest is not None
    assert summary.largest.url == 'https://www.example.com/video'


@pytest.mark.parametrize(
    ('age', 'name'),
    [
        (timedelta(hours=1), 'up to an hour'),
        (timedelta(hours=1, seconds=1), 'up to a day'),
        (timedelta(days=-5), 'up to an hour'),
        (timedelta(days=365), 'up to a year'),
        (timedelta(days=366), 'more than a year'),
    ],
)
def test_ages(age: timedelta, name: str) -> None:
    assert counted(at(age)).result(0).by_age == {name: (1, 2)}


@pytest.mark.parametrize(
    ('left', 'name'),
    [
        (None, 'never'),
        (timedelta(), 'expired'),
        (timedelta(days=-7), 'expired'),
        (timedelta(days=-8), 'expired more than a week ago'),
        (timedelta(seconds=1), 'within an hour'),
        (timedelta(days=30), 'within a month'),
        (timedelta(days=999), 'later'),
    ],
)
def test_expirations(left: timedelta | None, name: str) -> None:
    assert counted(at(timedelta(), left)).result(0).by_expiry == {name: (1, 2)}


@given(
    st.lists(
        st.none()
        | st.builds(
            at,
            st.timedeltas(timedelta(-999), timedelta(999)),
            st.none() | st.timedeltas(timedelta(-999), timedelta(999)),
            st.sampled_from(['', 'http://[', 'https://A:80/', 'https://u:p@b/?@c', '/x', 'http://é/']),
        )
    )
)
def test_each_table_counts_every_response_once(responses: list[CachedResponse | None]) -> None:
    summary = counted(*responses).result(0)
    readable = [response for response in responses if response is not None]
    assert (summary.entries, summary.unreadable) == (len(readable), len(responses) - len(readable))
    for name in ('host', 'content_type', 'status', 'age', 'expiry'):
        tallies = getattr(summary, f'by_{name}').values()
        assert (sum(t.entries for t in tallies), sum(t.bytes for t in tallies)) == (summary.entries, summary.bytes)
    assert summary.oldest == min((r.created_at for r in readable), default=None)
    assert summary.newest == max((r.created_at for r in readable), default=None)
    assert {'u', 'u:p'}.isdisjoint(summary.by_host)


def test_hosts_beyond_a_thousand_are_counted_together() -> None:
    counting = counted(*(at(timedelta(), url=f'https://{n}.example.com/') for n in range(MAX_NAMES + 7)))
    by_host = counting.result(0).by_host
    assert len(by_host) == MAX_NAMES + 1
    assert list(by_host.items())[-1] == ('other', (7, 14))


def test_memory_does_not_grow_with_the_cache() -> None:
    counting = Counting(NOW)
    responses = [at(timedelta(), url=f'https://{n}.example.com/') for n in range(2 * MAX_NAMES)]
    for response in responses:
        counting.add('key', response)
    tracemalloc.start()
    for _ in range(10):
        for response in responses:
            counting.add('key', response)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 5 * 10 * len(responses)  # the numbers themselves become larger


def test_large_bodies_are_not_read(cache_path) -> None:
    cache = SQLiteCache(cache_path)
    fill(cache)
    reads: list[int] = []
    cache.responses.pieces.read = lambda key, body_id, index: reads.append(index)
    assert cache.summary().bytes > len(LARGE)
    assert reads == []
    cache.close()


def test_a_summary_is_readable_and_can_be_written_as_json() -> None:
    hostile = at(timedelta(), url='https://x\x1b[2J.example.com/\x1b[2J')
    summary = counted(hostile, *(at(timedelta(n), url=f'https://{n}.example.com/') for n in range(12))).result(3)
    text = str(summary)
    assert text.startswith(
        'entries     13\nbodies      26 bytes\nexpired     0 (0 bytes)\nunreadable  0\nredirects   3\n'
    )
    assert '3 more                                3      6 bytes\n' in text
    assert all(c.isprintable() for c in text.replace('\n', ''))
    values = json.loads(json.dumps(summary.to_dict()))
    assert values['by_status'] == {'200': {'entries': 13, 'bytes': 26}}
    assert values['counted_at'] == '2026-06-01T00:00:00+00:00'
    assert counted().result(0).to_dict()['largest'] is None
