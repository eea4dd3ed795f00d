"""Keypoint layouts, and conversion between them by joint name.

Joint numbers live in this file only; everybody else derives them from names. `h36m17` is the layout of all models
(Human3.6M, "VideoPose3D order"). A joint that the source layout does not have is masked, never invented; a virtual
joint (pelvis = mid-hips, thorax = mid-shoulders) is the mean of real ones and as trustworthy as the worst of them.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from occpose_core.errors import OccposeError

CENTRE, LEFT, RIGHT = 0, 1, 2

# Chains from the pelvis outward: the parent of a joint is the nearest one before it that its layout has.
_TRUNK = "pelvis naval_spine spine_1 spine spine_2 chest_spine spine_3 thorax neck"
_FACE = f"{_TRUNK} head nose"
_ARM = f"{_TRUNK} clavicle shoulder elbow wrist"
_LEG = "pelvis hip knee ankle"
_CHAINS = tuple(
    tuple(chain.split())
    for chain in (
        f"{_FACE} head_top",
        f"{_FACE} mouth",
        f"{_FACE} eye_inner eye eye_outer ear",
        *(f"{_ARM} {hand}" for hand in ("hand handtip", "hand thumb", "index", "middle", "pinky")),
        *(f"{_LEG} {foot}" for foot in ("heel", "foot", "foot_index", "big_toe", "small_toe")),
    )
)

# target joint -> ways to make it from a source layout, best first
_VIRTUAL = {
    "pelvis": (("left_hip", "right_hip"),),
    "thorax": (("neck",), ("left_shoulder", "right_shoulder")),
    "neck": (("thorax",), ("left_shoulder", "right_shoulder")),
}


class LayoutError(OccposeError):
    """A keypoint layout is unknown, or an array does not fit its layout."""


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A keypoint layout: joint names in order, and the tree that connects them.

    joints: J unique names; `left_` and `right_` prefixes mark sides.
    parents: J indices into `joints`, -1 for a root (a layout without a pelvis has several).
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]

    def index(self, joint: str) -> int:
        """Position of a joint in the layout; LayoutError if it has none."""
        if joint not in self.joints:
            raise LayoutError(f"layout {self.name} has no joint {joint!r}; it has {', '.join(self.joints)}")
        return self.joints.index(joint)

    def indices(self, *joints: str) -> np.ndarray:
        """Positions of several joints, (N,) int64."""
        return np.array([self.index(joint) for joint in joints], dtype=np.int64)

    @cached_property
    def sides(self) -> np.ndarray:
        """(J,) uint8 of CENTRE, LEFT, RIGHT."""
        return np.array([_side(joint) for joint in self.joints], dtype=np.uint8)

    @cached_property
    def mirror(self) -> np.ndarray:
        """(J,) int64: `x[mirror]` swaps the left and right joints of x."""
        return self.indices(*(_opposite(joint) for joint in self.joints))

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) index pairs of all joints but the roots."""
        return tuple((parent, child) for child, parent in enumerate(self.parents) if parent >= 0)


def _side(joint: str) -> int:
    return LEFT if joint.startswith("left_") else RIGHT if joint.startswith("right_") else CENTRE


def _opposite(joint: str) -> str:
    side, _, rest = joint.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, joint)


def _parent(joint: str, joints: tuple[str, ...]) -> int:
    side, _, rest = joint.partition("_")
    sided = side in ("left", "right")
    name = rest if sided else joint
    chain = next(chain for chain in _CHAINS if name in chain)
    for nearer in reversed(chain[: chain.index(name)]):
        for candidate in (f"{side}_{nearer}", nearer) if sided else (nearer,):
            if candidate in joints:
                return joints.index(candidate)
    return -1


def _layout(name: str, joints: str) -> Skeleton:
    """Read a layout from a joint list; `L.x` is left_x, `R.x` right_x, `LR.x` both in this order, `RL.x` vice versa."""
    sides = {"L": ("left_",), "R": ("right_",), "LR": ("left_", "right_"), "RL": ("right_", "left_"), "": ("",)}
    names: list[str] = []
    for word in joints.split():
        side, _, joint = word.rpartition(".")
        names += [prefix + joint for prefix in sides[side]]
    ordered = tuple(names)
    return Skeleton(name=name, joints=ordered, parents=tuple(_parent(joint, ordered) for joint in ordered))


_OPENPOSE_BODY = "nose neck R.shoulder R.elbow R.wrist L.shoulder L.elbow L.wrist"
_OPENPOSE_LEGS = "R.hip R.knee R.ankle L.hip L.knee L.ankle"
_OPENPOSE18 = f"{_OPENPOSE_BODY} {_OPENPOSE_LEGS} RL.eye RL.ear"
_COCO17 = "nose LR.eye LR.ear LR.shoulder LR.elbow LR.wrist LR.hip LR.knee LR.ankle"

