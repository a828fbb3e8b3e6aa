"""Draw `terminal.svg`, the picture of the README, from what commands really print

    python docs/_picture.py

The commands run in a terminal of their own, in an empty directory, with the extra `cli` installed.
"""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.dom import minidom

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

ROOT = Path(__file__).parents[1]
PICTURE = Path(__file__).with_name('terminal.svg')
COLUMNS = 112
# What is typed, and what runs
COMMANDS = {
    'python quickstart.py': [sys.executable, str(ROOT / 'examples' / 'quickstart.py')],
    'requests-cache list my_cache.sqlite --limit 3': [
        *(sys.executable, '-m', 'requests_cache', 'list', 'my_cache.sqlite'),
        *('--limit', '3'),
    ],
    "requests-cache explain my_cache.sqlite 'http://127.0.0.1:8765/pages/3?lang=de'": [
        *(
            sys.executable,
            '-m',
            'requests_cache',
            'explain',
            'my_cache.sqlite',
            'http://127.0.0.1:8765/pages/3?lang=de',
        ),
    ],
}
# As that of rich, without the fonts that it would load from another host
SVG_FORMAT = """<svg class="{unique_id}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>Ten slow pages are fetched once. After that, the cache answers in milliseconds.</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def output_of(command: list[str], directory: str) -> str:
    """What a command writes to a terminal"""
    ours, theirs = pty.openpty()
    env = {**os.environ, 'COLUMNS': str(COLUMNS), 'TERM': 'xterm-256color', 'PYTHONPATH': str(ROOT)}
    with subprocess.Popen(command, cwd=directory, env=env, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        written = b''
        try:
            while data := os.read(ours, 65536):
                written += data
        except OSError:  # how a terminal ends on Linux
            pass
    os.close(ours)
    if b'Traceback' in written:  # `explain` exits with 1 if the request would go to the network
        raise SystemExit(f'{command} failed:\n{written.decode()}')
    return written.decode().replace('\r\n', '\n').replace(os.path.realpath(directory), '~')


def draw() -> str:
    """The picture, as SVG"""
    console = Console(record=True, width=COLUMNS, force_terminal=True, file=io.StringIO())
    with tempfile.TemporaryDirectory() as directory:
        for typed, command in COMMANDS.items():
            console.print(Text.assemble(('$ ', 'bold green'), (typed, 'bold')))
            console.print(Text.from_ansi(output_of(command, directory).rstrip()))
            console.print()
    svg = console.export_svg(title='requests-cache', theme=DIMMED_MONOKAI, code_format=SVG_FORMAT, unique_id='terminal')
    minidom.parseString(svg)  # it is well-formed
    return svg


if __name__ == '__main__':
    PICTURE.write_text(draw(), 'utf-8')
    print(f'Written: {PICTURE}')
