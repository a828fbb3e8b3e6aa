"""Creating boto3 clients for DynamoDB, with timeouts, and translating their errors"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from inspect import signature
from threading import Lock
from typing import Any
from zlib import crc32

from ..._utils import renew_after_fork
from ..clients import Fault, ServerConnection

# If neither the caller nor the environment specifies a region
DEFAULT_REGION = 'us-east-1'
# With the defaults of botocore, a call may take more than ten minutes
CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS, ATTEMPTS = 3, 5, 2
# Enough for many threads; additional connections are closed after each call
MAX_CONNECTIONS = 50

OVERLOADED = frozenset({
    'LimitExceededException', 'ProvisionedThroughputExceededException', 'RequestLimitExceeded', 'RequestTimeout',
    'ThrottlingException',
})  # fmt: skip

OVERLOADED_ADVICE = 'try again later; if this happens often, raise the capacity of the table'
_CREDENTIALS = 'check the AWS credentials: keywords, environment, or profile'
ADVICE = {
    'AccessDeniedException': 'grant this permission to the user or role',
    'ExpiredTokenException': _CREDENTIALS,
    'InvalidSignatureException': _CREDENTIALS,
    'NoCredentialsError': _CREDENTIALS,
    'PartialCredentialsError': _CREDENTIALS,
    'ResourceNotFoundException': 'check table_name= and region_name=, or set create_table=True',
    'UnrecognizedClientException': _CREDENTIALS,
}

# Members that every complete reply to these operations contains
REPLY_MEMBERS = {'scan': 'Count', 'batch_get_item': 'Responses', 'batch_write_item': 'UnprocessedItems'}

# boto3 creates clients from a session that all threads share, although sessions are not thread-safe
_making_clients = Lock()
renew_after_fork(sys.modules[__name__], '_making_clients', Lock)


def error_code(error: BaseException | None) -> str | None:
    """The error code in a response of the service; None for other exceptions"""
    response = getattr(error, 'response', None)
    code = response.get('Error', {}).get('Code') if isinstance(response, dict) else None
    return str(code) if code else None


def _is_fault_of_service(error: BaseException) -> bool:
    response = getattr(error, 'response', None)
    metadata = response.get('ResponseMetadata', {}) if isinstance(response, dict) else {}
    return error_code(error) in OVERLOADED or int(metadata.get('HTTPStatusCode') or 0) >= 500


class DynamoDbConnection(ServerConnection):
    """A boto3 resource for one table

    Args:
        table_name: Name of the table
        resource: The caller's resource, or None to create one
        keywords: Keywords for creating it; those that boto3 does not accept are ignored
        driver: Returns the module `boto3`
    """

    server = 'DynamoDB'
    keywords = 'region_name= and endpoint_url='
    question = 'can this machine reach it?'

    def __init__(self, table_name: str, resource: Any, keywords: Mapping[str, Any], driver: Callable[[], Any]):
        super().__init__(resource)
        self._table_name = table_name
        self._keywords = dict(keywords)
        self._driver = driver

    def _make_client(self) -> Any:
        driver = self._driver()
        with self.calling('create a client'):
            return make_resource(driver, self._keywords)

    def _close_client(self, client: Any) -> None:
        if hasattr(client.meta.client, 'close'):
            client.meta.client.close()

    def _where(self) -> str:
        resource = self.known_client
        if resource is None:
            return f'DynamoDB, table {self._table_name!r}'
        meta = resource.meta.client.meta
        is_at_aws = '.amazonaws.com' in str(meta.endpoint_url)
        location = f'in {meta.region_name}' if is_at_aws else f'at {meta.endpoint_url}'
        return f'DynamoDB {location}, table {self._table_name!r}'

    def _fault(self, error: Exception) -> Fault:
        unavailable: tuple[type[BaseException], ...] = (OSError,)
        known = sys.modules.get('botocore.exceptions')
        if known is not None:
            unavailable += (known.ConnectionError, known.HTTPClientError)
        if isinstance(error, unavailable):
            return Fault(unavailable=True, advice=None)
        if _is_fault_of_service(error):
            return Fault(unavailable=True, advice=OVERLOADED_ADVICE)
        return Fault(unavailable=False, advice=ADVICE.get(error_code(error) or type(error).__name__, ''))


def check_reply(operation: str, reply: Any) -> None:
    """Check that a reply is complete

    The driver turns a truncated reply into an empty one. But empty replies also mean that an item does not exist, or
    that the operation was successful.

    Raises:
        ConnectionError: The reply is incomplete
    """
    if not isinstance(reply, dict):
        return
    metadata = reply.get('ResponseMetadata')
    headers = metadata.get('HTTPHeaders') if isinstance(metadata, dict) else None
    is_empty = not reply.keys() - {'ResponseMetadata'}
    if (is_empty and headers and not _is_of_empty_object(headers)) or REPLY_MEMBERS.get(operation, '') not in {
        *reply,
        '',
    }:
        raise ConnectionError(f'the reply to {operation} is incomplete')


def _is_of_empty_object(headers: Mapping[str, str]) -> bool:
    if 'x-amz-crc32' in headers:
        return headers['x-amz-crc32'] == str(crc32(b'{}'))
    return headers.get('content-length') == '2' or 'transfer-encoding' in headers


def driver_keywords() -> tuple[dict[str, Any], dict[str, Any]]:
    """Keywords of a boto3 session, and of its method `resource`, each with its default"""
    from boto3.session import Session

    def defaults(function: Callable[..., Any]) -> dict[str, Any]:
        parameters = signature(function).parameters.values()
        return {p.name: p.default for p in parameters if p.name not in ('self', 'service_name')}

    return defaults(Session.__init__), defaults(Session.resource)


def make_resource(boto3: Any, keywords: Mapping[str, Any]) -> Any:
    """Create a DynamoDB resource with timeouts, from the keywords that boto3 accepts

    Raises:
        Exception: Any exception that boto3 raises for invalid keywords
    """
    from botocore.config import Config
    from botocore.exceptions import NoRegionError

    for_session, for_resource = driver_keywords()
    defaults = {**for_session, **for_resource}
    given = {k: v for k, v in keywords.items() if k in defaults and (v is not None or defaults[k] is not None)}
    limits = Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={'total_max_attempts': ATTEMPTS},
        max_pool_connections=MAX_CONNECTIONS,
    )
    config = given.pop('config', None)
    given['config'] = limits.merge(config) if config is not None else limits
    make = boto3.resource
    with _making_clients:
        if given.keys() & (for_session.keys() - for_resource.keys()):
            make = boto3.Session(**{k: v for k, v in given.items() if k in for_session}).resource
            given = {k: v for k, v in given.items() if k not in for_session}
        try:
            return make('dynamodb', **given)
        except NoRegionError:
            return make('dynamodb', **{**given, 'region_name': DEFAULT_REGION})
