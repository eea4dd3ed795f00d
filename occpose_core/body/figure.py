"""The proportions of the capsule body: a grown-up of 1.73 m in a T pose, in metres, seen from the pelvis.

x to the person's left, y up, z forward, as SMPL's axes. The left limbs are given; the right ones are their mirror
images. The rings of a limb stand square to its bone, one of them in each joint.
"""

from __future__ import annotations

from dataclasses import dataclass

from occpose_core.body.tubes import Tube, pole

# What clothes are cut by.
PARTS = ("face", "hair", "eyes", "shirt", "sleeves", "forearms", "hands", "trousers", "shanks", "shoes")

# Joints of the middle and of the left side.
JOINTS_M: dict[str, tuple[float, float, float]] = {
    "pelvis": (0.0, 0.0, 0.0),
    "spine1": (0.0, 0.115, -0.02),
    "spine2": (0.0, 0.25, -0.015),
    "spine3": (0.0, 0.315, -0.01),
    "neck": (0.0, 0.525, -0.03),
    "head": (0.0, 0.61, 0.0),
    "left_hip": (0.07, -0.085, -0.005),
    "left_knee": (0.10, -0.455, 0.0),
    "left_ankle": (0.09, -0.86, -0.03),
    "left_foot": (0.103, -0.912, 0.095),
    "left_collar": (0.08, 0.43, -0.02),
    "left_shoulder": (0.195, 0.463, -0.03),
    "left_elbow": (0.45, 0.463, -0.03),
    "left_wrist": (0.70, 0.463, -0.03),
    "left_hand": (0.80, 0.463, -0.03),
}


@dataclass(frozen=True, kw_only=True)
class Limb:
    """A tube and how it hangs on the skeleton.

    chain: the joints along it. onset_m: where along the tube the weight of each joint but the first begins and is full.
    parts: (part, from which position along the tube on, going outward), the first from its beginning.
    """

    tube: Tube
    chain: tuple[str, ...]
    onset_m: tuple[tuple[float, float], ...] = ()
    parts: tuple[tuple[str, float], ...]


TRUNK = Limb(
    chain=("pelvis", "spine1", "spine2", "spine3", "neck", "head"),
    onset_m=((0.055, 0.175), (0.19, 0.31), (0.285, 0.345), (0.485, 0.56), (0.55, 0.592)),
    parts=(("trousers", -1.0), ("shirt", -0.06), ("face", 0.52)),
    tube=Tube(
        along=1,
        sides=18,
        squareness=2.3,
        rows=(
            pole(-0.175, 0, -0.005),
            (-0.168, 0, -0.005, 0.045, 0.050, 0.050),
            (-0.140, 0, -0.005, 0.128, 0.085, 0.098),
            (-0.100, 0, -0.005, 0.163, 0.100, 0.122),
            (-0.050, 0, -0.005, 0.170, 0.108, 0.130),
            (0.000, 0, -0.005, 0.165, 0.108, 0.118),
            (0.055, 0, -0.005, 0.150, 0.105, 0.098),
            (0.115, 0, -0.005, 0.135, 0.104, 0.082),
            (0.180, 0, -0.005, 0.137, 0.106, 0.080),
            (0.250, 0, -0.005, 0.146, 0.112, 0.090),
            (0.315, 0, -0.005, 0.158, 0.120, 0.100),
            (0.375, 0, -0.010, 0.166, 0.118, 0.105),
            (0.430, 0, -0.015, 0.168, 0.100, 0.105),
            (0.468, 0, -0.020, 0.160, 0.080, 0.094),
            (0.494, 0, -0.025, 0.136, 0.062, 0.080),
            (0.511, 0, -0.028, 0.100, 0.053, 0.070),
            (0.525, 0, -0.030, 0.072, 0.050, 0.062),
            (0.555, 0, -0.025, 0.058, 0.050, 0.055),
            (0.578, 0, -0.020, 0.056, 0.055, 0.058),
            (0.590, 0, 0.000, 0.046, 0.082, 0.070),
            (0.610, 0, 0.000, 0.060, 0.096, 0.082),
            (0.640, 0, 0.000, 0.069, 0.098, 0.092),
            (0.670, 0, 0.000, 0.074, 0.096, 0.100),
            (0.700, 0, 0.000, 0.077, 0.096, 0.104),
            (0.730, 0, 0.000, 0.077, 0.094, 0.102),
            (0.755, 0, 0.000, 0.071, 0.085, 0.092),
            (0.777, 0, 0.000, 0.056, 0.068, 0.073),
            (0.790, 0, 0.000, 0.034, 0.042, 0.045),
            pole(0.796, 0, 0.000),
        ),
    ),
)

