"""Keys of stored entries: how they were made, and what they are by other settings or another serializer"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from logging import getLogger
from typing import Any, NamedTuple
from urllib.parse import urldefrag

from requests.exceptions import ChunkedEncodingError

from .._utils import chunkify
from ..keys.bodies import REDACTED
from ..keys.shown import shown_key
from ..keys.variants import is_variant_suffix, matched_names, split_part_key, standard_variant_suffix, variant_key
from ..models.body import BodyLostError
from ..models.redirects import first_request, redirect_keys
from ..models.request import CachedRequest
from ..models.response import CachedResponse
from ..policy.vary import match_variant, varied_names
from .mappings import existing_in, scan
from .storage import CHUNK_SIZE

# Whole entries that are written together
COPY_CHUNK_SIZE = 200
_OTHER = 'OTHER'
logger = getLogger(__name__)


class KeyOrigin(NamedTuple):
    """How the key of an entry was made

    Args:
        request: From which request
        verify: Whether that verified certificates
        names: Names of the header fields that tell the entry from other variants; empty if they do not count
        suffix: What follows the key of the request
    """

    request: CachedRequest
    verify: bool
    names: tuple[str, ...] = ()
    suffix: str = ''

    def key_in(self, cache: Any) -> str:
        """The key that is made the same way in a cache with its settings and serializer"""
        return _create_key(cache, self.request, self.names, verify=self.verify) + self.suffix


def _create_key(cache: Any, request: CachedRequest, names: tuple[str, ...] = (), **kwargs: Any) -> str:
    if names:
        kwargs['match_headers'] = matched_names(names, cache._settings_for(request).match_headers)
    key: str = cache.create_key(request, **kwargs)
    return key


def requests_of(response: CachedResponse) -> list[CachedRequest]:
    """The requests from one of which the key of an entry was made

    That is the first one; for responses that were saved without a key, the last one. By the standard the fragment of
    the URL does not count.
    """
    requests = [first_request(response)]
    if response.history:
        requests.append(response.request)
    return requests + [_without_fragment(request) for request in requests if '#' in (request.url or '')]


def _without_fragment(request: CachedRequest) -> CachedRequest:
    target = request.copy()
    target.url = urldefrag(request.url or '').url
    return target


def explain_key(cache: Any, key: str, response: CachedResponse) -> KeyOrigin | None:
    """How the key of an entry was made by the settings of a cache; None if they do not explain it"""
    key, part = split_part_key(key) if response.status_code == 206 else (key, '')
    for request in requests_of(response):
        for verify in (True, False):
            plain = _create_key(cache, request, verify=verify)
            if plain == key or key.startswith(f'{plain}-'):
                return KeyOrigin(request, verify, (), key.removeprefix(plain) + part)
            for names in _sets_of_names(cache, plain, response):
                made = _create_key(cache, request, names, verify=verify)
                suffix = key.removeprefix(made)
                if len(made) + len(suffix) == len(key) and is_variant_suffix(suffix, names):
                    return KeyOrigin(request, verify, names, suffix + part)
            if response.history and cache.redirects.get(plain) == key:
                return KeyOrigin(request, verify)  # a variant of what its redirects led to before
    return None


def _sets_of_names(cache: Any, plain_key: str, response: CachedResponse) -> Iterator[tuple[str, ...]]:
    """Names of the header fields that may tell a response from other variants

    Those are the ones that it varies by, or, in the default modes, the ones that the first variant varies by. Of these,
    `Accept-Encoding` may not count.
    """
    own = _ways_to_vary(response)
    yield from own
    first = cache.get_response(plain_key)
    if first is not None:
        yield from (names for names in _ways_to_vary(first) if names not in own)


def _ways_to_vary(response: CachedResponse) -> list[tuple[str, ...]]:
    all_names = varied_names(response)
    ways = dict.fromkeys((all_names, all_names - {'accept-encoding'}))
    return [tuple(sorted(names)) for names in ways if names]


def _read(cache: Any, key: str) -> CachedResponse | None:
    response = cache.responses.get(key)
    return response if isinstance(response, CachedResponse) else None


def copy_entries(source: Any, target: Any, progress: Callable[[int], object] | None = None) -> None:
    """Copy all readable entries and redirects of one cache to another, so that they hit there

    A key that the settings of the source do not explain is kept, as it was chosen by somebody else.

    Args:
        source: The cache to read
        target: The cache to write to
        progress: Called with the number of entries that have been copied, now and then
    """
    copied = 0
    same_keys = str(getattr(source.responses, 'serializer', None)) == str(getattr(target.responses, 'serializer', None))
    for page in chunkify(_readable_entries(source), COPY_CHUNK_SIZE):
        entries: dict[str, CachedResponse] = {}
        redirects: dict[str, str] = {}
        for key, response in page:
            origin = None if same_keys else explain_key(source, key, response)
            new_key = origin.key_in(target) if origin is not None else key
            if origin is not None and new_key != key and response.history:
                sources = redirect_keys(response, target.create_key, verify=origin.verify)
                redirects.update(dict.fromkeys(sources, new_key))
            entries[new_key] = response
        copied += _write_readable(target.responses, entries)
        target._save_redirects(redirects)
        if progress is not None:
            progress(copied)
    for pairs in chunkify(scan(source.redirects), CHUNK_SIZE):
        # Others lead to what was not copied, or is under another key now
        existing = existing_in(target.responses, {leads_to for _, leads_to in pairs if isinstance(leads_to, str)})
        target._save_redirects({key: leads_to for key, leads_to in pairs if leads_to in existing})


def _write_readable(storage: Any, entries: dict[str, CachedResponse]) -> int:
    """Write entries together; if the body of one of them has been lost, all others; returns how many were written"""
    try:
        storage.update(entries)
    except (BodyLostError, ChunkedEncodingError):
        lost = 0
        for key, response in entries.items():
            try:
                storage[key] = response
            except (BodyLostError, ChunkedEncodingError):  # noqa: PERF203
                lost += 1
                logger.warning('Not copied, as its body cannot be read: %s', shown_key(key))
        return len(entries) - lost
    return len(entries)


def _readable_entries(cache: Any) -> Iterator[tuple[str, CachedResponse]]:
    for key, response in cache._entries():
        if response is None:
            logger.warning('Not copied, as it cannot be read: %s', shown_key(key))
        else:
            yield key, response


def recreate_keys(cache: Any) -> None:
    """Move entries whose keys are not explained by the present settings and serializer of a cache

    Of several entries that get the same key, the most recent one stays.
    """
    for key, response in cache._changeable_entries():
        if response is None:
            continue
        origin = explain_key(cache, key, response)
        new_key = _present_key(cache, key, response) if origin is None else _reachable_key(cache, key, origin)
        if new_key == key:
            continue
        there = _read(cache, new_key)
        if there is None or there.created_at <= response.created_at:
            _write_readable(cache.responses, {new_key: response})
            cache._save_redirects(dict.fromkeys(redirect_keys(response, cache.create_key), new_key))
        del cache.responses[key]


def _reachable_key(cache: Any, key: str, origin: KeyOrigin) -> str:
    """The key of an entry whose key is right, unless it is a variant that no first one leads to"""
    # By the standard, such variants are not valid any more
    if not origin.names or origin.suffix:
        return key
    plain = _create_key(cache, origin.request, verify=origin.verify)
    return key if cache.contains(plain) else plain


def _present_key(cache: Any, key: str, response: CachedResponse) -> str:
    """The key that an entry would have been stored under by the present settings"""
    request, names = first_request(response), tuple(sorted(varied_names(response)))
    if response._generation:  # stored by the standard
        request = _without_fragment(request)
    plain = _create_key(cache, request)
    if _create_key(cache, _with_other_secrets(request)) != plain:
        return key  # it is made from what is not stored
    base, part = split_part_key(key) if response.status_code == 206 else (key, '')
    suffix = standard_variant_suffix(base, names)
    if suffix:
        return _create_key(cache, request, names) + suffix + part
    return plain + part if part else _key_beside(cache, plain, request)


def _with_other_secrets(request: CachedRequest) -> CachedRequest:
    """A request with something else in place of values that are not stored"""
    other = request.copy()
    other.url = (request.url or '').replace(REDACTED, _OTHER)
    other.body = request.body.replace(REDACTED.encode(), _OTHER.encode())
    for name, value in request.headers.items():
        other.headers[name] = str(value).replace(REDACTED, _OTHER)
    return other


def _key_beside(cache: Any, key: str, request: CachedRequest) -> str:
    """The key of a response in the default modes: that of its request, or another one beside another variant"""
    first, settings = cache.get_response(key), cache._settings_for(request)
    if first is None:
        return key
    names = match_variant(request.headers, first, settings.ignored_parameters).secondary_names
    if not names:
        return key
    made = _create_key(cache, request, names)
    generation = first._generation.partition(' ')[0]
    return variant_key(made, names if made == key and settings.key_fn is None else (), generation)
