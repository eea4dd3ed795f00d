"""As many people as a measurement needs, who move as somebody in a recording does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from occpose_core.pipeline_config import PipelineConfig
from occpose_core.types import Keypoints2D
from occpose_ros.adapters import keypoints_from_occpose_msg
from occpose_ros.bag import BagError


def crowd(messages: Sequence[Any], people: int) -> list[Any]:
    """Keypoints2DArray messages, an image each, of so many people; the last image leads over to the first.

    messages: of a bag, with ids. Everybody repeats the longest stretch in which one person of the recording can be
    lifted in every image, there and back, each at another moment of it. Raises BagError if there is no such person.
    """
    first, track = _longest_track(messages)
    there_and_back = [*track, *track[-2:0:-1]]
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
