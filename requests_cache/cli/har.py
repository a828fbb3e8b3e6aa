"""Writing caches to HAR files, and reading HAR files into caches"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urljoin

from ..backends.base import BaseCache
from ..backends.rekey import KeyOrigin, explain_key, possible_requests
from ..exceptions import InvalidEntryError
from ..models.response import CachedResponse
from ..policy.expiration import ExpirationTime, get_expiration_datetime
from ..serializers.har import OWN_MEMBER, from_har, to_har
from .values import package_version

SPACES = (',', ':')


class Imported(NamedTuple):
    """The result of importing a HAR file

    Args:
        entries: Number of responses stored
        without_response: Number of entries without a response that can be stored, because the request was blocked, for
            example, or the browser did not record the body
        invalid: Number of entries that are not valid HAR
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
        cache: The cache that holds the responses
        responses: The responses, for example from `cache.filter()`
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
    """How the key of a response was made, so that `import` can make its key in a cache with other settings"""
    key = str(response.cache_key)
    origin = explain_key(cache, key, response)
    if origin is None:
        return {'key': key}
    requests = possible_requests(response)
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
    """Store the responses in a HAR file, which may come from this package, a browser or a proxy

    Responses recorded by other tools never expire unless `expire_after` is given. They answer requests with any header
    fields unless `keep_vary` is true, because programs do not send the same header fields as a browser.

    Args:
        cache: The cache to store the responses in
        document: The parsed JSON of the file
        expire_after: When responses recorded by other tools expire
        keep_vary: Whether to obey the `Vary` fields of responses recorded by other tools
        progress: Called after each entry of the file

    Raises:
        InvalidEntryError: The document is not a HAR file
    """
    without_response = invalid = stored = 0
    redirects: dict[str, list[CachedResponse]] = {}  # by the URL that they lead to
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
                cache.save_response(response, _make_key(cache, response, own), response.expires)
                stored += 1
            else:
                stored += _store_recorded(cache, response, redirects, expires, keep_vary)
        if progress is not None:
            progress()
    return Imported(stored, without_response, invalid)


def entries_of(document: Any) -> list[Any]:
    """The entries of a HAR file

    Raises:
        InvalidEntryError: The document is not a HAR file
    """
    try:
        entries = document['log']['entries']
    except (KeyError, TypeError, IndexError):
        entries = None
    if not isinstance(entries, list):
        raise InvalidEntryError('not a HAR file: it has no list of entries (log.entries)')
    return entries


def read_document(path: Path) -> Any:
    """The parsed JSON of a file

    Raises:
        InvalidEntryError: The file is not JSON
        OSError: The file cannot be read
    """
    try:
        return json.loads(path.read_bytes().decode('utf-8-sig'))
    except (ValueError, RecursionError) as e:
        raise InvalidEntryError(f'{path} is not a HAR file: {e}') from e


def _make_key(cache: BaseCache, response: CachedResponse, own: dict[str, Any]) -> str | None:
    facts = own.get('made_from')
    if facts is None:
        return str(own['key']) if own.get('key') else None
    requests = possible_requests(response)
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
    """Store a response of another tool with the redirects that led to it, and return the number stored (0 or 1)"""
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
