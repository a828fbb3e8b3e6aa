"""A DynamoDB table: setting it up, and calling operations

Each call ends within the timeouts of the client, and the driver's exceptions are translated to `BackendError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from logging import getLogger
from time import sleep
from typing import Any

from ..._utils import chunkify
from ...exceptions import BackendError, BackendUnavailableError
from ...keys.shown import shown_text
from .client import OVERLOADED_ADVICE, DynamoDbConnection, check_reply, error_code

logger = getLogger(__name__)

TABLE_CREATION_SECONDS = 20
# The maximum numbers of items that the service accepts in one call
GET_BATCH, WRITE_BATCH = 100, 25
# After this many rounds without progress, a batch is given up; the pauses between them add up to 2.5 seconds
BATCH_ROUNDS, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 7, 0.05, 1.0


class DynamoDbTable:
    """A table, and the client for it

    Args:
        name: Name of the table
        connection: The caller's boto3 resource, which is never closed; None to create one
        keywords: Keywords for creating it; those that boto3 does not accept are ignored
        driver: Returns the module `boto3`
        create_table: Create the table if it does not exist
        ttl: Have DynamoDB remove items after the time in their attribute `ttl`
    """

    def __init__(
        self,
        name: str,
        connection: Any,
        keywords: Mapping[str, Any],
        driver: Callable[[], Any],
        create_table: bool = True,
        ttl: bool = True,
    ):
        self.name = name
        self.create_table = create_table
        self.ttl = ttl
        self._connection = DynamoDbConnection(name, connection, keywords, driver)
        self._is_set_up = False

    @property
    def resource(self) -> Any:
        """The boto3 resource; our own is created again in a forked child, and when it is used after `close`

        Raises:
            BackendError: boto3 cannot create one from the keywords
            MissingDependencyError: boto3 is not installed
        """
        return self._connection.client

    def use(self, resource: Any) -> None:
        """Use the caller's resource from now on"""
        self._connection.use(resource)

    @property
    def client(self) -> Any:
        """The client of the resource. Unlike resources, clients are thread-safe."""
        return self.resource.meta.client

    @property
    def has_client(self) -> bool:
        """Whether there is a client; False after `close`"""
        return self._connection.known_client is not None

    def close(self) -> None:
        """Close the connections of our own resource; a later use opens them again"""
        self._connection.close()

    def create(self) -> None:
        """Create the table if it does not exist, and wait until it is ready; the driver's errors are not translated"""
        try:
            self.resource.create_table(
                AttributeDefinitions=[{'AttributeName': 'key', 'AttributeType': 'S'}],
                TableName=self.name,
                KeySchema=[{'AttributeName': 'key', 'KeyType': 'HASH'}],
                BillingMode='PAY_PER_REQUEST',
            )
        except Exception as e:
            if error_code(e) != 'ResourceInUseException':
                raise
        else:
            self._await_creation()

    def _await_creation(self) -> None:
        for _ in range(TABLE_CREATION_SECONDS):
            if self._status() != 'CREATING':
                return
            sleep(1)
        raise BackendUnavailableError(
            f'DynamoDB has not created the table {self.name!r} within {TABLE_CREATION_SECONDS} seconds; try again later'
        )

    def _status(self) -> Any:
        try:
            return self.client.describe_table(TableName=self.name)['Table']['TableStatus']
        except Exception as e:
            if error_code(e) != 'ResourceNotFoundException':
                raise
            return 'CREATING'  # or it was created so recently that not all servers know it

    def enable_ttl(self) -> None:
        """Have DynamoDB remove items by their attribute `ttl`; the driver's errors are not translated"""
        try:
            self.client.update_time_to_live(
                TableName=self.name, TimeToLiveSpecification={'AttributeName': 'ttl', 'Enabled': True}
            )
        except Exception as e:
            if error_code(e) != 'ValidationException':  # it is already enabled
                raise

    def set_up(self) -> None:
        """Create the table and enable TTL, if requested

        Errors are logged. If the service cannot be reached, this is repeated after the first successful call.
        """
        self._is_set_up = True  # other threads need not do the same
        steps = [step for wanted, step in ((self.create_table, self.create), (self.ttl, self.enable_ttl)) if wanted]
        self._is_set_up = all(self._attempt(step) for step in steps)

    def _attempt(self, step: Callable[[], None]) -> bool:
        """Run a step of the setup; returns False if it should be repeated later"""
        try:
            with self._connection.calling('set it up'):
                step()
        except BackendError as e:
            logger.warning('The table was not set up: %s', shown_text(e))
            return not isinstance(e, BackendUnavailableError)
        return True

    def call(self, operation: str, **parameters: Any) -> Any:
        """Call the service; if the table does not exist, it is created first, unless `create_table` is False

        Raises:
            BackendUnavailableError: The service cannot be reached, or is overloaded
            BackendError: The service refuses the operation
        """
        with self._connection.calling(f'call {operation}'):
            try:
                reply = getattr(self.client, operation)(**parameters)
            except Exception as e:
                if not (self.create_table and error_code(e) == 'ResourceNotFoundException'):
                    raise
                self._create_again()
                reply = getattr(self.client, operation)(**parameters)
            check_reply(operation, reply)
        if not self._is_set_up:
            self.set_up()
        return reply

    def _create_again(self) -> None:
        self.create()
        self._await_creation()
        self._is_set_up = not self.ttl

    def on_items(self, operation: str, **parameters: Any) -> Any:
        """Call an operation of this table"""
        return self.call(operation, TableName=self.name, **parameters)

    def pages(self, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The replies of a scan, page by page"""
        start: dict[str, Any] = {}
        while True:
            page = self.on_items('scan', ConsistentRead=True, **parameters, **start)
            yield page
            last = page.get('LastEvaluatedKey')
            if not last:
                return
            if start.get('ExclusiveStartKey') == last:
                raise BackendError(f'DynamoDB, table {self.name!r}: a scan returned the same position twice')
            start = {'ExclusiveStartKey': last}

    def batch_get(self, keys: Iterable[str], *attributes: str) -> Iterator[dict[str, Any]]:
        """The items that exist, in any order, with some or all attributes"""
        parameters = {'ConsistentRead': True, **(projection(*attributes) if attributes else {})}
        for chunk in chunkify(keys, GET_BATCH):
            unique = [{'key': key} for key in dict.fromkeys(chunk)]
            try:
                yield from self._get_batch({'Keys': unique, **parameters})
            except BackendError as e:
                if error_code(e.__cause__) != 'AccessDeniedException':
                    raise
                # A user of 1.3.x may lack the permission for this operation
                replies = (self.on_items('get_item', Key=key, **parameters) for key in unique)
                yield from (reply['Item'] for reply in replies if 'Item' in reply)

    def _get_batch(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        idle = 0
        while request:
            reply = self.call('batch_get_item', RequestItems={self.name: request})
            yield from reply['Responses'].get(self.name) or ()
            left = (reply.get('UnprocessedKeys') or {}).get(self.name) or {}
            idle = self._pause(idle, len(left['Keys']) < len(request['Keys'])) if left else 0
            request = left

    def batch_write(self, requests: Iterable[dict[str, Any]]) -> None:
        """Put and delete items; each key must occur only once"""
        for chunk in chunkify(requests, WRITE_BATCH):
            waiting, idle = chunk, 0
            while waiting:
                reply = self.call('batch_write_item', RequestItems={self.name: waiting})
                left = (reply.get('UnprocessedItems') or {}).get(self.name) or []
                idle = self._pause(idle, len(left) < len(waiting)) if left else 0
                waiting = left

    def batch_delete(self, keys: Iterable[str]) -> None:
        """Delete items, ignoring those that do not exist; each key must occur only once"""
        self.batch_write({'DeleteRequest': {'Key': {'key': key}}} for key in keys)

    def _pause(self, idle: int, has_progressed: bool) -> int:
        """Wait before the next round of a batch; returns the number of consecutive rounds without progress"""
        if has_progressed:
            return 0
        if idle + 1 >= BATCH_ROUNDS:
            raise BackendUnavailableError(f'DynamoDB is overloaded for the table {self.name!r}; {OVERLOADED_ADVICE}')
        sleep(min(FIRST_PAUSE_SECONDS * 2**idle, LONGEST_PAUSE_SECONDS))
        return idle + 1


def projection(*attributes: str) -> dict[str, Any]:
    """Parameters for requesting only some attributes; all names are aliased, as many are reserved words"""
    names = {f'#a{i}': name for i, name in enumerate(attributes)}
    return {'ProjectionExpression': ', '.join(names), 'ExpressionAttributeNames': names}
