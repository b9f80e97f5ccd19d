"""An actor whose calls run on threads: max_concurrency > 1, concurrency groups, or a `_ray_system` group.  No order.

How many calls of each group run at a time is control's business: here every thread can run every call.  One thread at a
time is the *taker*: it alone waits for calls.  A call that may take long is run by the thread that took it, after it has
made another thread the taker.  A call of a method that is known to be short is run without that, because two
threads that pass one interpreter to and fro cost more than such a call; where one does take long, or blocks, a watching
thread makes another one the taker after half a millisecond.  The watcher sleeps while no such calls come.
"""

from __future__ import annotations

import inspect
import threading
import time
from typing import Any, Dict, List, Optional

from . import _calls, _core
from ._calls import Left

SHORT = 100e-6  # seconds, on the average
LOOK = 500e-6


def run(call: "_core.Call", instance: Any) -> None:
    """One call, from its arguments to its end.  Raises Left when the actor is to end."""
    items = None
    number = call.task
    _calls.running[number] = call
    try:
        function = _calls.methods.get(call.func) or _method(call)
        if function is None:
            return
        made = call.begin(function, instance, False)
        if made is None:
            return
        if call.flags & _calls.ITEMS or call.n_returns > 1 and inspect.isgenerator(made):
            items = _calls.Items(call)
            for item in made:
                items.take(item)
            if call.cancelled:
                call.finish(_core.E_CANCELLED)
                return
            items.end()
        else:
            call.give_all(made)
    except BaseException as exc:
        if items is None or not items.failed(exc):
            _calls.fail(call, exc)
            return
    finally:
        _calls.running.pop(number, None)
    call.finish(_core.OK)


def _method(call: "_core.Call") -> Any:
    """What the call names; None: it was taken back meanwhile, and is finished."""
    try:
        function = _calls.methods[call.func] = _calls.method_for(call)
        return function
    except BaseException:
        if call.start(False):
            raise
        call.finish(_core.E_CANCELLED)
        return None


class _Pool:
    def __init__(self, instance: Any, most: int):
        self.instance = instance
        self.most = most + 1  # threads: one that takes, beside those that run
        self.lock = threading.Lock()  # of those below that more than one step changes
        self.idle: "List[threading.Lock]" = []  # each thread waits at one of its own
        self.total = 0
        self.running = 0
        self.wanted = False  # there is no taker: the next idle thread is
        self.inline: "List[_core.Call]" = []  # the short call that the taker runs, a list each: who empties it decides
        self.short = 0  # how many of those there were
        self.means: "Dict[int, float]" = {}  # seconds, by function number
        self.leaving = False
        self.awake = False  # the watcher
        self.bell = threading.Event()
        self.over = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self.watch, name="actor-watch", daemon=True).start()
        self.pass_on()

    def pass_on(self) -> None:
        """Makes another thread the taker."""
        with self.lock:
            if self.idle:
                self.idle.pop().release()
                return
            if self.total >= self.most:
                self.wanted = True
                return
            self.total += 1
            number = self.total
        turn = threading.Lock()
        threading.Thread(target=self.life, args=(turn,), name=f"actor_{number}", daemon=True).start()

    def life(self, turn: threading.Lock) -> None:
        turn.acquire()
        try:
            while self.take():
                with self.lock:
                    if self.wanted:
                        self.wanted = False
                        continue
                    self.idle.append(turn)
                turn.acquire()
        except Left:
            self.over.set()

    def take(self) -> bool:
        """Takes calls while this thread is the taker.  False: the actor ends."""
        while True:
            call = _core.next_call(True)
            if call is None:
                raise Left
            if call.kind != _core.CALL_METHOD:
                if not self.told(call):
                    return False
                continue
            func = call.func
            mean = self.means.get(func, 1.0)
            began = time.perf_counter()
            if mean > SHORT:
                with self.lock:
                    self.running += 1
                self.pass_on()
                self.one(call)
                took = time.perf_counter() - began
                self.means[func] = took if mean == 1.0 else mean + (took - mean) / 8
                _core.batch_end()  # the taker looks for calls; this thread does not, and must leave nothing untold
                return True
            self.inline = mine = [call]
            self.short += 1
            if not self.awake:
                self.awake = True
                self.bell.set()
            try:
                run(call, self.instance)
            finally:
                stolen = not self.emptied(mine)
                if stolen:  # it was made one of those that run beside the taker
                    self.ended()
            self.means[func] = mean + (time.perf_counter() - began - mean) / 8
            if stolen:
                _core.batch_end()
                return True

    def one(self, call: "_core.Call") -> None:
        try:
            run(call, self.instance)
        finally:
            self.ended()

    @staticmethod
    def emptied(inline: "List[_core.Call]") -> bool:
        """Was it this thread that emptied it?"""
        try:
            inline.pop()  # one step of the interpreter
        except IndexError:
            return False
        return True

    def ended(self) -> None:
        with self.lock:
            self.running -= 1
            over = self.leaving and not self.running
        if over:
            self.over.set()

    def told(self, call: "_core.Call") -> bool:
        kind = call.kind
        if kind == _core.CALL_LEAVE:
            with self.lock:  # running calls are finished first
                self.leaving = True
                over = not self.running
            self.farewell = call
            if over:
                self.over.set()
            return False
        _calls.chore(call)
        return True

    def watch(self) -> None:
        while True:
            self.bell.wait()
            self.bell.clear()
            seen, before = None, -1
            while True:
                time.sleep(LOOK)
                mine = self.inline
                if not mine and self.short == before:
                    self.awake = False
                    if self.short == before:
                        break
                    self.awake = True  # one came in between, whose taker may have seen no need to ring
                if mine and mine is seen:
                    self.steal(mine)
                seen, before = mine, self.short

    def steal(self, inline: "List[_core.Call]") -> None:
        """The taker's call takes long: another thread is to take the next."""
        with self.lock:
            self.running += 1
        if self.emptied(inline):
            self.pass_on()
        else:
            self.ended()

    farewell: "Optional[_core.Call]" = None


def serve(instance: Any, threads: int) -> None:
    """Runs calls until told to leave; running ones are finished first."""
    pool = _Pool(instance, threads)
    pool.start()
    while not pool.over.is_set():
        try:
            pool.over.wait()
        except KeyboardInterrupt:
            continue  # an interrupt of nobody
    if pool.farewell is not None:
        pool.farewell.finish(_core.OK)
