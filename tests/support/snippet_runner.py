"""Runs the snippets of a page, one after the other, with whatever this interpreter has installed

    python snippet_runner.py PORT

Each line of input is a JSON object with the `code` of a snippet and its `name`; each line of output has as JSON what
the snippet printed. All snippets share their names. Every host name leads to PORT on loopback.
"""

from __future__ import annotations

import io
import json
import socket
import sys
from contextlib import redirect_stdout


def lead_all_hosts_to(port: int) -> None:
    """Have `socket.getaddrinfo()` give one address for all names, for every HTTP client there is"""
    found = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, '', ('127.0.0.1', port))]
    socket.getaddrinfo = lambda *args, **kwargs: found


def main() -> None:
    del sys.path[0]  # the directory of this file, whose modules are none of the snippets' business
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
