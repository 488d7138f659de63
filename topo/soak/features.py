"""The switches' features are taken away and put back under way, as `switchraft feature off` and `on` do it."""

from __future__ import annotations

import threading
import time
from random import Random

from controller.network import FEATURES
from topo.errors import LabError
from topo.lab.running_lab import Live
from topo.soak.history import Recorder, Switched
from topo.views import features

HOLD_S = (0.02, 0.25)
"""For so long, least and most, a feature stays away, and so long it takes until the next one goes."""
RETRY_S = 0.2
PATIENCE_S = 60.0
"""A controller that was killed is started again much sooner."""


class Toggler:
    """Takes one feature after the other away and puts it back, each ``wanted`` times, in a thread of its own; every
    other time at one switch only."""

    def __init__(self, live: Live, wanted: int, seed: int, recorder: Recorder) -> None:
        self._wanted, self._recorder = wanted, recorder
        self._random = Random(f"soak/{seed}/features")
        self._switches = [switch.name for switch in live.topology.switches]
        self._ending = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="features")
        self.done = False
        """Whether each has come and gone as often as was wanted."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Leave off once the feature that is away is back."""
        self._ending.set()
        self._thread.join()

    def check(self) -> None:
        """Raises LabError if features cannot be switched any more."""
        if self._failure is not None:
            raise LabError(f"the features cannot be switched: {self._failure}") from self._failure

    def _run(self) -> None:
        try:
            for number in range(self._wanted):
                for name in self._random.sample(FEATURES, len(FEATURES)):
                    where = self._random.choice(self._switches) if number % 2 else None
                    for on in (False, True):
                        self._switch(Switched(name, on, where or "", time.monotonic_ns()))
                        if self._ending.wait(self._random.uniform(*HOLD_S)) and on:
                            return
            self.done = True
        except Exception as error:
            self._failure = error

    def _switch(self, switched: Switched) -> None:
        """Ask until the controller has done it. Raises LabError if it does not come back."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                features.changed(switched.feature, switched.on, switched.switch or None)
            except LabError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_S)
            else:
                self._recorder.switched(switched)
                return
