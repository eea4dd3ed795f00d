"""Where in a recording a viewer is: play, pause, speed, seek."""

from __future__ import annotations

import time
from collections.abc import Callable

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


class Playback:
    """A position in seconds between 0 and duration_s, which moves with the clock while `playing`.

    At the end it stops, or begins again if `repeat` is set. clock: seconds that only go forward.
    """

    def __init__(self, duration_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.duration_s = duration_s
        self.repeat = False
        self._clock = clock
        self._speed = 1.0
        self._playing = True
        self._position_s, self._since_s = 0.0, clock()

    @property
    def playing(self) -> bool:
        """Whether time goes on."""
        return self._playing

    @property
    def speed(self) -> float:
        """Seconds of the recording in a second."""
        return self._speed

    def tick(self) -> float:
        """The position now."""
        now_s = self._clock()
        if self._playing:
            self._position_s += self._speed * (now_s - self._since_s)
        self._since_s = now_s
        if self._position_s >= self.duration_s:
            self._playing &= self.repeat
            self._position_s = 0.0 if self._playing else self.duration_s
        return self._position_s

    def hold(self) -> None:
        """Let the time since the last tick not count: it goes on from where it is."""
        self._since_s = self._clock()

    def play(self) -> None:
        """Go on, from the beginning if this is the end."""
        if self.tick() >= self.duration_s:
            self._position_s = 0.0
        self._playing = True

    def pause(self) -> None:
        """Stop here."""
        self.tick()
        self._playing = False

    def set_speed(self, speed: float) -> None:
        """Go on at another speed."""
        self.tick()
        self._speed = speed

    def seek(self, position_s: float) -> None:
        """Go there, and play on if that is what it did."""
        self.tick()
        self._position_s = min(max(position_s, 0.0), self.duration_s)
