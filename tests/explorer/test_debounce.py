"""Many asks in a moment are one call; without a loop every ask is one."""

from __future__ import annotations

import asyncio
import itertools
import logging

from sfnet_core.explorer.shared import debounce as module
from sfnet_core.explorer.shared.debounce import Debounced


def test_without_a_loop_it_is_called_at_once():
    calls = []
    soon = Debounced(lambda: calls.append(1))
    for n in range(1, 4):
        soon()
        assert len(calls) == n


def test_r21_many_asks_are_one_call_and_the_last_one_counts():
    seen, value = [], [0]

    async def story() -> None:
        soon = Debounced(lambda: seen.append(value[0]), wait=0.02)
        for n in range(5000):
            value[0] = n
            soon()
        assert seen == []
        await asyncio.sleep(0.1)
        assert seen == [4999]
        soon()
        soon.cancel()
        await asyncio.sleep(0.1)
        assert seen == [4999]
        value[0] = "again"
        soon()
        await asyncio.sleep(0.1)
        assert seen == [4999, "again"]

    asyncio.run(story())


def test_a_dear_function_waits_for_the_last_ask(monkeypatch):
    """Of one that took 100 s, by a clock of the test's own: each ask puts it off, and there is one timer."""
    clock = itertools.count(0, 100)
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    calls = []

    async def story() -> None:
        soon = Debounced(lambda: calls.append(1), wait=0.001)
        soon()
        await asyncio.sleep(0.05)
        assert calls == [1]
        timers = []
        for _ in range(3):
            soon()
            timers.append(soon._timer)
            await asyncio.sleep(0.005)
        assert calls == [1] and [timer.cancelled() for timer in timers] == [True, True, False]
        assert timers[0].when() < timers[1].when() < timers[2].when()
        assert timers[2].when() - asyncio.get_running_loop().time() > 150
        soon.cancel()
        assert timers[2].cancelled()

    asyncio.run(story())


def test_what_it_raises_is_logged_and_it_goes_on(caplog):
    calls = []

    def fails() -> None:
        calls.append(1)
        raise ZeroDivisionError("by zero")

    soon = Debounced(fails)
    with caplog.at_level(logging.WARNING):
        soon()
        soon()
    assert len(calls) == 2 and "by zero" in caplog.text
