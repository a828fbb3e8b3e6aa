"""A DynamoDB server: moto in its own process, on a free port of loopback

with DynamoDbServer() as server:
    boto3.resource('dynamodb', **server.options)
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from typing import Any

import pytest
import requests

from support.server_process import ServerProcess

PATIENCE_SECONDS = 60
# Nothing listens there
CLOSED_PORT = 'http://127.0.0.1:1'

# These write a page of text for each call, which takes longer than the call
for name in ('boto3', 'botocore', 'urllib3.connectionpool'):
    logging.getLogger(name).setLevel(logging.INFO)

CREDENTIALS = {'region_name': 'us-east-1', 'aws_access_key_id': 'test', 'aws_secret_access_key': 'test'}

# The server ends when its standard input is closed, so it never outlives the tests. Requests are handled one at
# a time, because moto does not keep two requests for one item apart. Connections stay open, as those of the service do.
PROGRAM = """
import sys
from threading import Lock, Thread
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

class Handler(WSGIRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def log_request(self, *args):
        pass

def one_at_a_time(environ, start_response):
    with lock:
        # Moto takes as long to find the service for a request as to carry it out
        application = control if environ['PATH_INFO'].startswith('/moto-api') else dynamodb
        return list(application(environ, start_response))

lock = Lock()
control = DomainDispatcherApplication(create_backend_app)
dynamodb = create_backend_app('dynamodb')
server = make_server('127.0.0.1', int(sys.argv[1]), one_at_a_time, threaded=True, request_handler=Handler)
server.daemon_threads = True
Thread(target=server.serve_forever, daemon=True).start()
print(server.port, flush=True)
sys.stdin.read()
server.shutdown()
"""


class DynamoDbServer(ServerProcess):
    """The server; it can be stopped and started again, on the same port and without tables"""

    def __init__(self) -> None:
        self.port = 0

    def __enter__(self) -> DynamoDbServer:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.port}'

    @property
    def options(self) -> dict[str, Any]:
        """Keywords for boto3 with the address of the server, and with long timeouts for a busy machine"""
        from botocore.config import Config

        patience = Config(connect_timeout=PATIENCE_SECONDS, read_timeout=PATIENCE_SECONDS)
        return {'endpoint_url': self.url, 'config': patience, **CREDENTIALS}

    def reset(self) -> None:
        """Drop all tables"""
        requests.post(f'{self.url}/moto-api/reset', timeout=PATIENCE_SECONDS).raise_for_status()

    def start(self) -> None:
        missing = [name for name in ('boto3', 'moto', 'flask', 'flask_cors') if find_spec(name) is None]
        if missing:
            pytest.skip(f'the DynamoDB server needs packages that are not installed: {", ".join(missing)}')
        with tempfile.TemporaryFile('w+') as errors:
            self.process = subprocess.Popen(
                [sys.executable, '-W', 'ignore', '-c', PROGRAM, str(self.port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            assert self.process.stdout
            line = self.process.stdout.readline()
            if not line.strip().isdigit():
                self.stop()
                errors.seek(0)
                pytest.fail(f'the DynamoDB server did not start: {errors.read()[-2000:]}')
        self.port = int(line)
        try:
            self._warm_up()
        except BaseException:
            self.stop()
            raise

    def _warm_up(self) -> None:
        """Make a first request, with which moto imports most of its modules"""
        import boto3

        client = boto3.client('dynamodb', **self.options)
        client.list_tables()
        client.close()
