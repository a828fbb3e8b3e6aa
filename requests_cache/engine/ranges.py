"""Answering range requests from stored responses and parts, and storing parts

Used in strict mode only; see RFC 9111, sections 3.3 and 3.4. `policy/standard/parts.py` describes how parts are stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import urandom
from types import MappingProxyType

from attrs import frozen
from requests.exceptions import ChunkedEncodingError

from ..models.response import CachedResponse
from ..policy.expiration import utcnow
from ..policy.request import resolve_expiration
from ..policy.standard.decision import expires_after_304
from ..policy.standard.parts import (
    MAX_PARTS,
    Parts,
    can_serve_ranges,
    combined_headers,
    index_key,
    is_different_representation,
    is_same_representation,
    part_key,
    part_keys,
    part_range,
    parts_of,
    representation_headers,
)
from ..policy.standard.range_responses import copy_with, partial_content, range_applies, serve_ranges
from ..policy.standard.ranges import ContentRange, Span, cover, resolve
from ..policy.vary import varied_names
from .exchange import Exchange, LookUp, Storing
from .refusals import INCOMPLETE
from .store import REPLACED, Delete, Put, Write
from .variants import key_of_variant, match, new_generation

NOTHING_KNOWN: Mapping[Span, bytes] = MappingProxyType({})


def find_ranges(exchange: Exchange, look_up: LookUp) -> LookUp:
    """Look up a range request in the store

    Args:
        exchange: The exchange
        look_up: The look-up of the request without `Range`

    Returns:
        The same look-up, if its response can serve the ranges or is to be used completely; otherwise the index and the
        parts with all the ranges; otherwise an empty look-up
    """
    stored = look_up.stored
    if stored is not None and _is_to_be_used(exchange, stored):
        return look_up
    found = _find_parts(exchange, look_up, _key_of_whole(exchange, look_up))
    return found if found is not None else look_up._replace(stored=None)


def _key_of_whole(exchange: Exchange, look_up: LookUp) -> str:
    """The key of the complete response to which the parts for a request belong; it may be that of a variant"""
    variants = look_up.variants
    if variants is None or variants.first_matches:
        return str(look_up.key)
    return key_of_variant(exchange, varied_names(variants.first), variants.first_key, variants.generation)


def _is_to_be_used(exchange: Exchange, stored: CachedResponse) -> bool:
    """Whether a response can serve ranges, or is to be used completely"""
    if stored.status_code != 200:
        return stored.status_code != 206
    return can_serve_ranges(stored) or not range_applies(exchange.request.headers, stored.headers, utcnow())


def _find_parts(exchange: Exchange, look_up: LookUp, key: str) -> LookUp | None:
    index = exchange.read(index_key(key))
    parts = parts_of(index) if index is not None else None
    if index is None or parts is None or not match(exchange, index).matches:
        return None
    if not range_applies(exchange.request.headers, index.headers, utcnow()):
        return None
    found = []
    for span in resolve(exchange.policy.ranges or (), parts.length) or ():
        content = _read_span(exchange, key, index, parts, span)
        if content is None:
            return None
        found.append((ContentRange(span, parts.length), content))
    return look_up._replace(key=key, stored=index, parts=found) if found else None


def _read_span(
    exchange: Exchange,
    key: str,
    index: CachedResponse,
    parts: Parts,
    wanted: Span,
    known: Mapping[Span, bytes] = NOTHING_KNOWN,
) -> bytes | None:
    """Read bytes from the parts in an index; None if they are not in the parts

    If a part is missing from the store, the index is deleted.
    """
    pieces = []
    for part, piece in cover(parts.spans, wanted) or ():
        content = known.get(part) or _content_of(exchange.store.read(part_key(key, index._generation, part)))
        if len(content) != part.size:
            if not exchange.settings.read_only:
                exchange.store.apply([Delete(part_keys(key, index), INCOMPLETE)])
            return None
        pieces.append(content[piece.first - part.first : piece.last - part.first + 1])
    return b''.join(pieces) if pieces else None


def _content_of(entry: CachedResponse | None) -> bytes:
    try:
        return entry.content or b'' if entry is not None else b''
    except ChunkedEncodingError:  # the body is missing or damaged
        return b''


def show_ranges(exchange: Exchange, look_up: LookUp, stored: CachedResponse) -> CachedResponse:
    """The requested ranges of a stored response; the whole response if `If-Range` has a different validator"""
    request, boundary = exchange.request.headers, urandom(16).hex()
    is_brief = request.get('If-Range') is not None
    if stored.status_code == 206 and look_up.parts:
        return partial_content(stored, look_up.parts, is_brief, boundary)
    if not can_serve_ranges(stored) or not range_applies(request, stored.headers, utcnow()):
        return stored
    return serve_ranges(stored, exchange.policy.ranges or (), is_brief, boundary)


def key_to_renew(look_up: LookUp, stored: CachedResponse) -> str | None:
    """The key under which an updated response is stored"""
    return index_key(str(look_up.key)) if look_up.parts and stored.status_code == 206 else look_up.key


def storing_of_part(exchange: Exchange, key: str, cached: CachedResponse) -> Storing | None:
    """How to store a 206: alone, or together with stored parts of the same representation; None if it cannot be stored

    Args:
        key: Key of the complete response
    """
    part = part_range(cached.headers)
    if part is None or cached.size != part.span.size or cached.history:
        return None
    stored = exchange.read(key)
    if stored is None or not can_serve_ranges(stored) or not match(exchange, stored).matches:
        return _add_part(exchange, key, cached, part)
    if is_same_representation(stored, cached, utcnow()):
        # Update the complete response
        renewed = _renewed(exchange, stored, cached)
        return Storing([Put(key, renewed, renewed.expires)], key, renewed.expires)
    before: list[Write] = [Delete([key], REPLACED)] if is_different_representation(stored, cached) else []
    return _after(before, _add_part(exchange, key, cached, part))


def _after(before: list[Write], storing: Storing | None) -> Storing | None:
    """Add writes before those of `storing`; they are carried out even if nothing is stored"""
    if storing is not None:
        return storing._replace(writes=[*before, *storing.writes])
    return Storing(before, None, None) if before else None


def _renewed(exchange: Exchange, stored: CachedResponse, cached: CachedResponse) -> CachedResponse:
    """Update the header fields and times of a stored response from a newer one (section 3.4)"""
    headers = combined_headers(stored.headers, cached.headers)
    renewed = copy_with(stored, stored.status_code, stored.reason, headers, stored._content_or_body)
    renewed.created_at, renewed.elapsed = cached.created_at, cached.elapsed
    policy, status_code = resolve_expiration(exchange.policy, renewed), renewed.status_code
    renewed.expires = expires_after_304(policy, status_code, headers, cached.headers, cached.created_at)
    return renewed


def _add_part(exchange: Exchange, key: str, cached: CachedResponse, part: ContentRange) -> Storing | None:
    writes, collection = _collection_for(exchange, key, cached, part)
    if collection is None:
        return _after(writes, None)
    index, parts = collection.index, collection.parts.with_part(part)
    if parts.are_complete:
        content = _whole_content(exchange, key, collection, cached, part)
        if content is not None:
            return _after(writes, _complete(key, collection, cached, content))
        # A part in the index is missing, and the index has been deleted
        return _after(writes, _add_part(exchange, key, cached, part))
    if len(parts.spans) > MAX_PARTS:
        return _after(writes, None)
    if part.span in parts.spans:
        writes.append(Put(part_key(key, index._generation, part.span), cached, cached.expires))
    index._content = parts.to_content()
    writes.append(Put(index_key(key), index, index.expires))
    covered = [part_key(key, index._generation, span) for span in collection.parts.spans if span not in parts.spans]
    if covered:
        writes.append(Delete(covered, REPLACED))
    return Storing(writes, index_key(key), index.expires)


@frozen
class _Collection:
    """The index of parts, and the parts that it lists so far"""

    index: CachedResponse
    parts: Parts


def _collection_for(
    exchange: Exchange, key: str, cached: CachedResponse, part: ContentRange
) -> tuple[list[Write], _Collection | None]:
    """The index to which a part is added, with the header fields of the part, after the deletions that are needed first

    If the stored index is for a different representation, a new one replaces it. None if the part lacks header fields
    because the client already has them (RFC 9110, section 15.3.7).
    """
    stored = exchange.store.read(index_key(key))
    parts = parts_of(stored) if stored is not None and _is_for(exchange, stored) else None
    if (
        stored is not None
        and parts is not None
        and is_same_representation(stored, cached, utcnow())
        and parts.accepts(part)
    ):
        return [], _Collection(_renewed(exchange, stored, cached), parts)
    writes: list[Write] = [Delete(part_keys(key, stored), REPLACED)] if stored is not None else []
    if exchange.request.headers.get('If-Range') is not None:
        return writes, None
    index = copy_with(cached, 206, cached.reason, representation_headers(cached.headers), b'')
    index._generation = new_generation()
    return writes, _Collection(index, Parts((), None))


def _is_for(exchange: Exchange, stored: CachedResponse) -> bool:
    return exchange.store.answers(exchange.request, stored) and match(exchange, stored).matches


def _whole_content(
    exchange: Exchange, key: str, collection: _Collection, cached: CachedResponse, part: ContentRange
) -> bytes | None:
    parts = collection.parts.with_part(part)
    listed = Parts((*collection.parts.spans, part.span), parts.length)
    whole = Span(0, (parts.length or 0) - 1)
    return _read_span(exchange, key, collection.index, listed, whole, {part.span: cached.content})


def _complete(key: str, collection: _Collection, cached: CachedResponse, content: bytes) -> Storing:
    """Replace all parts by the complete response (section 3.4)"""
    index = collection.index
    headers = index.headers.copy()
    headers['Content-Length'] = str(len(content))
    complete = copy_with(index, 200, 'OK', headers, content)
    complete._generation = cached._generation
    writes: list[Write] = [Put(key, complete, complete.expires), Delete(part_keys(key, index), REPLACED)]
    return Storing(writes, key, complete.expires)
