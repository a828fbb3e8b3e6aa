"""Caching rules: settings, expiration, freshness, and decisions about requests and responses"""

from ..models.base import RichMixin
from .actions import CacheActions
from .directives import CacheDirectives, HeaderDict, set_request_headers
from .expiration import (
    DO_NOT_CACHE,
    EXPIRE_IMMEDIATELY,
    NEVER_EXPIRE,
    ExpirationPattern,
    ExpirationPatterns,
    ExpirationTime,
    add_tzinfo,
    get_expiration_datetime,
    get_expiration_seconds,
    get_url_expiration,
    utcnow,
)
from .settings import (
    ALL_METHODS,
    AUTH_HEADERS,
    AUTH_PARAMS,
    DEFAULT_CACHE_NAME,
    DEFAULT_IGNORED_PARAMS,
    DEFAULT_METHODS,
    DEFAULT_STATUS_CODES,
    CacheSettings,
    FilterCallback,
    KeyCallback,
)

__all__ = [
    'ALL_METHODS',
    'AUTH_HEADERS',
    'AUTH_PARAMS',
    'DEFAULT_CACHE_NAME',
    'DEFAULT_IGNORED_PARAMS',
    'DEFAULT_METHODS',
    'DEFAULT_STATUS_CODES',
    'DO_NOT_CACHE',
    'EXPIRE_IMMEDIATELY',
    'NEVER_EXPIRE',
    'CacheActions',
    'CacheDirectives',
    'CacheSettings',
    'ExpirationPattern',
    'ExpirationPatterns',
    'ExpirationTime',
    'FilterCallback',
    'HeaderDict',
    'KeyCallback',
    'RichMixin',
    'add_tzinfo',
    'get_expiration_datetime',
    'get_expiration_seconds',
    'get_url_expiration',
    'set_request_headers',
    'utcnow',
]
