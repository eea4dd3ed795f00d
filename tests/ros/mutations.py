"""Broken keypoints messages and CameraInfo, drawn with a seed: what a faulty detector or driver may send."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
from rosbags.serde import SerdeError

from occpose_core.skeleton import SKELETONS
from occpose_ros.message_types import MessageTypes
from tests.ros.families import World
from tests.ros.people import FRAME_ID, HEIGHT, WIDTH, camera, camera_info_msg, keypoints, person_msg

FRAME_NS = 33_333_333
UINT32_MAX, INT32_MAX, INT32_MIN = 2**32 - 1, 2**31 - 1, -(2**31)
_NUMBERS = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-45, 0.5, 87.0, 3e38, 1e300)
_WHOLE = (-1, 0, 1, 17, 18, 127, -128, 255, 32767, INT32_MAX, INT32_MIN, UINT32_MAX)
_STRINGS = ("", "zzz", "/", "coco17 ", "h36m17", "x" * 100_000, "\N{GREEK SMALL LETTER ALPHA}\N{PILE OF POO}", "\n\t",
            "7", "-1", "t1", "2147483648", "None")  # fmt: skip


@dataclass(kw_only=True)
class Draft:
    """What a Keypoints2DArray will hold: people as [id, xy (J, 2), score (J,)], of any shape, and the rest."""

    people: list[list[Any]]
    sec: int
    nanosec: int
    layout: str = "coco17"
    frame_id: str = FRAME_ID
    size: tuple[int, int] = (WIDTH, HEIGHT)
    mutations: list[str] = field(default_factory=list)

    def message(self, types: MessageTypes) -> Any:
        """The message; a person who is in it many times is made once."""
        made: dict[int, Any] = {}
        with np.errstate(over="ignore"):
            for person in self.people:
                if id(person) not in made:
                    name, xy, score = person
                    made[id(person)] = person_msg(types, name, np.asarray(xy), np.asarray(score))
        people = [made[id(person)] for person in self.people]
        stamp = types.Time(sec=self.sec, nanosec=self.nanosec)
        header = types.Header(stamp=stamp, frame_id=self.frame_id)
        return types.Keypoints2DArray(
            header=header, layout=self.layout, width=self.size[0], height=self.size[1], people=people
        )


def good(stamp_ns: int, people: int = 1, x_m: float = 0.0) -> Draft:
    """Some people side by side, of whom nothing is wrong."""
    sec, nanosec = divmod(stamp_ns, 10**9)
    crowd = [[str(7 + number), *keypoints(x_m + 0.5 * number)] for number in range(people)]
    return Draft(people=crowd, sec=sec, nanosec=nanosec)


Rng = np.random.Generator


def _some(draft: Draft, rng: Rng) -> list[Any]:
    return draft.people[rng.integers(len(draft.people))]


def _put(of: int, *values: float) -> Callable[[Draft, Rng], None]:
    """Write one of the values over a random share of somebody's coordinates (of 1) or scores (of 2)."""

    def put(draft: Draft, rng: Rng) -> None:
        person = _some(draft, rng)
        numbers = np.array(person[of], dtype=np.float32)
        numbers[rng.random(numbers.shape) < rng.random()] = rng.choice(values)
        person[of] = numbers

    return put


def _random_bits(draft: Draft, rng: Rng) -> None:
    person = _some(draft, rng)
    for of in (1, 2):  # every float32 that there is, NaN with payloads among them
        person[of] = rng.integers(0, 2**32, np.shape(person[of]), dtype=np.uint32).view(np.float32)


def _lengths(draft: Draft, rng: Rng) -> None:
    person = _some(draft, rng)
    person[1], person[2] = (np.resize(person[of], rng.choice([0, 1, 16, 17, 18, 33, 34, 35, 99])) for of in (1, 2))


def _huge_arrays(draft: Draft, rng: Rng) -> None:
    person = _some(draft, rng)
    person[1 + rng.integers(2)] = rng.random(20_000)


def _crowd(draft: Draft, rng: Rng) -> None:
    _, *seen = draft.people[0]
    draft.people = [[str(number), *seen] for number in range(rng.choice([2, 21, 50]))]


def _too_many_people(draft: Draft, rng: Rng) -> None:
    draft.people = draft.people[:1] * int(rng.choice([1001, 3000]))


def _reverse(draft: Draft, rng: Rng) -> None:
    person = _some(draft, rng)
    person[1] = np.asarray(person[1]).reshape(-1)[::-1].copy()


def _duplicate(draft: Draft, rng: Rng) -> None:
    draft.people += [list(person) for person in draft.people * int(rng.integers(1, 4))]


def _one(values: Sequence[Any], rng: Rng) -> Any:
    """One of the values as it is; rng.choice would make an array of them."""
    return values[rng.integers(len(values))]


def _ids(draft: Draft, rng: Rng) -> None:
    for person in draft.people:
        person[0] = _one(_STRINGS, rng)


def _layout(draft: Draft, rng: Rng) -> None:
    draft.layout = _one([*_STRINGS, *SKELETONS], rng)


def _frame(draft: Draft, rng: Rng) -> None:
    draft.frame_id = _one([*_STRINGS, f"/{FRAME_ID}", f"{FRAME_ID}2"], rng)


def _size(draft: Draft, rng: Rng) -> None:
    draft.size = tuple(int(x) for x in rng.choice([0, 1, 17, HEIGHT, WIDTH, 2 * WIDTH, UINT32_MAX], 2))


