"""Every model that occpose can build: its own and the published systems in both forms. Data alone.

`paper` is the published network, told nothing of missing joints. `masked` is the same network that sees which joints
are missing and says how sure it is. Some have trained weights that come with occpose, for others there is a recipe.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

RATE_HZ = 30.0  # that windowed models are trained at, unless their files say otherwise

_OCCLUDED_HPE = "3D_Occluded_HPE, github.com/XuyangHao123/3D_Occluded_HPE"
_LCN = "Ci et al., Optimizing Network Structure for 3D Human Pose Estimation, ICCV 2019"

# Family -> where it comes from.
SOURCES = {
    "filling": _OCCLUDED_HPE,
    "elepose": f"Wandt et al., ElePose, CVPR 2022; {_OCCLUDED_HPE}",
    "filling-elepose": f"Wandt et al., ElePose, CVPR 2022; {_OCCLUDED_HPE}",
    "posegraphnet": "Banik et al., 3D Human Pose Regression using Graph Convolutional Network, ICIP 2021",
    "strided-posegraph": "Banik et al., StridedPoseGraphFormer, IJCNN 2023, arXiv 2304.12069",
    "htnet": "Cai et al., HTNet: Human Topology Aware Network for 3D Human Pose Estimation, ICASSP 2023",
    "lcn": _LCN,
    "filling-lcn": f"{_OCCLUDED_HPE}; {_LCN}",
    "stream": "occpose",
    "sefd": "Yang et al., SEFD: Learning to Distill Complex Pose and Occlusion, ICCV 2023; Choi et al., 3DCrowdNet,"
    " CVPR 2022",
}

_FILLING_PARAMETERS = 191_330
_ELEPOSE_PARAMETERS = 11_072_594  # without the batch norms that are made but never applied
_LCN_PARAMETERS = 7_203_507
_SEFD_PARAMETERS = 30_211_305  # with the pose prior's decoder; 3136 are of the edge map's channel

_JOINTS = ("joints_root_m",)
_SURE_JOINTS = (*_JOINTS, "sigma_m")
_BODY = (*_JOINTS, "vertices_root_m", "rotations", "shape")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model by name.

    config: what differs from the defaults of the family's config, which are the paper's. parameters: of the published
    network at that window. window: frames of input; look_ahead: how many of them lie behind the answered one. outputs:
    as in ModelInfo. system: whose training makes it, a folder of training/configs; phase: where one file of that folder
    does. streams: whether it can be exported to take one frame at a time. image_size: pixels of the image of a person
    that it takes beside the keypoints, 0 for none.
    """

    name: str
    family: str
    form: str
    parameters: int
    system: str
    config: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = _JOINTS
    window: int = 1
    look_ahead: int = 0
    streams: bool = False
    phase: str = ""
    image_size: int = 0

    @property
    def source(self) -> str:
        """Where the network comes from."""
        return SOURCES[self.family]

    @property
    def look_ahead_s(self) -> float:
        """Seconds of the future that an answer waits for, at RATE_HZ."""
        return self.look_ahead / RATE_HZ

    @property
    def command(self) -> str:
        """The command that trains it, but for the data."""
        if self.phase:
            return f"python -m training fit --config training/configs/{self.system}/{self.phase}.yaml"
        windowed = f" --window {self.window}" if self.window > 1 else ""
        causal = " --causal" if windowed and not self.look_ahead else ""
        form = "" if self.form == "paper" else " --form masked"
        return f"python -m training system {self.system}{windowed}{causal}{form}"


def _both(name: str, family: str, parameters: int, masked_outputs: tuple[str, ...], **same: Any) -> Iterator[Entry]:
    """The paper form under its name, and the masked one."""
    config = same.pop("config", {})
    yield Entry(name=name, family=family, form="paper", parameters=parameters, config=config, **same)
    yield Entry(
        name=f"{name}-masked",
        family=family,
        form="masked",
        parameters=parameters,
        config={**config, "masked": True},
        outputs=masked_outputs,
        **same,
    )


def _occluded_hpe() -> Iterator[Entry]:
    system = "occluded-hpe"
    yield Entry(
        name="filling",
        family="filling",
        form="masked",
        parameters=_FILLING_PARAMETERS,
        system=system,
        config={"masked": True},
        outputs=("filled",),
    )
    for role in ("teacher", "student"):
        yield from _both(f"elepose-{role}", "elepose", _ELEPOSE_PARAMETERS, _JOINTS, system=system)
    for form, config in (("paper", {}), ("masked", {"masked": True, "lifter": {"masked": True}})):
        yield Entry(
            name="filling-elepose" + ("-masked" if form == "masked" else ""),
            family="filling-elepose",
            form=form,
            parameters=_FILLING_PARAMETERS + _ELEPOSE_PARAMETERS,
            system=system,
            config=config,
            outputs=(*_JOINTS, "filled"),
        )


def _strided_posegraph(frames: int) -> Iterator[Entry]:
    # six tables of positions, two of them never used: as long as the window, 272 channels wide
    parameters = 4_710_905 + 6 * 272 * frames
    for causal in (False, True):
        yield from _both(
            f"strided-posegraph-{frames}" + ("-causal" if causal else ""),
            "strided-posegraph",
            parameters,
            _SURE_JOINTS,
            system="strided-posegraph",
            config={"window": frames, "causal": causal},
            window=frames,
            look_ahead=0 if causal else frames // 2,
            streams=True,
        )


def _lcn() -> Iterator[Entry]:
    yield Entry(name="lcn-paper", family="lcn", form="paper", parameters=_LCN_PARAMETERS, system="lcn")
    yield Entry(
        name="lcn",
        family="lcn",
        form="masked",
        parameters=_LCN_PARAMETERS,
        system="lcn",
        config={"masked": True, "target": "metric"},
        outputs=_SURE_JOINTS,
    )
    yield Entry(
        name="filling-lcn",
        family="filling-lcn",
        form="own",
        parameters=_FILLING_PARAMETERS + _LCN_PARAMETERS,
        system="lcn",
        config={"masked": True, "lifter": {"masked": True, "target": "metric"}},
        outputs=(*_SURE_JOINTS, "filled"),
    )


def _stream() -> Iterator[Entry]:
    for size, parameters, config in (("s", 683_846, {}), ("b", 2_307_942, {"width": 512, "memory": 384, "blocks": 3})):
        yield Entry(
            name=f"stream-{size}",
            family="stream",
            form="own",
            parameters=parameters,
            system="stream",
            phase=size,
            config=config,
            outputs=(*_SURE_JOINTS, "filled"),
            window=0,
            streams=True,
        )


def _sefd() -> Iterator[Entry]:
    for name, phase, config, parameters in (
        ("sefd", "student", {}, _SEFD_PARAMETERS),
        ("crowdnet", "baseline", {"edge": "none"}, _SEFD_PARAMETERS - 3136),
    ):
        yield Entry(
            name=name,
            family="sefd",
            form="paper",
            parameters=parameters,
            system="sefd",
            phase=phase,
            config=config,
            outputs=_BODY,
            image_size=256,
        )


def _entries() -> Iterator[Entry]:
    yield from _stream()
    yield from _lcn()
    yield from _both("htnet", "htnet", 3_048_489, _SURE_JOINTS, system="htnet")
    yield from _both("posegraphnet", "posegraphnet", 1_247_078, _SURE_JOINTS, system="posegraphnet")
    for frames in (27, 81, 243, 351):
        yield from _strided_posegraph(frames)
    yield from _occluded_hpe()
    yield from _sefd()


CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in _entries()}
