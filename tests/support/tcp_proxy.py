"""A TCP proxy that can cut off replies and connections

with TcpProxy(server.port) as proxy:
    client = Redis(port=proxy.port)
    proxy.cut_after = 10        # forward only 10 bytes of the replies on each connection
"""

from __future__ import annotations

import socket
import ssl
import threading

HOST = '127.0.0.1'
PATIENCE_SECONDS = 30


class TcpProxy:
    """Forwards bytes between its clients and a server

    Args:
        target: Port of the server
        context: Accepts TLS connections with this context, and forwards the decrypted bytes
    """

    def __init__(self, target: int, context: ssl.SSLContext | None = None):
        self.target = target
        self.context = context
        self.cut_after: int | None = None
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> TcpProxy:
        self._start(self._accept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        listener, self._listener = self._listener, None  # type: ignore[assignment]
        socket.create_connection((HOST, self.port)).close()  # wakes the thread that accepts connections
        self.drop_connections()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        listener.close()

    def drop_connections(self) -> None:
        """End all connections, but accept new ones"""
        with self._lock:
            for connection in self._open:
                _shut(connection)

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        listener = self._listener
        while True:
            client, _ = listener.accept()
            if self._listener is not listener:
                client.close()
                return
            self.connections += 1
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            with self._kept(client), client:
                if self.context is not None:
                    client = self.context.wrap_socket(client, server_side=True)
                with client, socket.create_connection((HOST, self.target)) as server, self._kept(server):
                    upwards = threading.Thread(target=_pump, args=(client, server), daemon=True)
                    upwards.start()
                    self._pass_replies(server, client)
                    _shut(client)
                    _shut(server)
                    upwards.join(PATIENCE_SECONDS)
        except OSError:
            pass  # the other side has closed the connection first

    def _pass_replies(self, server: socket.socket, client: socket.socket) -> None:
        passed = 0
        while data := server.recv(65_536):
            limit = self.cut_after
            client.sendall(data if limit is None else data[: max(limit - passed, 0)])
            passed += len(data)
            if limit is not None and passed >= limit:
                return

    def _kept(self, connection: socket.socket) -> _Kept:
        return _Kept(connection, self._open, self._lock)


class _Kept:
    """Keeps a connection in the set of open ones until the end of the block"""

    def __init__(self, connection: socket.socket, kept: set[socket.socket], lock: threading.Lock):
        self.connection, self.kept, self.lock = connection, kept, lock

    def __enter__(self) -> None:
        with self.lock:
            self.kept.add(self.connection)

    def __exit__(self, *exc_info: object) -> None:
        with self.lock:
            self.kept.discard(self.connection)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
    except OSError:
        pass
    _shut(target)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
