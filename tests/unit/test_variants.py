"""Which of many variants answers a request (RFC 9111, sections 4 and 4.1), against a list of all that were stored"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from requests import Response
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from requests_cache import CachedSession
from requests_cache.engine.variants import MAX_SETS
from requests_cache.policy.standard.http_date import format_http_date

FIELDS = ('X-A', 'X-B', 'X-C')
START = datetime.now(timezone.utc) - timedelta(days=1)


@frozen
class Sent:
    """A response, by the values of its request and the fields that it varies by"""

    number: int
    values: tuple[str | None, ...]
    vary: frozenset[str]

    def answers(self, values: tuple[str | None, ...]) -> bool:
        return all(values[i] == self.values[i] for i, name in enumerate(FIELDS) if name in self.vary)


class ScriptedOrigin(BaseAdapter):
    """Answers with the number of the response, each a second younger than the one before"""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Sent] = []
        self.vary: frozenset[str] = frozenset()

    def send(self, request: Any, **kwargs: Any) -> Response:  # type: ignore[override]
        number = len(self.sent)
        self.sent.append(Sent(number, tuple(request.headers.get(name) for name in FIELDS), self.vary))
        response = Response()
        response.status_code, response.url, response.request = 200, request.url, request
        response.raw = BytesIO(str(number).encode())
        response.headers = CaseInsensitiveDict(
            {'Cache-Control': 'max-age=1000000', 'Date': format_http_date(START + timedelta(seconds=number))}
        )
        if self.vary:
            response.headers['Vary'] = ', '.join(sorted(self.vary))
        return response

    def close(self) -> None:
        """There is nothing to close"""


VALUES = st.sampled_from([None, '1', '2'])
STEPS = st.lists(
    st.tuples(st.tuples(VALUES, VALUES, VALUES), st.frozensets(st.sampled_from(FIELDS)), st.booleans()), max_size=25
)


@given(STEPS)
def test_no_request_is_answered_by_another_variant_or_an_older_one(steps: Any) -> None:
    origin = ScriptedOrigin()
    with CachedSession(backend='memory', cache_control='strict') as session:
        session.mount('http://', origin)
        for values, vary, is_forced in steps:
            origin.vary = vary
            headers = {name: value for name, value in zip(FIELDS, values, strict=True) if value is not None}
            if is_forced:
                headers['Cache-Control'] = 'no-cache'
            before = len(origin.sent)
            response = session.get('http://example.com/', headers=headers)
            used = origin.sent[int(response.text)]
            if len(origin.sent) > before:
                assert used is origin.sent[-1]
                continue
            assert not is_forced
            assert used.answers(values)
            newer = [sent for sent in origin.sent[used.number + 1 :] if sent.answers(values)]
            # One that does not vary goes behind those that do
            assert not [sent for sent in newer if sent.vary or not used.vary]


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=12), st.data())
def test_each_variant_is_fetched_once(asked: Any, data: Any) -> None:
    """As long as what a response varies by depends only on a field that all of them name"""
    origin = ScriptedOrigin()
    rules = {value: data.draw(st.frozensets(st.sampled_from(FIELDS))) | {FIELDS[0]} for value in (None, '1', '2')}
    with CachedSession(backend='memory', cache_control='strict') as session:
        session.mount('http://', origin)
        for _ in range(2):
            before = len(origin.sent)
            for values in asked:
                origin.vary = rules[values[0]]
                headers = {name: value for name, value in zip(FIELDS, values, strict=True) if value is not None}
                session.get('http://example.com/', headers=headers)
        assert len(origin.sent) == before


def test_a_resource_that_varies_without_end_costs_few_look_ups() -> None:
    origin, looked_up = ScriptedOrigin(), []
    with CachedSession(backend='memory', cache_control='strict') as session:
        session.mount('http://', origin)
        read = session.cache.get_response
        session.cache.get_response = lambda key: looked_up.append(key) or read(key)  # type: ignore[method-assign]
        for number in range(3 * MAX_SETS):
            origin.vary = frozenset((f'X-{number}',))
            looked_up.clear()
            response = session.get('http://example.com/', headers={f'X-{number}': '1'})
            assert len(looked_up) <= MAX_SETS + 2
            again = session.get('http://example.com/', headers={f'X-{number}': '1'})
            assert again.from_cache
            assert again.content == response.content


@pytest.mark.parametrize('name', ['*', 'Cookie', 'Authorization', 'no token'])
def test_fields_that_make_no_keys(name: str) -> None:
    """Beside variants by other fields"""
    origin = ScriptedOrigin()
    with CachedSession(backend='memory', cache_control='strict') as session:
        session.mount('http://', origin)
        for vary in ({'X-A'}, {name}, {'X-A', name}):
            origin.vary = frozenset(vary)
            for value in ('1', '2', '1', '3'):
                before = len(origin.sent)
                response = session.get('http://example.com/', headers={'X-A': value, 'Cookie': value})
                used = origin.sent[int(response.text)]
                assert used is origin.sent[-1] or used.answers((value, None, None))
                assert name != '*' or '*' not in used.vary or len(origin.sent) > before
