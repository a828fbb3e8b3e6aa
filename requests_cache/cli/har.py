"""Caches as HAR files, and HAR files as caches"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urljoin

from ..backends.base import BaseCache
from ..backends.rekey import KeyOrigin, explain_key, requests_of
from ..exceptions import InvalidEntryError
from ..models.response import CachedResponse
from ..policy.expiration import ExpirationTime, get_expiration_datetime
from ..serializers.har import OWN_MEMBER, from_har, to_har
from .values import package_version

SPACES = (',', ':')


class Imported(NamedTuple):
    """What came of importing a HAR file

    Args:
        entries: Responses stored
        without_response: Entries that hold no response that can be stored, such as requests that were blocked, or
            bodies that the browser did not record
        invalid: Entries that cannot be understood
    """

    entries: int
    without_response: int
    invalid: int


def export_har(
    cache: BaseCache,
    responses: Iterable[CachedResponse],
    file: IO[str],
    progress: Callable[[], object] | None = None,
) -> int:
    """Write responses to a HAR file, one at a time

    Args:
        cache: The cache that they are in
        responses: The responses, such as `cache.filter()` gives
        file: A text file in UTF-8
        progress: Called after each response

    Returns:
        The number of responses
    """
    creator = json.dumps({'name': 'requests-cache', 'version': package_version()}, separators=SPACES)
    file.write(f'{{"log":{{"version":"1.2","creator":{creator},"entries":[')
    number = 0
    separator = '\n'
    for response in responses:
        for entry in to_har(response, _key_facts(cache, response)):
            file.write(separator + json.dumps(entry, separators=SPACES))
            separator = ',\n'
        number += 1
        if progress is not None:
            progress()
    file.write('\n]}}\n')
    return number


def _key_facts(cache: BaseCache, response: CachedResponse) -> dict[str, Any]:
    """How the key of a response was made, so that it is found in a cache with other settings too"""
    key = str(response.cache_key)
    origin = explain_key(cache, key, response)
    if origin is None:
        return {'key': key}
    requests = requests_of(response)
    made_from = next((i for i, request in enumerate(requests) if request.url == origin.request.url), 0)
    facts = {'request': made_from, 'verify': origin.verify, 'names': list(origin.names), 'suffix': origin.suffix}
    return {'key': key, 'made_from': facts}


def import_har(
    cache: BaseCache,
    document: Any,
    expire_after: ExpirationTime = None,
    keep_vary: bool = False,
    progress: Callable[[], object] | None = None,
) -> Imported:
    """Store the responses of a HAR file, also of one that a browser has recorded

    Responses of other tools than this package never expire, unless `expire_after` says so, and answer requests with any
    header fields, unless `keep_vary`: a browser sends others than a program that is to get what it recorded.

    Args:
        cache: Where to store them
        document: The document
        expire_after: When responses of other tools expire
        keep_vary: Whether they go by their `Vary` field
        progress: Called after each entry of the file

    Raises:
        InvalidEntryError: It is not a HAR file
    """
    without_response = invalid = stored = 0
    redirects: dict[str, list[CachedResponse]] = {}
    expires = get_expiration_datetime(expire_after)
    for entry in entries_of(document):
        try:
            response = from_har(entry)
        except InvalidEntryError:
            invalid += 1
        else:
            own = entry.get(OWN_MEMBER) or {}
            if response is None:
                without_response += not own.get('is_redirect')
            elif own:
                cache.save_response(response, _key_in(cache, response, own), response.expires)
                stored += 1
            else:
                stored += _store_recorded(cache, response, redirects, expires, keep_vary)
        if progress is not None:
            progress()
    return Imported(stored, without_response, invalid)


def entries_of(document: Any) -> list[Any]:
    """The entries of a HAR file

    Raises:
        InvalidEntryError: It is none
    """
    try:
        entries = document['log']['entries']
    except (KeyError, TypeError, IndexError):
        entries = None
    if not isinstance(entries, list):
        raise InvalidEntryError('not a HAR file: there is no list of entries in it (log.entries)')
    return entries


def read_document(path: Path) -> Any:
    """The document in a file

    Raises:
        InvalidEntryError: It is no JSON
        OSError: It cannot be read
    """
    try:
        return json.loads(path.read_bytes().decode('utf-8-sig'))
    except (ValueError, RecursionError) as e:
        raise InvalidEntryError(f'{path} is not a HAR file: {e}') from e


def _key_in(cache: BaseCache, response: CachedResponse, own: dict[str, Any]) -> str | None:
    facts = own.get('made_from')
    if facts is None:
        return str(own['key']) if own.get('key') else None
    requests = requests_of(response)
    request = requests[min(int(facts['request']), len(requests) - 1)]
    names = tuple(str(name) for name in facts['names'])
    return KeyOrigin(request, bool(facts['verify']), names, str(facts['suffix'])).key_in(cache)


def _store_recorded(
    cache: BaseCache,
    response: CachedResponse,
    redirects: dict[str, list[CachedResponse]],
    expires: Any,
    keep_vary: bool,
) -> int:
    """Store a response of another tool, together with the redirects that led to it; returns how many were stored"""
    if not keep_vary:
        response.headers.pop('Vary', None)
    history = redirects.pop(str(response.url), [])
    location = response.headers.get('Location')
    if 300 <= response.status_code < 400 and response.status_code != 304 and location:
        redirects[urljoin(str(response.url), location).partition('#')[0]] = [*history, response]
        return 0
    response.history = history
    cache.save_response(response, None, expires)
    return 1
