"""What is written down about a response and about a cache, in plain JSON values; public attributes only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from requests import Response, Session

from .origin import digest

Observation = dict[str, Any]


def now() -> datetime:
    return datetime.now(timezone.utc)


def relative(moment: datetime | None) -> int | str | None:
    """Seconds from the virtual now, rounded; a naive time is marked as such."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        return f'naive {relative(moment.replace(tzinfo=timezone.utc))}'
    return round((moment - now()).total_seconds())


def short(text: str) -> str:
    return f'{len(text)}:{hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]}'


def attempt(call: Callable[[], Any]) -> Any:
    """The result of *call*, or the name of the exception it raised."""
    try:
        return call()
    except Exception as error:
        return failure(error)


def failure(error: BaseException) -> str:
    root = type(error).__module__.split('.')[0]
    return f'raised {root}.{type(error).__name__}'


def header_items(headers: Any) -> list[list[str]]:
    return [[name, value] for name, value in headers.items()]


def consume(response: Response, how: str) -> Any:
    """Read the body in one of the ways that callers do, and say what came out."""
    if how == 'chunks':
        return digest(b''.join(response.iter_content(100)))
    if how == 'lines':
        return short('\n'.join(line.decode('latin-1') for line in response.iter_lines()))
    if how == 'raw':
        return digest(response.raw.read())
    if how == 'decoded-raw':
        return digest(b''.join(response.raw.stream(100, decode_content=True)))
    if how == 'close':
        return response.close()
    return digest(response.content)


def see_body(response: Response) -> Observation:
    return {
        'content': attempt(lambda: digest(response.content)),
        'text': attempt(lambda: short(response.text)),
        'encoding': response.encoding,
        'json': attempt(lambda: short(repr(response.json()))),
    }


def see_raw(response: Response) -> Observation:
    raw = response.raw
    return {
        'status': attempt(lambda: raw.status),
        'reason': attempt(lambda: raw.reason),
        'headers': attempt(lambda: sorted(header_items(raw.headers))),
    }


def see_hop(response: Response) -> list[Any]:
    cached = getattr(response, 'from_cache', None)
    return [response.status_code, response.url, response.headers.get('Location'), cached]


def see_response(response: Response, step: dict[str, Any]) -> Observation:
    """Everything a caller may look at on *response*."""
    seen: Observation = {
        'class': type(response).__name__,
        'status': response.status_code,
        'reason': response.reason,
        'url': response.url,
        'headers': sorted(header_items(response.headers)),
        'header_order': [name for name, _ in header_items(response.headers)],
        'cookies': sorted(header_items(response.cookies)),
        'history': [see_hop(hop) for hop in response.history],
        'request': [response.request.method, response.request.url],
        'next': response.next.url if response.next is not None else None,
        'links': sorted(response.links),
        'ok': response.ok,
        'redirect': [response.is_redirect, response.is_permanent_redirect],
    }
    for name in ('from_cache', 'is_expired', 'revalidated', 'cache_key'):
        seen[name] = getattr(response, name, 'absent')
    for name in ('expires', 'created_at'):
        seen[name] = relative(getattr(response, name, None))
    if seen['from_cache'] is True:
        seen['size'] = attempt(lambda: response.size)  # type: ignore[attr-defined]
        seen['expires_delta'] = attempt(lambda: response.expires_delta)  # type: ignore[attr-defined]
    how = step.get('consume')
    if how:
        seen['consumed'] = attempt(lambda: consume(response, how))
    if how not in ('raw', 'decoded-raw', 'close'):
        seen.update(see_body(response))
    if step.get('inspect_raw'):
        seen['raw'] = see_raw(response)
    return seen


def see_cache(session: Any) -> Observation:
    """The stored responses, by what identifies them and by what they hold."""
    cache = session.cache
    entries = [
        [stored.request.method, stored.url, stored.status_code, relative(stored.expires), digest(stored.content)]
        for stored in cache.filter()
    ]
    return {
        'keys': sorted(cache.responses.keys()),
        'redirects': sorted([key, cache.redirects[key]] for key in list(cache.redirects)),
        'entries': sorted(entries, key=repr),
    }


def see_jar(session: Session) -> list[list[str | None]]:
    return sorted([cookie.name, cookie.value, cookie.domain, cookie.path] for cookie in session.cookies)
