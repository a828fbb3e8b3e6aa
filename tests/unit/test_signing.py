"""Signed entries belong to their key, and serializers are told the key of what they serialize"""

from __future__ import annotations

import gzip
import pickle
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from itsdangerous import BadSignature, Signer
from requests import Request

from requests_cache import CachedSession, SerializerPipeline, SQLiteDict, Stage, safe_pickle_serializer
from requests_cache.serializers import json_serializer, pickle_serializer
from requests_cache.serializers.preconf import signer_stage
from requests_cache.testing.origin import Origin, answer
from requests_cache.testing.values import facts, make_response

ALICE, BOB = {'Authorization': 'Alice'}, {'Authorization': 'Bob'}
NewSession = Callable[..., CachedSession]


def sign_as_1_3(response: Any) -> bytes:
    """What published 1.3.3 writes with the same secret key: a signature over the serialized response"""
    return Signer('secret', salt='requests-cache').sign(
        pickle.dumps(dict(pickle.loads(pickle_serializer.dumps(response))))
    )


@pytest.fixture
def new_session(tmp_path: Path) -> Iterator[NewSession]:
    sessions: list[CachedSession] = []

    def make(name: str = 'cache', **options: Any) -> CachedSession:
        options = {'serializer': safe_pickle_serializer('secret'), 'match_headers': ['Authorization'], **options}
        sessions.append(CachedSession(tmp_path / name, backend='sqlite', ignored_parameters=[], **options))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


@pytest.fixture
def pages(origin: Origin) -> str:
    """A page that differs from user to user; its URL"""
    origin.add('/page', lambda request: answer(200, request.header('Authorization') or ''))
    return origin.url('/page')


def swap_rows(session: CachedSession) -> None:
    with closing(sqlite3.connect(session.cache.db_path)) as connection:
        (one, first), (other, second) = connection.execute('SELECT key, value FROM responses').fetchall()
        connection.execute('UPDATE responses SET value = ? WHERE key = ?', (second, one))
        connection.execute('UPDATE responses SET value = ? WHERE key = ?', (first, other))
        connection.commit()


class TestBinding:
    def test_a_redirect_that_somebody_else_wrote(self, new_session: NewSession, pages: str) -> None:
        session = new_session()
        bobs = session.get(pages, headers=BOB)
        session.cache.redirects[session.cache.create_key(Request('GET', pages, headers=ALICE))] = bobs.cache_key
        assert session.get(pages, headers=ALICE).text == 'Alice'

    def test_swapped_pieces(self, new_session: NewSession, origin: Origin) -> None:
        session = new_session(large_body_bytes=10)
        for name in ('alice', 'bob'):
            origin.add(f'/{name}', body=name * 100)
            session.get(origin.url(f'/{name}'))
        with closing(sqlite3.connect(session.cache.db_path)) as connection:
            (one, first), (other, second) = connection.execute('SELECT rowid, data FROM responses_pieces').fetchall()
            connection.execute('UPDATE responses_pieces SET data = ? WHERE rowid = ?', (second, one))
            connection.execute('UPDATE responses_pieces SET data = ? WHERE rowid = ?', (first, other))
            connection.commit()
        with pytest.raises(BadSignature):
            session.get(origin.url('/alice'))

    def test_swapped_rows(self, new_session: NewSession, pages: str) -> None:
        session = new_session()
        for headers in (ALICE, BOB, ALICE, BOB):
            assert session.get(pages, headers=headers).text == headers['Authorization']
        assert session.get(pages, headers=BOB).from_cache
        swap_rows(session)
        for headers in (ALICE, BOB):
            with pytest.raises(BadSignature, match='another key'):
                session.get(pages, headers=headers)

    def test_entries_of_1_3_hit(self, new_session: NewSession, pages: str) -> None:
        session = new_session()
        session.get(pages, headers=ALICE)
        (key,) = session.cache.responses
        old = sign_as_1_3(session.cache.responses[key])
        with closing(sqlite3.connect(session.cache.db_path)) as connection:
            connection.execute('UPDATE responses SET value = ?', (old,))
            connection.commit()
        assert session.get(pages, headers=ALICE).from_cache
        with pytest.raises(BadSignature, match='not signed for a key'):
            new_session(serializer=safe_pickle_serializer('secret', accept_unbound=False)).get(pages, headers=ALICE)
        # Written again, they are bound
        session.cache.responses[key] = session.cache.responses[key]
        strict = new_session(serializer=safe_pickle_serializer('secret', accept_unbound=False))
        assert strict.get(pages, headers=ALICE).from_cache

    def test_1_3_reads_what_is_written(self) -> None:
        stored = safe_pickle_serializer('secret').dumps(make_response(1), 'key')
        record = pickle.loads(Signer('secret', salt='requests-cache').unsign(stored))
        assert record['status_code'] == make_response(1).status_code

    def test_the_mark_cannot_be_taken_away(self) -> None:
        serializer = safe_pickle_serializer('secret')
        bound = serializer.dumps(make_response(1), 'key')
        data, _, signature = bound.rpartition(b'.')
        for shorter in (data[:-32], data[:-40], data[:-41], serializer.stages[0].dumps(make_response(1))):
            with pytest.raises(BadSignature):
                serializer.loads(pickle.dumps(shorter) + b'.' + signature, 'other')
        with pytest.raises(BadSignature):
            serializer.loads(bound, 'other')
        assert facts(serializer.loads(bound, 'key')) == facts(make_response(1))

    @pytest.mark.parametrize('key', ['', 'key', 'é\x00\ud800', 'x' * 10_000, 5])
    def test_any_key(self, key: Any) -> None:
        serializer = safe_pickle_serializer('secret')
        assert facts(serializer.loads(serializer.dumps(make_response(1), key), key)) == facts(make_response(1))

    def test_signed_text(self) -> None:
        signed_json = SerializerPipeline([json_serializer, signer_stage('secret')], is_binary=True)
        stored = signed_json.dumps(make_response(1), 'key')
        assert facts(signed_json.loads(stored, 'key')) == facts(make_response(1))
        with pytest.raises(BadSignature):
            signed_json.loads(stored, 'other')

    def test_entries_that_move_are_signed_for_their_new_key(self, new_session: NewSession, pages: str) -> None:
        first = new_session(expire_after=-1)
        first.get(pages, headers=ALICE)
        other = new_session('other', serializer=safe_pickle_serializer('another secret'))
        other.cache.update(first.cache)
        assert other.get(pages, headers=ALICE).from_cache
        settings = first.settings
        settings.match_headers = ['Authorization', 'Accept']
        first.cache.recreate_keys()
        assert first.get(pages, headers=ALICE).from_cache
        first.cache.reset_expiration(60)
        assert first.get(pages, headers=ALICE).from_cache

    def test_a_database_under_another_name(self, new_session: NewSession, pages: str, tmp_path: Path) -> None:
        session = new_session('before')
        session.get(pages, headers=ALICE)
        session.close()
        (tmp_path / 'before.sqlite').rename(tmp_path / 'after.sqlite')
        assert new_session('after').get(pages, headers=ALICE).from_cache


