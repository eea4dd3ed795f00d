"""Where a recording is, by a clock that the test turns."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from occpose_ros.view.playback import SPEEDS, Playback

DURATION_S = 10.0


@dataclass
class Clock:
    """Seconds that pass when somebody says so."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


def begun() -> tuple[Playback, Clock]:
    clock = Clock()
    return Playback(DURATION_S, clock), clock


def test_it_plays_at_the_speed_of_time() -> None:
    playback, clock = begun()
    clock.now_s += 3.0
    assert playback.playing and playback.tick() == pytest.approx(3.0)


def test_speed_counts_from_now_on() -> None:
    playback, clock = begun()
    clock.now_s += 2.0
    playback.set_speed(4.0)
    clock.now_s += 1.0
    assert playback.tick() == pytest.approx(6.0)


def test_paused_it_stays_and_goes_on_from_there() -> None:
    playback, clock = begun()
    clock.now_s += 2.0
    playback.pause()
    clock.now_s += 50.0
    assert not playback.playing and playback.tick() == pytest.approx(2.0)
    playback.play()
    clock.now_s += 1.0
    assert playback.tick() == pytest.approx(3.0)


def test_held_it_plays_on_from_there_as_if_no_time_had_passed() -> None:
    playback, clock = begun()
    clock.now_s += 2.0
    playback.tick()
    clock.now_s += 50.0
    playback.hold()
    clock.now_s += 1.0
    assert playback.playing and playback.tick() == pytest.approx(3.0)


def test_at_the_end_it_stops_and_plays_again_from_the_beginning() -> None:
    playback, clock = begun()
    clock.now_s += 11.0
    assert playback.tick() == DURATION_S and not playback.playing
    playback.play()
    assert playback.tick() == 0.0 and playback.playing


def test_repeated_it_never_stops() -> None:
    playback, clock = begun()
    playback.repeat = True
    clock.now_s += 11.0
    assert playback.tick() == 0.0 and playback.playing


@pytest.mark.parametrize("playing", [True, False], ids=["playing", "paused"])
def test_a_jump_changes_nothing_else(playing: bool) -> None:
    playback, clock = begun()
    if not playing:
        playback.pause()
    playback.seek(7.0)
    assert playback.tick() == 7.0 and playback.playing == playing


def test_a_recording_of_one_moment_can_be_played() -> None:
    playback = Playback(0.0, Clock())
    assert playback.tick() == 0.0 and not playback.playing
    playback.play()
    assert playback.tick() == 0.0


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("wait"), st.floats(0, 20)),
            st.tuples(st.just("seek"), st.floats(-5, 15)),
            st.tuples(st.just("set_speed"), st.sampled_from(SPEEDS)),
            st.tuples(st.sampled_from(["play", "pause"]), st.none()),
        )
    )
)
def test_it_never_leaves_the_recording(steps: list[tuple[str, float | None]]) -> None:
    playback, clock = begun()
    for what, value in steps:
        if what == "wait":
            assert value is not None
            clock.now_s += value
        else:
            getattr(playback, what)(*([] if value is None else [value]))
        assert 0.0 <= playback.tick() <= DURATION_S