SKELETONS: dict[str, Skeleton] = {
    layout.name: layout
    for layout in (
        _layout(
            "h36m17",
            "pelvis R.hip R.knee R.ankle L.hip L.knee L.ankle spine thorax nose head_top"
            " L.shoulder L.elbow L.wrist R.shoulder R.elbow R.wrist",
        ),
        _layout("coco17", _COCO17),
        _layout("openpose18", _OPENPOSE18),
        # hri_msgs/Skeleton2D: as openpose18, but eyes and ears are left first
        _layout("hri18", f"{_OPENPOSE_BODY} {_OPENPOSE_LEGS} L.eye R.eye L.ear R.ear"),
        _layout(
            "body25",
            f"{_OPENPOSE_BODY} pelvis {_OPENPOSE_LEGS} RL.eye RL.ear"
            " L.big_toe L.small_toe L.heel R.big_toe R.small_toe R.heel",
        ),
        _layout("halpe26", f"{_COCO17} head_top neck pelvis LR.big_toe LR.small_toe LR.heel"),
        _layout(
            "mediapipe33",
            "nose L.eye_inner L.eye L.eye_outer R.eye_inner R.eye R.eye_outer LR.ear LR.mouth LR.shoulder LR.elbow"
            " LR.wrist LR.pinky LR.index LR.thumb LR.hip LR.knee LR.ankle LR.heel LR.foot_index",
        ),
        _layout("zed18", _OPENPOSE18),
        _layout(
            "zed34",
            "pelvis naval_spine chest_spine neck L.clavicle L.shoulder L.elbow L.wrist L.hand L.handtip L.thumb"
            " R.clavicle R.shoulder R.elbow R.wrist R.hand R.handtip R.thumb L.hip L.knee L.ankle L.foot"
            " R.hip R.knee R.ankle R.foot head nose L.eye L.ear R.eye R.ear LR.heel",
        ),
        _layout(
            "zed38",
            "pelvis spine_1 spine_2 spine_3 neck nose LR.eye LR.ear LR.clavicle LR.shoulder LR.elbow LR.wrist LR.hip"
            " LR.knee LR.ankle LR.big_toe LR.small_toe LR.heel LR.thumb LR.index LR.middle LR.pinky",
        ),
    )
}
H36M17 = SKELETONS["h36m17"]


def get_skeleton(name: str) -> Skeleton:
    """The layout of that name; LayoutError that names the known ones and the nearest."""
    if name in SKELETONS:
        return SKELETONS[name]
    near = difflib.get_close_matches(name, SKELETONS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise LayoutError(f"unknown keypoint layout {name!r}; {hint}known: {', '.join(SKELETONS)}")


@lru_cache(maxsize=64)
def _sources(source: Skeleton, target: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """(J_target, 2) source indices to average (a single source stands twice), and (J_target,) whether there are any."""
    pairs = np.zeros((len(target.joints), 2), dtype=np.int64)
    known = np.zeros(len(target.joints), dtype=bool)
    for row, joint in enumerate(target.joints):
        ways = ((joint,), *_VIRTUAL.get(joint, ()))
        for way in ways:
            if all(name in source.joints for name in way):
                pairs[row], known[row] = source.indices(way[0], way[-1]), True
                break
    return pairs, known


def available(source: Skeleton, target: Skeleton = H36M17) -> np.ndarray:
    """(J_target,) bool: which joints of the target layout a source layout can give."""
    return _sources(source, target)[1].copy()


def convert_keypoints(
    xy: np.ndarray, score: np.ndarray, source: Skeleton, target: Skeleton = H36M17
) -> tuple[np.ndarray, np.ndarray]:
    """Reorder keypoints from one layout to another by joint name.

    xy: (..., J_source, 2), any unit. score: (..., J_source) in [0, 1], 0 = missing.
    Returns (..., J_target, 2) and (..., J_target) float32; missing joints have score 0 and coordinates 0, and a virtual
    joint has the lowest score of its sources. LayoutError if the arrays do not fit the source layout.
    """
    joints = len(source.joints)
    if xy.shape[-2:] != (joints, 2) or score.shape != xy.shape[:-1]:
        raise LayoutError(
            f"layout {source.name} has {joints} joints: expected xy (..., {joints}, 2) and score (..., {joints}),"
            f" got {xy.shape} and {score.shape}; check that the layout matches the detector"
        )
    pairs, known = _sources(source, target)
    scores = score[..., pairs]
    target_score = np.where(known, np.minimum(scores[..., 0], scores[..., 1]), 0.0).astype(np.float32, copy=False)
    seen = np.where(target_score[..., None, None] > 0, xy[..., pairs, :], 0.0)
    middle = (seen[..., 0, :] + seen[..., 1, :]) * 0.5
    return middle.astype(np.float32, copy=False), target_score


def convert_joints(joints: np.ndarray, source: Skeleton, target: Skeleton = H36M17) -> np.ndarray:
    """Reorder points from one layout to another by joint name.

    joints: (..., J_source, D), any unit, NaN = not known. Returns (..., J_target, D) float64; NaN where the source
    layout has no such joint, or one of those that a virtual joint is the middle of is not known. Raises LayoutError.
    """
    if joints.ndim < 2 or joints.shape[-2] != len(source.joints):
        raise LayoutError(f"layout {source.name} has {len(source.joints)} joints, but got points {joints.shape}")
    pairs, known = _sources(source, target)
    middle = joints.astype(np.float64)[..., pairs, :].mean(axis=-2)
    return np.where(known[:, None], middle, np.nan)
