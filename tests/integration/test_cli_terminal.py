"""Commands in a terminal, and how they end: colours, progress, questions, Ctrl-C, pipes, completion"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import COMMAND, environment, run, run_in_terminal, succeed
from support.stored import make_cache, pages, response_to

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='there are no such terminals')

ESCAPE = '\x1b'
COLOUR = re.compile(r'\x1b\[[0-9;]*m')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / 'pages.sqlite'
    make_cache(path)
    return path


def test_a_list_in_a_terminal_is_coloured_and_as_wide_as_that(path: Path) -> None:
    make_cache(path, response_to('https://api.example.com/' + 'long/' * 50))
    done = run_in_terminal('list', path, columns=90)
    assert done.status == 0
    assert COLOUR.search(done.out)
    rows = COLOUR.sub('', done.out).splitlines()
    assert len(rows) == 8
    assert max(map(len, rows)) == 90
    assert sum(row.endswith('…') for row in rows) == 1
    assert run('list', path).out.count('…') == 0


@pytest.mark.parametrize('env', [{'NO_COLOR': '1'}, {'TERM': 'dumb'}])
def test_colours_can_be_done_without(path: Path, env: dict[str, str]) -> None:
    assert ESCAPE not in run_in_terminal('list', path, env=env).out


def test_stored_text_does_nothing_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / 'hostile.sqlite'
    (key,) = make_cache(path, response_to('https://x.example.com/\x1b[2J[red]', content=b'\x1b]0;t\x07[bold]\n'))
    for arguments in (['list', path], ['show', path, key], ['show', path, key, '--body']):
        out = COLOUR.sub('', run_in_terminal(*arguments, columns=200).out)
        assert ESCAPE not in out
    assert out == '\\x1b]0;t\\x07[bold]\r\n'


def test_bytes_are_not_written_to_a_terminal(path: Path) -> None:
    done = run_in_terminal('show', path, 'https://www.example.com/logo.png', '--body')
    assert done.status == 2
    assert '-o FILE, or to a pipe' in done.out
    assert '\0' not in done.out


def test_progress_is_shown_in_a_terminal_and_not_in_a_pipe(path: Path) -> None:
    done = run_in_terminal('verify', path)
    assert done.status == 0
    assert 'Reading' in done.out
    assert '100%' in done.out
    assert COLOUR.sub('', done.out).rstrip().endswith('6 of 6 entries are intact.')
    assert 'Reading' not in ''.join(succeed('verify', path)[1:])
    assert '%' not in run_in_terminal('verify', path, env={'TERM': 'dumb'}).out


def test_a_question_is_answered_at_the_keyboard(path: Path) -> None:
    done = run_in_terminal('delete', path, '--status', '404', at='[y/N]', send='y\n')
    assert done.status == 0
    assert '1 entry removed' in done.out
    assert run_in_terminal('delete', path, '--all', at='[y/N]', send='n\n').status == 1
    assert succeed('info', path, '--json').json['entries'] == 5


def test_ctrl_c_ends_quietly_with_status_130(path: Path) -> None:
    done = run_in_terminal('delete', path, '--all', at='[y/N]', send=signal.SIGINT)
    assert done.status == 130
    assert 'Traceback' not in done.out
    assert succeed('info', path, '--json').json['entries'] == 6


def test_ctrl_c_while_something_is_done(tmp_path: Path) -> None:
    path = tmp_path / 'many.sqlite'
    make_cache(path, *(response_to(f'https://a.example.com/{n}', content=pages()[5].content) for n in range(40)))
    done = run_in_terminal('copy', path, tmp_path / 'files/', at='Copying', send=signal.SIGINT)
    assert done.status == 130
    assert 'Traceback' not in done.out
    assert succeed('verify', path).status == 0


@pytest.mark.parametrize('options', [[], ['--json'], ['--sort', 'url']])
def test_who_reads_no_further_is_no_failure(path: Path, options: list[str]) -> None:
    make_cache(path, *(response_to(f'https://a.example.com/{n}' + 'x' * 2000) for n in range(200)))
    writer = subprocess.Popen(
        [*COMMAND, 'list', str(path), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(None),
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    with writer:
        writer.stdout.readline()
        writer.stdout.close()
        assert writer.stderr.read() == b''
    assert writer.returncode == 141


def complete(words: str) -> list[str]:
    """What the shell is given to complete the last word, through the program that pip makes of the entry point"""
    code = "import sys; sys.argv[0] = 'requests-cache'; from requests_cache.cli import main; main()"
    variables = {
        'COMP_WORDS': words,
        'COMP_CWORD': str(len(words.split(' ')) - 1),
        '_REQUESTS_CACHE_COMPLETE': 'bash_complete',
    }
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=environment(variables))
    assert done.stderr == ''
    return done.stdout.split()


def test_shells_complete_commands_options_and_values() -> None:
    assert complete('requests-cache p') == ['plain,prune']
    assert complete('requests-cache list --so') == ['plain,--sort']
    assert complete('requests-cache list cache --sort s') == ['plain,size']
    assert complete('requests-cache info my_ca') == ['file,my_ca']


@pytest.mark.parametrize('shell', ['bash', 'zsh', 'fish'])
def test_there_is_a_script_for_each_shell(shell: str) -> None:
    if shell == 'bash' and not _has_recent_bash():
        pytest.skip('there is no bash of version 4.4 or later here')
    done = succeed(env={'_REQUESTS_CACHE_COMPLETE': f'{shell}_source'})
    assert '_REQUESTS_CACHE_COMPLETE' in done.out
    assert 'requests-cache' in done.out


def _has_recent_bash() -> bool:
    try:
        text = subprocess.run(['bash', '--version'], capture_output=True, text=True).stdout
    except FileNotFoundError:
        return False
    version = re.search(r'version (\d+)\.(\d+)', text)
    return version is not None and (int(version[1]), int(version[2])) >= (4, 4)