def _stamp(draft: Draft, rng: Rng) -> None:
    """Backwards, ahead, none, and what builtin_interfaces/Time can hold but no clock says."""
    sec = draft.sec
    secs = np.clip([sec, sec - 1, sec - 10, sec + 10, 0, -1, INT32_MAX, INT32_MIN], INT32_MIN, INT32_MAX)
    draft.sec = int(rng.choice(secs))
    before = (draft.nanosec - FRAME_NS) % 10**9
    draft.nanosec = int(rng.choice([draft.nanosec, before, 0, 1, 10**9 - 1, 10**9, UINT32_MAX]))


MUTATIONS: dict[str, Callable[[Draft, Rng], None]] = {
    "coordinates NaN or infinite": _put(1, np.nan, np.inf, -np.inf),
    "coordinates huge": _put(1, 3e38, -3e38, 1e7, 1e-45),
    "coordinates zero or outside": _put(1, 0.0, -1.0, -500.0, 5000.0),
    "scores NaN or infinite": _put(2, np.nan, np.inf, -np.inf),
    "scores out of range": _put(2, -3.0, 87.0, 3e38, 1.0000001),
    "scores zero": _put(2, 0.0),
    "random bits": _random_bits,
    "wrong lengths": _lengths,
    "huge arrays": _huge_arrays,
    "numbers reversed": _reverse,
    "a crowd": _crowd,
    "too many people": _too_many_people,
    "people twice": _duplicate,
    "strange ids": _ids,
    "strange layout": _layout,
    "strange frame": _frame,
    "strange size": _size,
    "strange stamp": _stamp,
}
# the costly ones are rare
_WEIGHTS = np.array([0.1 if name in ("too many people", "huge arrays", "a crowd") else 1.0 for name in MUTATIONS])


def mutate(draft: Draft, rng: Rng, names: list[str] | None = None) -> Draft:
    """Break a draft in one to three ways, or in those named; returns it."""
    count = min(1 + rng.geometric(0.6), 3)
    chosen = names if names is not None else rng.choice(list(MUTATIONS), count, p=_WEIGHTS / _WEIGHTS.sum())
    for name in chosen:
        MUTATIONS[str(name)](draft, rng)
        draft.mutations.append(str(name))
    return draft


def mutated_camera_info(types: MessageTypes, rng: Rng) -> Any:
    """A CameraInfo some of whose values make no sense."""
    wrong = np.array([np.nan, np.inf, 0.0, -1000.0, 1e-300, 1e300, 640.0])
    k = np.where(rng.random(9) < 0.3, rng.choice(wrong, 9), camera().K.ravel())
    edge = [0, 1, 7, HEIGHT, WIDTH, UINT32_MAX]
    return camera_info_msg(
        types,
        k=k if rng.random() < 0.5 else camera().K.ravel(),
        d=rng.choice([*wrong, 0.1], rng.choice([0, 0, 1, 4, 5, 8, 12, 14, 1000])),
        distortion_model=str(rng.choice(["", "plumb_bob", "rational_polynomial", "equidistant", "fisheye", "magic"])),
        size=tuple(int(x) for x in rng.choice(edge, 2)) if rng.random() < 0.5 else (WIDTH, HEIGHT),
        binning=tuple(int(x) for x in rng.choice(edge, 2)) if rng.random() < 0.3 else (0, 0),
        roi=tuple(int(x) for x in rng.choice(edge, 4)) if rng.random() < 0.3 else (0, 0, 0, 0),
        frame_id=str(rng.choice([FRAME_ID, FRAME_ID, "", "/", "other"])),
    )


class Saboteur(World):
    """A world in which messages of any family are broken on their journey: some of their values are others."""

    def __init__(self, rng: Rng) -> None:
        super().__init__("rosbags")
        self._rng = rng

    def sent(self, name: str, msg: Any) -> Any:
        """See World.sent; what cannot be packed, like a number that its type cannot hold, does not travel."""
        whole = super().sent(name, msg)
        for _ in range(self._rng.integers(1, 20)):
            self._spoil(msg)
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                return super().sent(name, msg)
        except (AssertionError, OverflowError, SerdeError, TypeError, ValueError, struct.error):
            return whole

    def _spoil(self, msg: Any) -> None:
        """Change one value, somewhere below a message."""
        name = _one([field.name for field in fields(msg)], self._rng)
        value = getattr(msg, name)
        if is_dataclass(value):
            self._spoil(value)
        elif isinstance(value, list) and value and is_dataclass(value[0]) and self._rng.random() < 0.8:
            self._spoil(_one(value, self._rng))
        else:
            object.__setattr__(msg, name, self._other(value))

    def _other(self, value: Any) -> Any:
        rng = self._rng
        if isinstance(value, list):
            return [_one(value, rng) for _ in range(rng.integers(0, 2 * len(value) + 1))] if value else value
        if isinstance(value, np.ndarray):
            with np.errstate(over="ignore", invalid="ignore"):
                others = rng.choice(_NUMBERS, value.shape).astype(value.dtype)
            return np.where(rng.random(value.shape) < 0.5, others, value)
        if isinstance(value, str):
            return _one(_STRINGS, rng)
        if isinstance(value, bool):
            return not value
        return type(value)(rng.choice(_WHOLE if isinstance(value, int) else _NUMBERS))
