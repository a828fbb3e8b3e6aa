"""An adapter that answers without a network"""

from __future__ import annotations

from io import BytesIO
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse

BODY = bytes(range(65, 91))


class EchoAdapter(BaseAdapter):
    """Answers each request with a body of its own, and by its query

    With `redirect=N`, there are N redirects on the way. With `ranges`, the ranges that are asked for are answered.
    `Vary` depends on the request, too, so that variants differ by different fields.
    """

    def __init__(self) -> None:
        super().__init__()
        self.numbers = count()

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:  # type: ignore[override]
        query = parse_qs(urlsplit(request.url or '').query, keep_blank_values=True)
        headers = {'Cache-Control': 'max-age=1000', 'ETag': '"1"'}
        status, body = 200, b'%d' % next(self.numbers)
        left = int(query.get('redirect', ['0'])[0])
        if left:
            status, headers['Location'] = 302, f'/page?redirect={left - 1}' if left > 1 else '/page/2'
        elif 'ranges' in query:
            first, last = map(int, request.headers['Range'].partition('=')[2].split('-'))
            status, body, headers['Content-Range'] = 206, BODY[first : last + 1], f'bytes {first}-{last}/{len(BODY)}'
        else:
            headers['Vary'] = 'X-A, X-B' if request.headers.get('X-A') == '2' else 'X-A'
        headers['Content-Length'] = str(len(body))
        content = BytesIO(body if request.method != 'HEAD' else b'')
        raw = HTTPResponse(content, headers, status, preload_content=False, request_method=request.method)
        response: Response = HTTPAdapter().build_response(request, raw)
        return response

    def close(self) -> None:
        """There is nothing to close"""