HAIR = Limb(
    chain=("head",),
    parts=(("hair", 0.0),),
    tube=Tube(
        along=1,
        sides=12,
        rows=(
            pole(0.620, 0, -0.020),
            (0.630, 0, -0.020, 0.040, 0.040, 0.050),
            (0.660, 0, -0.020, 0.070, 0.070, 0.085),
            (0.700, 0, -0.020, 0.083, 0.090, 0.095),
            (0.740, 0, -0.020, 0.084, 0.105, 0.094),
            (0.775, 0, -0.020, 0.070, 0.100, 0.078),
            (0.798, 0, -0.015, 0.042, 0.066, 0.045),
            pole(0.806, 0, -0.010),
        ),
    ),
)

NOSE = Limb(
    chain=("head",),
    parts=(("face", 0.0),),
    tube=Tube(
        along=1,
        sides=8,
        rows=(
            pole(0.684, 0, 0.092),
            (0.672, 0, 0.090, 0.008, 0.012, 0.012),
            (0.655, 0, 0.090, 0.011, 0.020, 0.012),
            (0.642, 0, 0.090, 0.015, 0.025, 0.012),
            pole(0.633, 0, 0.094),
        ),
    ),
)

LEFT_EYE = Limb(
    chain=("head",),
    parts=(("eyes", 0.0),),
    tube=Tube(
        along=2,
        sides=8,
        rows=(pole(0.078, 0.032, 0.685), (0.087, 0.032, 0.685, 0.011, 0.008, 0.008), pole(0.093, 0.032, 0.685)),
    ),
)

LEFT_EAR = Limb(
    chain=("head",),
    parts=(("face", 0.0),),
    tube=Tube(
        along=0,
        sides=8,
        rows=(
            pole(0.064, 0.668, -0.004),
            (0.072, 0.668, -0.005, 0.024, 0.011, 0.014),
            (0.081, 0.669, -0.009, 0.031, 0.014, 0.019),
            (0.087, 0.670, -0.013, 0.025, 0.011, 0.015),
            pole(0.089, 0.670, -0.014),
        ),
    ),
)

LEFT_ARM = Limb(
    chain=("left_collar", "left_shoulder", "left_elbow", "left_wrist", "left_hand"),
    onset_m=((0.135, 0.255), (0.40, 0.50), (0.675, 0.725), (0.77, 0.83)),
    parts=(("sleeves", 0.0), ("forearms", 0.42), ("hands", 0.69)),
    tube=Tube(
        along=0,
        sides=10,
        rows=(
            pole(0.110, 0.445, -0.03),
            (0.125, 0.446, -0.03, 0.034, 0.038, 0.038),
            (0.155, 0.449, -0.03, 0.047, 0.053, 0.053),
            (0.195, 0.453, -0.03, 0.051, 0.057, 0.057),
            (0.230, 0.456, -0.03, 0.051, 0.055, 0.055),
            (0.280, 0.460, -0.03, 0.047, 0.050, 0.048),
            (0.340, 0.463, -0.03, 0.044, 0.047, 0.044),
            (0.400, 0.463, -0.03, 0.040, 0.042, 0.040),
            (0.450, 0.463, -0.03, 0.037, 0.038, 0.037),
            (0.500, 0.463, -0.03, 0.037, 0.040, 0.040),
            (0.560, 0.463, -0.03, 0.034, 0.037, 0.036),
            (0.630, 0.463, -0.03, 0.028, 0.031, 0.030),
            (0.700, 0.463, -0.03, 0.021, 0.028, 0.028),
            (0.730, 0.463, -0.03, 0.018, 0.034, 0.034),
            (0.765, 0.463, -0.03, 0.017, 0.042, 0.040),
            (0.800, 0.463, -0.03, 0.016, 0.043, 0.042),
            (0.835, 0.463, -0.03, 0.013, 0.040, 0.038),
            (0.860, 0.463, -0.03, 0.010, 0.033, 0.031),
            (0.875, 0.463, -0.03, 0.007, 0.020, 0.018),
            pole(0.881, 0.463, -0.03),
        ),
    ),
)

LEFT_THUMB = Limb(
    chain=("left_wrist",),
    parts=(("hands", -1.0),),
    tube=Tube(
        along=2,
        sides=8,
        rows=(
            pole(-0.020, 0.724, 0.460),
            (-0.010, 0.732, 0.459, 0.015, 0.013, 0.013),
            (0.015, 0.757, 0.457, 0.013, 0.012, 0.012),
            (0.036, 0.778, 0.456, 0.010, 0.010, 0.010),
            pole(0.045, 0.787, 0.456),
        ),
    ),
)

