"""What published 1.3.3 wrote to MongoDB and GridFS is read back exactly"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import bson
import pytest

from requests_cache import BaseCache, CachedSession
from requests_cache.testing.values import make_response

pytest_plugins = ['support.mongodb_fixtures']

RECORDED = json.loads((Path(__file__).parents[1] / 'data' / 'mongodb_1.3.3.json').read_text('utf-8'))


class TestOldCaches:
    """What published 1.3.3 wrote"""

    @pytest.fixture(params=RECORDED)
    def old(self, request: Any, mongodb_database: Any) -> dict[str, Any]:
        recorded = RECORDED[request.param]
        for collection, documents in recorded['documents'].items():
            if documents:
                raw = [bson.decode(zlib.decompress(b64decode(d))) for d in documents]
                mongodb_database[collection].insert_many(raw)
        return recorded

    @pytest.fixture
    def session(self, old: dict[str, Any], make_mongodb: Any) -> CachedSession:
        return make_mongodb(CachedSession, allowable_methods=('GET', 'POST'), **old['options'])

    def test_entries_are_read_exactly(self, old: dict[str, Any], session: CachedSession) -> None:
        assert len(session.cache.responses) == len(old['entries']) + ('gridfs' not in old['options']['backend']) * 0
        for entry in old['entries']:
            response = session.cache.get_response(entry['key'])
            content = zlib.decompress(b64decode(entry['content']))
            if 'json' in response.headers.get('Content-Type', '') and old['options'].get('decode_content') is not False:
                assert response.json() == json.loads(content)
            else:
                assert response.content == content
            assert response.status_code == entry['status']
            assert dict(response.cookies) == entry['cookies']
            assert [r.url for r in response.history] == entry['history']
            assert response.url == entry['final_url']
            created_at = datetime.fromisoformat(entry['created_at'])
            assert response.created_at == created_at.replace(tzinfo=created_at.tzinfo or timezone.utc)
            expires = entry['expires'] and datetime.fromisoformat(entry['expires'])
            assert response.expires == (expires and expires.replace(tzinfo=expires.tzinfo or timezone.utc))

    def test_requests_hit(self, old: dict[str, Any], session: CachedSession) -> None:
        for entry in old['entries']:
            if entry['method'] == 'GET':
                response = session.get(entry['url'], only_if_cached=True)
                assert response.status_code == (504 if old['options'].get('expire_after') == 1 else entry['status'])

    def test_maintenance(self, old: dict[str, Any], session: CachedSession, mongodb_database: Any) -> None:
        count, expired = len(old['entries']), old['options'].get('expire_after') == 1
        other = BaseCache()
        other.update(session.cache)
        assert len(other.responses) == count
        assert session.cache.delete(expired=True) == (count if expired else 0)
        session.cache.update(other)
        assert session.cache.delete(older_than=datetime(2020, 1, 1, tzinfo=timezone.utc)) == 0
        assert session.cache.delete(older_than=datetime.now(timezone.utc)) == count
        assert len(session.cache.redirects) == 0
        session.cache.clear()
        assert all(mongodb_database[c].count_documents({}) == 0 for c in mongodb_database.list_collection_names())

    def test_entries_are_replaced(self, old: dict[str, Any], session: CachedSession, mongodb_database: Any) -> None:
        for entry in old['entries']:
            session.cache.save_response(make_response(7), entry['key'])
            assert session.cache.responses[entry['key']].content == make_response(7).content
        if old['options']['backend'] == 'gridfs':
            assert mongodb_database['fs.chunks'].count_documents({}) == len(old['entries'])
