"""Storing bodies while the caller reads them

The caller gets a urllib3 response that reads from the original one. The bytes are copied to the store as they are
received, before decoding. After the last byte, the entry is written. Decoding, reading by lines and everything else is
done by urllib3, as without a cache.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any
from weakref import ref

from requests import Response
from urllib3.response import HTTPResponse

from ..models.response import CachedResponse
from . import observing
from .body import CHECKS_LENGTH, CodingCheck, decode, is_coded, is_complete
from .exchange import Plan, Storing
from .flights import Outcome
from .refusals import IN_TWO_WAYS, INCOMPLETE, LONGER_THAN_ALLOWED, UNDECODABLE, UNFITTING, UNREAD
from .store import Recording

# How much to read at a time from a connection that may be slow
DRAINED_BYTES = 16 * 1024


class Recorder:
    """Stores a response while its body is being read

    Args:
        plan: The plan
        response: The response; the caller's reference to it may be dropped earlier
        cached: The response to store, without its body
        storing: How to store it; None if that depends on the body
        recording: The body that is being written
    """

    def __init__(
        self, plan: Plan, response: Response, cached: CachedResponse, storing: Storing | None, recording: Recording
    ):
        self._plan = plan
        self._response = ref(response)
        # The headers that urllib3 uses for decoding; an adapter may have given the caller different ones
        self._headers = response.raw.headers
        self._check = CodingCheck(self._headers) if is_coded(self._headers) else None
        self._cached = cached
        self._storing = storing
        self._recording: Recording | None = recording
        self._length = 0

    @property
    def is_recording(self) -> bool:
        return self._recording is not None

    def write(self, data: bytes) -> None:
        """Copy bytes that the caller reads"""
        if self._recording is None or not data:
            return
        self._length += len(data)
        if self._check is not None:
            self._check.feed(data)
        limit = self._plan.exchange.settings.max_body_bytes
        if limit is not None and self._length > limit:
            self.give_up(LONGER_THAN_ALLOWED)
        elif not self._recording.write(data):
            self.give_up(self._plan.exchange.store.refusal)

    def finish(self) -> None:
        """Store the response, after its last byte has been read"""
        recording, self._recording = self._recording, None
        if recording is None:
            return
        refusal = INCOMPLETE
        try:
            refusal = self._give_body(recording) or self._store()
        finally:
            self._end(recording, refusal)
        response: Any = self._response()
        if response is None or refusal:
            return
        if self._cached._body is None and response.__dict__.get('_content') is False:
            # In 1.x, `content` was available after reading the stream, so callers may rely on it
            response._content = self._cached._content
        observing.amend(response, is_stored=True, not_stored='')
        if getattr(response, 'cache_status', None) is not None:
            response.cache_status = response.cache_status._replace(stored=True)

    def _give_body(self, recording: Recording) -> str:
        """Add the body to the response that will be stored: decoded if it is short, otherwise its description

        Returns:
            Why that is impossible; empty if it succeeded
        """
        coded, content = is_coded(self._headers), recording.content()
        if coded and content is not None:
            try:
                content = decode(self._headers, content, recording.longest_content)
            except Exception:  # the caller gets the same error
                return UNDECODABLE
            limit = self._plan.exchange.settings.max_body_bytes
            if limit is not None and content is not None and len(content) > limit:
                return LONGER_THAN_ALLOWED
        if content is not None:
            self._cached._content = content
            return ''
        if self._check is not None and not self._check.is_whole():
            return UNDECODABLE
        body = recording.commit(coded)
        if body is None:
            return self._plan.exchange.store.refusal
        self._cached.__dict__.update(_body=body, _content=False)
        return ''

    def _store(self) -> str:
        """Write the entry, and return why that is impossible; empty if it succeeded"""
        exchange, storing = self._plan.exchange, self._storing
        if storing is None:
            storing = exchange.mode.storing(self._plan, self._cached, self._cached.expires)
        if storing is None:
            return UNFITTING
        self._storing = storing
        if not exchange.store.apply(storing.writes):
            return exchange.store.refusal
        return '' if storing.cache_key is not None else UNFITTING

    def give_up(self, reason: str) -> None:
        """Do not store the response; the caller can continue reading"""
        recording, self._recording = self._recording, None
        if recording is not None:
            self._end(recording, reason)

    def _end(self, recording: Recording, refusal: str) -> None:
        """Delete a body that was not stored, wake the followers, and report what was done"""
        plan = self._plan
        try:
            if refusal:
                recording.abort()
        finally:
            if plan.flight is not None:
                plan.flight.land(Outcome.NOT_STORED if refusal else Outcome.STORED)
        if refusal:
            observing.amend(self._response(), not_stored=refusal)
            observing.not_stored(plan.exchange, plan.cache_key, refusal, self._cached.status_code)
        else:
            observing.stored(plan.exchange, self._storing.cache_key if self._storing else None, self._cached)


class RecordedHTTPResponse(HTTPResponse):
    """A urllib3 response that reads from another one, and copies the bytes to a recorder

    Args:
        raw: The response from the origin
        recorder: The recorder
        drain_bytes: How many bytes to read for the store after the caller stops reading
        drain_seconds: How long to read them
    """

    is_recorded = True
    # False while the constructor of urllib3 sets attributes
    _owns_connection = False

    def __init__(self, raw: HTTPResponse, recorder: Recorder, drain_bytes: int, drain_seconds: float):
        self._inner = raw
        self._recorder = recorder
        self._chunks: Iterator[bytes] | None = None
        self._drain_limits = drain_bytes, drain_seconds
        original: Any = getattr(raw, '_original_response', None)
        self._copied = _Copied(raw, recorder)
        super().__init__(
            body=self._copied,
            headers=raw.headers,
            status=raw.status,
            version=raw.version,
            reason=raw.reason,
            preload_content=False,
            decode_content=raw.decode_content,
            original_response=original,
            msg=getattr(raw, 'msg', None),
            retries=raw.retries,
            enforce_content_length=getattr(raw, 'enforce_content_length', CHECKS_LENGTH),
            request_method=getattr(original, '_method', None),
            request_url=raw.geturl(),
        )
        self._owns_connection = True
        self._had_connection = self._connection is not None
        for name in ('version_string', '_sock_shutdown'):
            if hasattr(raw, name):
                setattr(self, name, getattr(raw, name))

    # The connection is that of the original response

    @property
    def _connection(self) -> Any:
        return getattr(self._inner, '_connection', None)

    @_connection.setter
    def _connection(self, connection: Any) -> None:
        if self._owns_connection:
            self._inner._connection = connection

    @property
    def _pool(self) -> Any:
        return getattr(self._inner, '_pool', None)

    @_pool.setter
    def _pool(self, pool: Any) -> None:
        """Ignore what the constructor of urllib3 assigns"""

    def supports_chunked_reads(self) -> bool:
        return self._inner.supports_chunked_reads()

    def read_chunked(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:  # type: ignore[override]
        """Yield the chunks as they are received; `amt` limits their size, also after decoding"""
        if amt == 0 or (self._chunks is None and self.closed):
            return
        try:
            yield from self._decoded_chunks(None if amt is not None and amt < 0 else amt, decode_content)
        except GeneratorExit:  # as in urllib3, stopping early closes the response
            self.close()
            self.release_conn()
            raise

    def _decoded_chunks(self, amt: int | None, decode_content: bool | None) -> Iterator[bytes]:
        self._init_decoder()
        chunks = self._next_chunks(amt)
        limit: Any = {'max_length': amt} if hasattr(self._decoder, 'has_unconsumed_tail') else {}
        while True:
            chunk = b'' if getattr(self._decoder, 'has_unconsumed_tail', False) else next(chunks, None)
            if chunk is None:
                break
            decoded = self._decode(chunk, decode_content, False, **limit)
            if decoded:
                yield decoded
        if decode_content:
            rest = self._flush_decoder()
            if rest:
                yield rest

    def _next_chunks(self, amt: int | None) -> Iterator[bytes]:
        """Yield encoded chunks; if the caller stops here, the rest can be drained"""
        if self._chunks is None:
            self._copied.begin(by_chunks=True)
            self._chunks = self._inner.read_chunked(amt, decode_content=False)
        while True:
            try:
                chunk = next(self._chunks, None)
            except BaseException:
                self._recorder.give_up(INCOMPLETE)
                raise
            if chunk is None:
                self._recorder.finish()
                return
            self._recorder.write(chunk)
            yield chunk

    def close(self) -> None:
        """Close the connection, after reading the rest of the body for the store if it is short"""
        if self._recorder.is_recording and not sys.is_finalizing():
            try:
                self._drain()
            finally:
                self._recorder.give_up(UNREAD)
        self._chunks = None
        super().close()

    def _drain(self) -> None:
        """Read the rest of the body, within limits; errors are ignored, as the caller has stopped reading"""
        max_bytes, seconds = self._drain_limits
        missing = getattr(self._inner, 'length_remaining', None)
        if not max_bytes or (missing is not None and missing > max_bytes):
            return
        if self._had_connection and self._connection is None:  # it was released, and another request may be using it
            return
        deadline = monotonic() + seconds
        sock = getattr(getattr(self._inner, '_connection', None), 'sock', None)
        try:
            for data in self._rest():
                max_bytes -= len(data)
                left = deadline - monotonic()
                if max_bytes < 0 or left <= 0 or not self._recorder.is_recording:
                    return
                if sock is not None:  # urllib3 sets the timeout again for the next response
                    sock.settimeout(left)
        except Exception:
            return

    def _rest(self) -> Iterator[bytes]:
        yield b''
        if self._chunks is not None:
            yield from self._next_chunks(DRAINED_BYTES)
            return
        source: Any = self._fp
        read: Callable[[int], bytes] = source.read1 if hasattr(self._inner, 'read1') else source.read
        while data := read(DRAINED_BYTES if hasattr(self._inner, 'read1') else 256):
            yield data


class _Copied:
    """The file object that a `RecordedHTTPResponse` reads from"""

    def __init__(self, raw: HTTPResponse, recorder: Recorder):
        self._raw: Any = raw
        self._recorder = recorder
        self._by_chunks: bool | None = None

    def begin(self, by_chunks: bool) -> None:
        """Choose one of two ways of reading from urllib3; if both are used, the body is unreliable and is not stored"""
        if self._by_chunks not in (None, by_chunks):
            self._recorder.give_up(IN_TWO_WAYS)
        self._by_chunks = by_chunks

    def read(self, amt: int | None = None) -> bytes:
        return self._pass(self._raw.read, amt)

    def read1(self, amt: int | None = None) -> bytes:
        return self._pass(self._raw.read1, amt)

    def _pass(self, read: Callable[..., Any], amt: int | None) -> bytes:
        self.begin(by_chunks=False)
        try:
            data: bytes = read(amt, decode_content=False)
        except BaseException:
            self._recorder.give_up(INCOMPLETE)
            raise
        self._recorder.write(data)
        if (amt is None and read == self._raw.read) or (amt != 0 and not data) or self._raw.closed:
            if is_complete(self._raw):
                self._recorder.finish()
            else:
                self._recorder.give_up(INCOMPLETE)
        elif data and CHECKS_LENGTH and self._raw.length_remaining == 0:
            self._recorder.finish()
        return data

    def isclosed(self) -> bool:
        return bool(self._raw.closed)

    @property
    def closed(self) -> bool:
        return bool(self._raw.closed)

    def close(self) -> None:
        self._raw.close()

    def __getattr__(self, name: str) -> Any:
        if name == 'fp':  # with this attribute, urllib3 would read the chunks itself
            raise AttributeError(name)
        return getattr(self._raw, name)
