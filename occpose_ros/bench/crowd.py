"""As many people as a measurement needs, who move as somebody in a recording does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from occpose_core.pipeline_config import PipelineConfig
from occpose_core.types import Keypoints2D
from occpose_ros.adapters import keypoints_from_occpose_msg
from occpose_ros.bag import BagError

_RECORDED_HZ = 30.0
# How often somebody present hides, and how often one leaves for another.
_HIDING_HZ = 0.3
_LEAVING_HZ = 0.5


def crowd(messages: Sequence[Any], people: int) -> list[Any]:
    """Keypoints2DArray messages, an image each, of so many people; the last image leads over to the first.

    messages: of a bag, with ids. Everybody repeats the longest stretch in which one person of the recording can be
    lifted in every image, there and back, each at another moment of it. Raises BagError if there is no such person.
    """
    first, there_and_back = _there_and_back(messages)
    period = len(there_and_back)
    starts = [person * period // people for person in range(people)]
    return [
        replace(
            first,
            people=[
                replace(there_and_back[(image + start) % period], id=str(person))
                for person, start in enumerate(starts, start=1)
            ],
        )
        for image in range(period)
    ]


@dataclass(kw_only=True)
class _PasserBy:
    """Somebody who walks as `walk` does, from its image `start` on and beside it; joints `hidden` until an image."""

    id: str
    walk: list[Any]
    start: int
    shift_px: float
    hidden: np.ndarray
    hidden_until: int = 0

    def seen(self, image: int, walked: int) -> Any:
        """Keypoints2D in some image, after so many images of the walk."""
        person = self.walk[(self.start + walked) % len(self.walk)]
        hidden = self.hidden & (image < self.hidden_until)
        xy = person.xy + np.resize(np.array([self.shift_px, 0.0], dtype=np.float32), person.xy.shape)
        return replace(person, id=self.id, xy=xy, score=np.where(hidden, np.float32(0), person.score))


def passers_by(messages: Sequence[Any], most: int, images: int, rate_hz: float, seed: int) -> Iterator[Any]:
    """Keypoints2DArray messages of people who come, go and hide: nobody at first, `most` in the middle, nobody at last.

    messages: as for `crowd`, of 30 Hz. One in five has no id. Everybody hides now and then for up to 2 s, a share of
    the joints or all of them, and now and then somebody leaves for somebody else. Raises BagError.
    """
    rng = np.random.default_rng(seed)
    first, walk = _there_and_back(messages)
    present: list[_PasserBy] = []
    ids = itertools.count(1)
    for image in range(images):
        wanted = round(most * (1 - np.cos(2 * np.pi * image / images)) / 2)
        while present and (len(present) > wanted or rng.random() < _LEAVING_HZ / rate_hz):
            present.pop(rng.integers(len(present)))
        while len(present) < wanted:
            present.append(
                _PasserBy(
                    id=str(next(ids)) if rng.random() < 0.8 else "",
                    walk=walk,
                    start=int(rng.integers(len(walk))),
                    shift_px=float(rng.uniform(-0.2, 0.2) * first.width),
                    hidden=np.zeros(len(walk[0].score), dtype=bool),
                )
            )
        for person in present:
            if image >= person.hidden_until and rng.random() < _HIDING_HZ / rate_hz:
                person.hidden_until = image + int(rng.uniform(0.1, 2.0) * rate_hz)
                person.hidden = rng.random(len(person.hidden)) < rng.choice([0.3, 0.6, 1.0])
        walked = int(image * _RECORDED_HZ / rate_hz)
        yield replace(first, people=[person.seen(image, walked) for person in present])


def _there_and_back(messages: Sequence[Any]) -> tuple[Any, list[Any]]:
    """The longest track, forwards and backwards: it can be repeated without a jump."""
    first, track = _longest_track(messages)
    return first, [*track, *track[-2:0:-1]]


def _longest_track(messages: Sequence[Any]) -> tuple[Any, list[Any]]:
    """The longest stretch of messages in which one person is always clearly seen: its first message, the person."""
    best: tuple[Any, list[Any]] = (None, [])
    tracks: dict[str, tuple[Any, list[Any]]] = {}
    for message in messages:
        seen = {person.id for person in keypoints_from_occpose_msg(message).people if person.id and _clear(person)}
        there = {person.id: person for person in message.people if person.id in seen}
        tracks = {name: tracks.get(name, (message, [])) for name in there}
        for name, person in there.items():
            tracks[name][1].append(person)
            best = max(best, tracks[name], key=lambda track: len(track[1]))
    if len(best[1]) < 2:
        raise BagError("the bag has nobody who has an id and can be lifted in two images running; choose another bag")
    return best


def _clear(person: Keypoints2D) -> bool:
    """Whether the pipeline, as it is set by default, lifts the person."""
    config = PipelineConfig()
    return bool((person.score >= config.min_score).sum() >= config.min_visible_joints)
