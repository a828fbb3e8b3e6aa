"""Data models: requests and responses that can be stored"""

from .base import RichMixin
from .raw_response import CachedHTTPResponse
from .request import AnyPreparedRequest, AnyRequest, CachedRequest
from .response import AnyResponse, BaseResponse, CachedResponse, DecodedContent, OriginalResponse

__all__ = [
    'AnyPreparedRequest',
    'AnyRequest',
    'AnyResponse',
    'BaseResponse',
    'CachedHTTPResponse',
    'CachedRequest',
    'CachedResponse',
    'DecodedContent',
    'OriginalResponse',
    'RichMixin',
]