LEFT_LEG = Limb(
    chain=("pelvis", "left_hip", "left_knee", "left_ankle"),
    onset_m=((-0.025, -0.145), (-0.395, -0.515), (-0.825, -0.895)),
    parts=(("trousers", 0.0), ("shanks", -0.43)),
    tube=Tube(
        along=1,
        sides=12,
        rows=(
            pole(-0.020, 0.078, -0.005),
            (-0.035, 0.078, -0.005, 0.052, 0.060, 0.068),
            (-0.085, 0.080, -0.005, 0.074, 0.084, 0.096),
            (-0.140, 0.083, -0.005, 0.079, 0.088, 0.096),
            (-0.200, 0.087, -0.002, 0.080, 0.087, 0.088),
            (-0.270, 0.092, 0.000, 0.073, 0.080, 0.078),
            (-0.340, 0.097, 0.000, 0.065, 0.071, 0.066),
            (-0.405, 0.100, 0.000, 0.057, 0.062, 0.056),
            (-0.455, 0.100, 0.000, 0.053, 0.058, 0.052),
            (-0.505, 0.100, -0.006, 0.051, 0.053, 0.056),
            (-0.560, 0.100, -0.014, 0.053, 0.050, 0.062),
            (-0.620, 0.098, -0.018, 0.051, 0.047, 0.060),
            (-0.690, 0.095, -0.022, 0.044, 0.042, 0.050),
            (-0.770, 0.092, -0.026, 0.036, 0.036, 0.040),
            (-0.830, 0.090, -0.030, 0.031, 0.035, 0.036),
            (-0.860, 0.090, -0.030, 0.031, 0.036, 0.036),
            (-0.885, 0.090, -0.030, 0.028, 0.030, 0.030),
            pole(-0.895, 0.090, -0.030),
        ),
    ),
)

LEFT_FOOT = Limb(
    chain=("left_ankle", "left_foot"),
    onset_m=((0.065, 0.125),),
    parts=(("shoes", -1.0),),
    tube=Tube(
        along=2,
        sides=12,
        squareness=3.0,
        rows=(
            pole(-0.092, 0.090, -0.903),
            (-0.085, 0.090, -0.900, 0.022, 0.030, 0.031),
            (-0.062, 0.090, -0.895, 0.032, 0.046, 0.040),
            (-0.030, 0.090, -0.890, 0.037, 0.052, 0.045),
            (0.005, 0.093, -0.895, 0.038, 0.050, 0.040),
            (0.045, 0.098, -0.905, 0.042, 0.042, 0.030),
            (0.095, 0.103, -0.912, 0.047, 0.028, 0.023),
            (0.130, 0.105, -0.917, 0.043, 0.021, 0.018),
            (0.155, 0.105, -0.920, 0.030, 0.014, 0.014),
            pole(0.166, 0.104, -0.922),
        ),
    ),
)

MIDDLE = {"trunk": TRUNK, "hair": HAIR, "nose": NOSE}
LEFT = {
    "eye": LEFT_EYE,
    "ear": LEFT_EAR,
    "arm": LEFT_ARM,
    "thumb": LEFT_THUMB,
    "leg": LEFT_LEG,
    "foot": LEFT_FOOT,
}

# How far one unit of a shape component stretches what hangs on a joint, along x, y and z. Both sides alike.
_LEG, _ARM, _TRUNK, _HEAD = (
    ("hip", "knee"),
    ("shoulder", "elbow"),
    ("pelvis", "spine1", "spine2", "spine3"),
    ("neck", "head"),
)
Stretch = tuple[float, float, float]
SHAPES: dict[str, dict[tuple[str, ...], Stretch]] = {
    "stature": {_LEG + ("ankle", "foot") + _ARM + ("collar", "wrist", "hand") + _TRUNK + _HEAD: (0.03, 0.03, 0.03)},
    "leg length": {_LEG: (0.0, 0.04, 0.0)},
    "arm length": {_ARM: (0.04, 0.0, 0.0), ("wrist", "hand"): (0.03, 0.0, 0.01)},
    "trunk length": {_TRUNK: (0.0, 0.035, 0.0)},
    "shoulder width": {("spine3", "collar"): (0.06, 0.0, 0.015)},
    "hip width": {("pelvis",): (0.06, 0.0, 0.02)},
    "girth": {
        _TRUNK: (0.05, 0.0, 0.07),
        _LEG: (0.05, 0.0, 0.05),
        _ARM: (0.0, 0.04, 0.04),
        ("neck",): (0.03, 0.0, 0.03),
    },
    "belly": {},
    "limb thickness": {
        _LEG: (0.06, 0.0, 0.06),
        _ARM: (0.0, 0.07, 0.07),
        ("wrist", "ankle", "foot"): (0.02, 0.02, 0.02),
    },
    "head size": {_HEAD: (0.04, 0.04, 0.04)},
}
# The belly comes forward by this much at its middle, and falls off over this height.
BELLY_M, BELLY_AT_M, BELLY_HEIGHT_M = 0.022, 0.08, 0.11

# Hinges widen along z as they bend, or they would collapse there; by the axis of their bone.
HINGES = {"knee": 1, "elbow": 0}
HINGE_GAIN = 0.22


@dataclass(frozen=True, kw_only=True)
class Share:
    """What the trunk gives to the joint of a side: a part of `giver`'s weight, rising over |x| and over y."""

    giver: str
    part: float
    x_m: tuple[float, float]
    y_m: tuple[float, float]


SHARES = {
    "collar": Share(giver="spine3", part=0.7, x_m=(0.04, 0.14), y_m=(0.34, 0.43)),
    "hip": Share(giver="pelvis", part=0.6, x_m=(0.02, 0.13), y_m=(-0.03, -0.13)),
}