class Watching:
    """A serializer that puts the key into what it makes"""

    takes_key = True

    def dumps(self, value: Any, key: Any = None) -> bytes:
        return pickle.dumps((key, value))

    def loads(self, value: bytes, key: Any = None) -> Any:
        stored_for, response = pickle.loads(value)
        assert stored_for == key
        return response


class TestStages:
    def test_stages_that_take_the_key(self) -> None:
        def dumps(value: str, key: str | None) -> str:
            return f'{key}: {value}'

        def loads(value: str, key: str | None) -> str:
            return value.removeprefix(f'{key}: ')

        keyed = Stage(dumps=dumps, loads=loads, takes_key=True)
        inner = SerializerPipeline([Stage(dumps=str.upper, loads=str.lower), keyed])
        pipeline = SerializerPipeline([inner, Stage(dumps=str.encode, loads=bytes.decode)])
        assert pipeline.dumps('text', 'k') == b'k: TEXT'
        assert pipeline.loads(b'k: TEXT', 'k') == 'text'
        assert pipeline.dumps('text') == b'None: TEXT'

    @pytest.mark.parametrize('module', [pickle, Watching()], ids=['plain', 'keyed'])
    def test_any_object(self, module: Any, tmp_path: Path) -> None:
        with closing(SQLiteDict(tmp_path / 'cache', serializer=module)) as storage:
            storage['key'] = make_response(1)
            storage.update({'other': make_response(2)})
            assert facts(storage['other']) == facts(make_response(2))
            assert {key: facts(value) for key, value in storage.items()} == {
                'key': facts(make_response(1)),
                'other': facts(make_response(2)),
            }

    def test_pipelines_of_earlier_versions(self, tmp_path: Path) -> None:
        class Own(SerializerPipeline):
            def dumps(self, value):  # type: ignore[no-untyped-def, override]
                return super().dumps(value)

            def loads(self, value):  # type: ignore[no-untyped-def, override]
                return super().loads(value)

        own = Own([*safe_pickle_serializer('secret').stages, Stage(dumps=gzip.compress, loads=gzip.decompress)])
        with closing(SQLiteDict(tmp_path / 'cache', serializer=own)) as storage:
            storage['key'] = make_response(1)
            assert facts(storage['key']) == facts(make_response(1))
        nested = SerializerPipeline([own])
        assert facts(nested.loads(nested.dumps(make_response(1), 'key'), 'key')) == facts(make_response(1))

    def test_storages_of_earlier_versions(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = []

        class Own(SQLiteDict):
            def serialize(self, value):  # type: ignore[no-untyped-def, override]
                seen.append(value)
                return super().serialize(value)

        with closing(Own(tmp_path / 'cache', serializer='pickle')) as storage:
            storage['key'] = make_response(1)
            assert facts(storage['key']) == facts(make_response(1))
            assert len(seen) == 1
        with closing(SQLiteDict(tmp_path / 'cache', serializer='pickle')) as storage:
            monkeypatch.setattr(storage, 'serialize', lambda value: pickle_serializer.dumps(make_response(2)))
            storage['key'] = make_response(1)
            assert facts(storage['key']) == facts(make_response(2))
