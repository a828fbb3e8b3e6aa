"""What a storage must do when it is used from several places: other storages, threads, processes"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest

from ..values import facts, make_response
from .base import Contract

THREADS = 8


class SharingRules(Contract):
    """A store may be used by several storages, threads and processes at once"""

    def test_writes_are_seen_by_others(self, storage: Any, another: Callable[..., Any]) -> None:
        """What one storage writes or deletes, another one on the same place sees at once"""
        other = another()
        storage['key'] = make_response(1)
        assert facts(other['key']) == facts(make_response(1))
        other['key'] = make_response(2)
        assert facts(storage['key']) == facts(make_response(2))
        del storage['key']
        assert 'key' not in other
        other['a'] = make_response(3)
        other['b'] = make_response(4)
        assert sorted(storage) == ['a', 'b']
        assert storage.bulk_delete(['a']) == 1
        assert other.bulk_delete(['a', 'b']) == 1
        assert len(storage) == len(other) == 0

    def test_entries_outlive_a_closed_storage(self, storage: Any, another: Callable[..., Any]) -> None:
        """A storage that is opened later has the entries of one that was closed"""
        self.needs('persistence')
        storage['key'] = make_response(1)
        storage.close()
        assert facts(another()['key']) == facts(make_response(1))

    def test_a_closed_storage_opens_again(self, storage: Any) -> None:
        """`close()` may be called twice; a later use opens the storage again"""
        storage['key'] = make_response(1)
        storage.close()
        storage.close()
        if self.has('persistence'):
            assert facts(storage['key']) == facts(make_response(1))
            assert list(storage) == ['key']
        storage['key'] = make_response(2)
        assert facts(storage['key']) == facts(make_response(2))

    def test_threads_lose_nothing(self, storage: Any, redirects: Any) -> None:
        """Threads that use one storage find all that they wrote"""
        self.needs('threads')

        def work(thread: int) -> None:
            barrier.wait()
            for i in range(10):
                key = f'{thread} {i}'
                storage[key] = make_response(i)
                redirects[key] = str(i)
                assert storage[key].content == make_response(i).content
                assert redirects[key] == str(i)
                storage['shared'] = make_response(thread)
                assert storage['shared'].status_code == 200
            assert storage.bulk_delete([f'{thread} 0', f'{thread} 1', 'missing']) == 2

        barrier = Barrier(THREADS)
        run_in_threads(work)
        expected = {f'{t} {i}' for t in range(THREADS) for i in range(2, 10)}
        assert set(storage) == expected | {'shared'}
        assert len(storage) == len(expected) + 1
        assert {k for k, v in storage.scan() if v is not None} == expected | {'shared'}
        assert len(redirects) == THREADS * 10

    def test_threads_with_storages_of_their_own(self, another: Callable[..., Any]) -> None:
        """So do threads with a storage each"""
        self.needs('threads')

        def work(thread: int) -> None:
            barrier.wait()
            for i in range(5):
                storages[thread][f'{thread} {i}'] = make_response(i)
            assert storages[thread][f'{thread} 4'].content == make_response(4).content

        storages = [another() for _ in range(THREADS)]
        barrier = Barrier(THREADS)
        run_in_threads(work)
        assert set(another()) == {f'{t} {i}' for t in range(THREADS) for i in range(5)}

    def test_only_one_thread_deletes_an_entry(self, storage: Any) -> None:
        """If several threads delete an entry, `bulk_delete()` counts it for one of them"""
        self.needs('threads')

        def work(thread: int) -> int:
            barrier.wait()
            return int(storage.bulk_delete(['key']))

        for _ in range(5):
            storage['key'] = make_response(1)
            barrier = Barrier(THREADS)
            assert sum(run_in_threads(work)) == 1

    def test_readers_see_whole_entries(self, storage: Any, another: Callable[..., Any]) -> None:
        """Readers get the old entry or the new one, and never none or half of each"""
        self.needs('threads')

        def read(mapping: Any) -> None:
            ready.wait()
            while not done.is_set():
                assert mapping['key'].content in contents

        ready, done = Event(), Event()
        contents = (b'short', b'long ' * 20_000)
        storage['key'] = make_response(content=contents[0])
        reader = another()
        with ThreadPoolExecutor(3) as pool:
            reading = [pool.submit(read, m) for m in (reader, reader, storage)]
            ready.set()
            try:
                for i in range(40):
                    storage['key'] = make_response(content=contents[i % 2])
            finally:
                done.set()
            for future in reading:
                future.result()

    def test_iterating_in_one_thread_and_writing_in_another(self, redirects: Any) -> None:
        """A thread that iterates sees all entries that stay, whatever others write and delete"""
        self.needs('threads', 'writing while iterating')
        self.fill(redirects, {f'kept {i}': 'kept' for i in range(50)})

        def work(thread: int) -> None:
            barrier.wait()
            for i in range(10):
                if thread % 2:
                    redirects[f'{thread} {i}'] = 'added'
                    del redirects[f'{thread} {i}']
                else:
                    assert sum(k.startswith('kept') for k in redirects) == 50
                    assert sum(v == 'kept' for _, v in redirects.scan()) == 50

        barrier = Barrier(THREADS)
        run_in_threads(work)
        assert len(redirects) == 50

    def test_a_forked_child(self, storage: Any, redirects: Any) -> None:
        """A child reads what its parent wrote, and closes its storage without harm to that of its parent"""
        self.needs('forking')
        if not hasattr(os, 'fork'):
            pytest.skip('this system does not fork')
        storage['before'] = make_response(1)
        redirects['before'] = 'a'

        def child() -> None:
            assert facts(storage['before']) == facts(make_response(1))
            assert redirects['before'] == 'a'
            if self.has('sharing', 'persistence'):
                storage['child'] = make_response(2)
                redirects['child'] = 'b'
            storage.close()
            redirects.close()

        run_in_child(child)
        storage['after'] = make_response(3)
        written = {'after', 'before', 'child'} if self.has('sharing', 'persistence') else {'after', 'before'}
        assert set(storage) == written
        assert redirects['before'] == 'a'

    def test_a_child_forked_while_iterating(self, redirects: Any) -> None:
        """Parent and child each go on with an iteration that was begun before the fork"""
        self.needs('forking')
        if not hasattr(os, 'fork'):
            pytest.skip('this system does not fork')
        entries = {f'key {i}': str(i) for i in range(20)}
        self.fill(redirects, entries)
        iterator = iter(redirects)
        first = next(iterator)
        run_in_child(lambda: _assert_equal(dict(redirects.items()), entries))
        assert sorted([first, *iterator]) == sorted(entries)


def _assert_equal(one: Any, other: Any) -> None:
    assert one == other


def run_in_threads(work: Callable[[int], Any], threads: int = THREADS) -> list[Any]:
    """Call `work` with 0, 1, … in a thread each; what they return, or the first exception that one of them raised"""
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, i) for i in range(threads)]
    return [future.result() for future in futures]


def start_child(work: Callable[[], Any]) -> int:
    """Call `work` in a forked child; returns its process ID. The exit status is 1 if `work` fails."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = -1
    if sys.platform != 'win32':
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return pid


def run_in_child(work: Callable[[], Any]) -> None:
    """Call `work` in a forked child, which must not fail"""
    pid = start_child(work)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, 'the child failed; its traceback is on stderr'
