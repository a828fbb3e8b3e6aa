"""Ranges are answered from stored responses and from parts of them, and parts are stored

By the standard only; see RFC 9111, sections 3.3 and 3.4. How parts are stored is described in `policy/parts.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import urandom
from types import MappingProxyType

from attrs import frozen
from requests import PreparedRequest

from ..backends.rekey import stored_part_keys
from ..models.response import CachedResponse
from ..policy.expiration import utcnow
from ..policy.standard.parts import (
    MAX_PARTS,
    Parts,
    combined_headers,
    gives_ranges,
    index_key,
    is_another,
    is_same,
    part_from,
    part_key,
    part_keys,
    parts_of,
    representation_headers,
)
from ..policy.standard.range_answers import partial_content, ranges_of_complete, replaced, wants_ranges
from ..policy.standard.ranges import ContentRange, Span, cover, resolve
from ..policy.vary import match_variant, varied_names
from .answers import answers
from .call import Call, Outcome
from .variants import key_of_variant, new_generation

NOTHING_KNOWN: Mapping[Span, bytes] = MappingProxyType({})


def stored_for_ranges(call: Call, stored: CachedResponse | None) -> CachedResponse | None:
    """What is stored to answer a request for ranges from

    Args:
        call: The request
        stored: The stored response that would answer the request without `Range`

    Returns:
        This, if its ranges can be had, or all of it is to be sent; else the index of parts in which all of the ranges
        are, which then are in `call.parts`; else None
    """
    if stored is not None and _is_to_be_used(call, stored):
        return stored
    if call.policy.skip_read or call.is_store_away:
        return None
    try:
        return _find_parts(call, _key_of_parts(call))
    except Exception as e:
        call.session._faults.report('read', e)
        return None


def _key_of_parts(call: Call) -> str:
    """The key of the complete response that the parts for a request would make up, which may be a variant"""
    if call.first is None or call.first_matches:
        return str(call.cache_key)
    return key_of_variant(call, varied_names(call.first), call.first_key)


def _is_to_be_used(call: Call, stored: CachedResponse) -> bool:
    """Whether a response can be shown in ranges, or is not to be"""
    if stored.status_code != 200:
        return stored.status_code != 206
    return gives_ranges(stored) or not wants_ranges(call.request.headers, stored.headers, utcnow())


def _find_parts(call: Call, key: str) -> CachedResponse | None:
    index: CachedResponse | None = call.session.cache.get_response(index_key(key))
    parts = parts_of(index) if index is not None else None
    if index is None or parts is None or not _is_for(call, index):
        return None
    if not wants_ranges(call.request.headers, index.headers, utcnow()):
        return None
    found = []
    for span in resolve(call.policy.ranges or (), parts.length) or ():
        content = _read_span(call, key, index, parts, span)
        if content is None:
            return None
        found.append((ContentRange(span, parts.length), content))
    if not found:
        return None
    call.parts, call.cache_key = found, key
    return index


def _is_for(call: Call, stored: CachedResponse) -> bool:
    ignored = call.policy.settings.ignored_parameters
    return answers(call, stored) and match_variant(call.request.headers, stored, ignored, by_the_standard=True).matches


def _read_span(
    call: Call, key: str, index: CachedResponse, parts: Parts, wanted: Span, known: Mapping[Span, bytes] = NOTHING_KNOWN
) -> bytes | None:
    """Bytes from the parts that an index lists; None if they are not in them

    An index of which a part is missing is deleted.
    """
    cache, pieces = call.session.cache, []
    for part, piece in cover(parts.spans, wanted) or ():
        content = known.get(part) or _content_of(cache.get_response(part_key(key, index._generation, part)))
        if len(content) != part.size:
            if not call.policy.settings.read_only:
                cache._delete_keys(part_keys(key, index))
            return None
        pieces.append(content[piece.first - part.first : piece.last - part.first + 1])
    return b''.join(pieces) if pieces else None


def _content_of(entry: CachedResponse | None) -> bytes:
    return entry.content or b'' if entry is not None else b''


def in_ranges(call: Call, stored: CachedResponse) -> CachedResponse:
    """The ranges of a stored response that are asked for; all of it, if `If-Range` has another validator"""
    request, boundary = call.request.headers, urandom(16).hex()
    is_brief = request.get('If-Range') is not None
    if stored.status_code == 206 and call.parts:
        return partial_content(stored, call.parts, is_brief, boundary)
    if not gives_ranges(stored) or not wants_ranges(request, stored.headers, utcnow()):
        return stored
    return ranges_of_complete(stored, call.policy.ranges or (), is_brief, boundary)


def key_to_write(call: Call, cached: CachedResponse) -> str | None:
    """The key of a response that is written after it was brought up to date, or is new"""
    return index_key(str(call.cache_key)) if call.parts and cached.status_code == 206 else call.cache_key


def forget_parts(call: Call) -> None:
    """Delete the parts that are stored of the response to a request"""
    if call.request.method != 'GET':
        return
    cache = call.session.cache
    try:
        if keys := stored_part_keys(cache, str(call.cache_key)):
            cache._delete_keys(keys)
    except Exception as e:
        call.session._faults.report('delete from', e)


def prepare_refresh(call: Call, request: PreparedRequest, stored: CachedResponse) -> None:
    """Have a request renew all of a stored response, if that is complete, and not only what the caller asked for"""
    for name in ('Range', 'If-Range') if stored.status_code != 206 else ():
        request.headers.pop(name, None)


def record_part(call: Call, cached: CachedResponse) -> Outcome:
    """Store a 206: on its own, or with what is stored of the same representation"""
    part = part_from(cached.headers)
    if part is None or len(cached.content) != part.span.size or cached.history or call.is_store_away:
        return Outcome()
    try:
        key = str(call.cache_key)
        outcome = _freshen_complete(call, key, cached) or _add_part(call, key, cached, part)
    except Exception as e:
        call.session._faults.report('write to', e)
        return Outcome()
    call.was_stored = outcome.cache_key is not None
    return outcome


def _freshen_complete(call: Call, key: str, cached: CachedResponse) -> Outcome | None:
    """Bring the complete stored response up to date with a part of it, or delete it if the part is of another"""
    cache = call.session.cache
    stored = cache.get_response(key)
    if stored is None or not gives_ranges(stored) or not _is_for(call, stored):
        return None
    if is_same(stored, cached, utcnow()):
        renewed = _renewed(call, stored, cached)
        cache.save_response(renewed, key, renewed.expires)
        return Outcome(key, renewed.expires)
    if is_another(stored, cached):
        cache._delete_keys([key])
    return None


def _renewed(call: Call, stored: CachedResponse, cached: CachedResponse) -> CachedResponse:
    """A stored response with the header fields and times of a newer one (section 3.4)"""
    headers = combined_headers(stored.headers, cached.headers)
    renewed = replaced(stored, stored.status_code, stored.reason, headers, stored.content)
    renewed.created_at, renewed.elapsed = cached.created_at, cached.elapsed
    renewed.expires = call.rules.renewed_until(call.policy, headers, cached.headers, cached.created_at)
    return renewed


def _add_part(call: Call, key: str, cached: CachedResponse, part: ContentRange) -> Outcome:
    cache = call.session.cache
    before = _collection_for(call, key, cached, part)
    if before is None:
        return Outcome()
    index, parts = before.index, before.parts.with_part(part)
    if parts.are_whole:
        return _complete(call, key, before, cached, part)
    if len(parts.spans) > MAX_PARTS:
        return Outcome()
    if part.span in parts.spans:
        cache.save_response(cached, part_key(key, index._generation, part.span), cached.expires)
    index._content = parts.to_content()
    cache.save_response(index, index_key(key), index.expires)
    covered = [part_key(key, index._generation, span) for span in before.parts.spans if span not in parts.spans]
    if covered:
        cache._delete_keys(covered)
    return Outcome(index_key(key), index.expires)


@frozen
class _Collection:
    """The index of some parts, and what it lists up to now"""

    index: CachedResponse
    parts: Parts


def _collection_for(call: Call, key: str, cached: CachedResponse, part: ContentRange) -> _Collection | None:
    """The index that a part goes into, with the header fields of the part, and what it lists up to now

    It is a new one, in place of that which is there, if this is about another representation; None if the part lacks
    header fields that the client is taken to have (RFC 9110, section 15.3.7).
    """
    cache = call.session.cache
    stored: CachedResponse | None = cache.get_response(index_key(key))
    parts = parts_of(stored) if stored is not None and _is_for(call, stored) else None
    if stored is not None and parts is not None and is_same(stored, cached, utcnow()) and parts.admits(part):
        return _Collection(_renewed(call, stored, cached), parts)
    if stored is not None:
        cache._delete_keys(part_keys(key, stored))
    if call.request.headers.get('If-Range') is not None:
        return None
    index = replaced(cached, 206, cached.reason, representation_headers(cached.headers), b'')
    index._generation = new_generation()
    return _Collection(index, Parts((), None))


def _complete(call: Call, key: str, before: _Collection, cached: CachedResponse, part: ContentRange) -> Outcome:
    """Store a complete response in place of its parts (section 3.4)"""
    cache, index = call.session.cache, before.index
    parts = before.parts.with_part(part)
    listed = Parts((*before.parts.spans, part.span), parts.length)
    content = _read_span(call, key, index, listed, Span(0, (parts.length or 0) - 1), {part.span: cached.content})
    if content is None:
        return _add_part(call, key, cached, part)  # the index is no more
    headers = index.headers.copy()
    headers['Content-Length'] = str(len(content))
    complete = replaced(index, 200, 'OK', headers, content)
    complete._generation = cached._generation
    cache.save_response(complete, key, complete.expires)
    cache._delete_keys(part_keys(key, index))
    return Outcome(key, complete.expires)
