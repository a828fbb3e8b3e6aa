"""An origin without a wire, for tests that make very many requests, or count what is open"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse


class Scripted(BaseAdapter):
    """Answers with what it was last told to, as if it had come over the wire"""

    def __init__(self) -> None:
        super().__init__()
        self.status, self.fields = 200, dict[str, str]()

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        body = b'' if self.status == 304 or request.method == 'HEAD' else b'body'
        raw = HTTPResponse(
            BytesIO(body), HTTPHeaderDict(self.fields), status=self.status, preload_content=False, decode_content=False
        )
        return HTTPAdapter().build_response(request, raw)

    def close(self) -> None:
        pass
