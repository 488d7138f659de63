"""One member of a PySyncObj cluster; the one that leads can put load on itself.

Conditions that differ from the other systems', all in its favour: the caller is a thread inside the leader's process,
so no request and no answer crosses the network; no log is synced to disk (it lives in memory, PySyncObj's default);
and it looks for work every millisecond, not every 50.

Prints "leads" as soon as this member leads; then reads lines, each an object of ``outstanding``, ``size``,
``lengths`` and ``pids`` in JSON, and prints each one's figures.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from typing import Any

from bench.consensus.window import Lengths, Window, key

TICK_S = 0.001


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--own", required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--partner", action="append", default=[], metavar="ADDRESS:PORT")
    options = parser.parse_args()
    store = make_store(options.own, options.partner)
    threading.Thread(target=report, args=(store,), daemon=True).start()
    for line in sys.stdin:
        order = json.loads(line)
        window = Window(Lengths(**order["lengths"]), order["pids"])
        run(store, order["outstanding"], order["size"], window)
        print(json.dumps(window.figures()), flush=True)


def make_store(own: str, partners: list[str]) -> Any:
    from pysyncobj import SyncObj, SyncObjConf, replicated

    class Store(SyncObj):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            super().__init__(own, partners, SyncObjConf(autoTickPeriod=TICK_S, appendEntriesPeriod=TICK_S))
            self.pairs: dict[bytes, bytes] = {}

        @replicated  # type: ignore[misc,unused-ignore,untyped-decorator]
        def put(self, name: bytes, value: bytes) -> None:
            self.pairs[name] = value

    return Store()


def report(store: Any) -> None:
    while not store._isLeader():
        time.sleep(0.05)
    print("leads", flush=True)


def run(store: Any, outstanding: int, size: int, window: Window) -> None:
    """Keep so many puts outstanding; each one's callback begins the next."""
    value, lock, done = bytes(size), threading.Lock(), threading.Semaphore(0)
    number = 0

    def begin() -> None:
        nonlocal number
        if not window.open():
            done.release()
            return
        with lock:
            number += 1
        began = time.monotonic()

        def answered(_result: Any, error: Any) -> None:
            if not error:
                window.answered(time.monotonic() - began)
            begin()

        store.put(key(number, size), value, callback=answered)

    for _ in range(outstanding):
        begin()
    for _ in range(outstanding):
        done.acquire()


if __name__ == "__main__":
    main()
