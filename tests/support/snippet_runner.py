"""Runs the snippets of a page, one after the other, with the packages that this interpreter has

    python snippet_runner.py PORT

Each line of input is a JSON object with the `code` and the `name` of a snippet. Each line of output is a JSON string
with what the snippet has printed. All snippets share one namespace. Every host name resolves to PORT on loopback.
"""

from __future__ import annotations

import io
import json
import socket
import sys
from contextlib import redirect_stdout


def lead_all_hosts_to(port: int) -> None:
    """Let `socket.getaddrinfo()` return the same address for all host names"""
    found = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, '', ('127.0.0.1', port))]
    socket.getaddrinfo = lambda *args, **kwargs: found


def main() -> None:
    del sys.path[0]  # the directory of this file, so that snippets cannot import its modules
    lead_all_hosts_to(int(sys.argv[1]))
    names: dict[str, object] = {'__name__': '__main__'}
    for line in sys.stdin:
        snippet = json.loads(line)
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(snippet['code'], snippet['name'], 'exec'), names)
        print(json.dumps(printed.getvalue()), flush=True)


if __name__ == '__main__':
    main()
