"""Finding out how the key of an entry was created, and what it is with other settings or another serializer"""

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

# Number of entries that are written together
COPY_CHUNK_SIZE = 200
_OTHER = 'OTHER'
logger = getLogger(__name__)


class KeyOrigin(NamedTuple):
    """How the key of an entry was created

    Args:
        request: The request from which it was created
        verify: Whether the request verified certificates
        names: Names of the header fields in the key, which distinguish the entry from other variants; empty for none
        suffix: The rest of the key, after the key of the request
    """

    request: CachedRequest
    verify: bool
    names: tuple[str, ...] = ()
    suffix: str = ''

    def key_in(self, cache: Any) -> str:
        """The key that is created in the same way with the settings and serializer of a cache"""
        return _create_key(cache, self.request, self.names, verify=self.verify) + self.suffix


def _create_key(cache: Any, request: CachedRequest, names: tuple[str, ...] = (), **kwargs: Any) -> str:
    if names:
        kwargs['match_headers'] = matched_names(names, cache._settings_for(request).match_headers)
    key: str = cache.create_key(request, **kwargs)
    return key


def possible_requests(response: CachedResponse) -> list[CachedRequest]:
    """The requests from which the key of an entry may have been created

    This is the first request or, for responses that were saved without a key, the last one. In strict mode, the URL has
    no fragment.
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
    """How the key of an entry was created with the settings of a cache; None if that cannot be found out"""
    key, part = split_part_key(key) if response.status_code == 206 else (key, '')
    for request in possible_requests(response):
        for verify in (True, False):
            plain = _create_key(cache, request, verify=verify)
            if plain == key or key.startswith(f'{plain}-'):
                return KeyOrigin(request, verify, (), key.removeprefix(plain) + part)
            for names in _possible_names(cache, plain, response):
                made = _create_key(cache, request, names, verify=verify)
                suffix = key.removeprefix(made)
                if len(made) + len(suffix) == len(key) and is_variant_suffix(suffix, names):
                    return KeyOrigin(request, verify, names, suffix + part)
            if response.history and cache.redirects.get(plain) == key:
                return KeyOrigin(request, verify)  # a variant of the former target of its redirects
    return None


def _possible_names(cache: Any, plain_key: str, response: CachedResponse) -> Iterator[tuple[str, ...]]:
    """Sets of header fields that may distinguish a response from other variants

    These are the fields in its `Vary` or, in the default modes, in that of the first variant; with or without
    `Accept-Encoding`.
    """
    own = _sets_of_varied_names(response)
    yield from own
    first = cache.get_response(plain_key)
    if first is not None:
        yield from (names for names in _sets_of_varied_names(first) if names not in own)


def _sets_of_varied_names(response: CachedResponse) -> list[tuple[str, ...]]:
    all_names = varied_names(response)
    sets = dict.fromkeys((all_names, all_names - {'accept-encoding'}))
    return [tuple(sorted(names)) for names in sets if names]


def _read(cache: Any, key: str) -> CachedResponse | None:
    response = cache.responses.get(key)
    return response if isinstance(response, CachedResponse) else None


def copy_entries(source: Any, target: Any, progress: Callable[[int], object] | None = None) -> None:
    """Copy all readable entries and redirects of one cache to another, and change their keys as needed there

    A key that does not result from the settings of the source is kept, as it was chosen by the user.

    Args:
        source: The cache to read
        target: The cache to write to
        progress: Called from time to time with the number of entries that have been copied
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
        # Skip redirects to entries that were not copied, or that have a new key
        existing = existing_in(target.responses, {leads_to for _, leads_to in pairs if isinstance(leads_to, str)})
        target._save_redirects({key: leads_to for key, leads_to in pairs if leads_to in existing})


def _write_readable(storage: Any, entries: dict[str, CachedResponse]) -> int:
    """Write entries together, except those whose bodies were lost; returns how many were written"""
    try:
        storage.update(entries)
    except (BodyLostError, ChunkedEncodingError):
        lost = 0
        for key, response in entries.items():
            try:
                storage[key] = response
            except (BodyLostError, ChunkedEncodingError):  # noqa: PERF203
                lost += 1
                logger.warning('Entry was not copied, because its body cannot be read: %s', shown_key(key))
        return len(entries) - lost
    return len(entries)


def _readable_entries(cache: Any) -> Iterator[tuple[str, CachedResponse]]:
    for key, response in cache._entries():
        if response is None:
            logger.warning('Entry was not copied, because it cannot be read: %s', shown_key(key))
        else:
            yield key, response


def recreate_keys(cache: Any) -> None:
    """Move entries whose keys do not result from the current settings and serializer of a cache

    If several entries get the same key, the most recent one is kept.
    """
    for key, response in cache._changeable_entries():
        if response is None:
            continue
        origin = explain_key(cache, key, response)
        new_key = _current_key(cache, key, response) if origin is None else _reachable_key(cache, key, origin)
        if new_key == key:
            continue
        existing = _read(cache, new_key)
        if existing is None or existing.created_at <= response.created_at:
            _write_readable(cache.responses, {new_key: response})
            cache._save_redirects(dict.fromkeys(redirect_keys(response, cache.create_key), new_key))
        del cache.responses[key]


def _reachable_key(cache: Any, key: str, origin: KeyOrigin) -> str:
    """The key of an entry with an up-to-date key; for a variant without a first variant, the key of its request"""
    # In strict mode, such variants are no longer valid
    if not origin.names or origin.suffix:
        return key
    plain = _create_key(cache, origin.request, verify=origin.verify)
    return key if cache.contains(plain) else plain


def _current_key(cache: Any, key: str, response: CachedResponse) -> str:
    """The key under which an entry would be stored with the current settings"""
    request, names = first_request(response), tuple(sorted(varied_names(response)))
    if response._generation:  # stored in strict mode
        request = _without_fragment(request)
    plain = _create_key(cache, request)
    if _create_key(cache, _with_other_secrets(request)) != plain:
        return key  # it depends on secrets, which are not stored
    base, part = split_part_key(key) if response.status_code == 206 else (key, '')
    suffix = standard_variant_suffix(base, names)
    if suffix:
        return _create_key(cache, request, names) + suffix + part
    return plain + part if part else _default_mode_key(cache, plain, request)


def _with_other_secrets(request: CachedRequest) -> CachedRequest:
    """A request with a different placeholder for secrets"""
    other = request.copy()
    other.url = (request.url or '').replace(REDACTED, _OTHER)
    other.body = request.body.replace(REDACTED.encode(), _OTHER.encode())
    for name, value in request.headers.items():
        other.headers[name] = str(value).replace(REDACTED, _OTHER)
    return other


def _default_mode_key(cache: Any, key: str, request: CachedRequest) -> str:
    """The key of a response in the default modes: `key`, or the key of a variant if `key` is taken by another one"""
    first, settings = cache.get_response(key), cache._settings_for(request)
    if first is None:
        return key
    names = match_variant(request.headers, first, settings.ignored_parameters).secondary_names
    if not names:
        return key
    made = _create_key(cache, request, names)
    generation = first._generation.partition(' ')[0]
    return variant_key(made, names if made == key and settings.key_fn is None else (), generation)
