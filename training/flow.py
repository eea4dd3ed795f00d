"""How likely a 2D pose is: a normalising flow on the leading principal components of normalised poses.

The 2D prior of ElePose (CVPR 2022) as the card of "3D_Occluded_HPE" has it: 8 affine coupling blocks of FrEIA with soft
permutations. The components are part of the model and of its file, so that flow and components never disagree.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import FrEIA.framework
import FrEIA.modules
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from occpose_core.checkpoint import ModelFileError
from occpose_core.errors import OccposeError
from occpose_core.models.pose_model import full_precision
from occpose_core.skeleton import H36M17

_METADATA_KEY = "occpose_flow"
_JOINTS = len(H36M17.joints)


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Sizes of the flow; the defaults are the published ones."""

    components: int = 26  # of 34
    blocks: int = 8
    hidden: int = 1024
    whiten: bool = True  # scale the components to unit variance first: the same likelihood, learned in far fewer steps


class PoseFlow(nn.Module):
    """Maps normalised poses to a standard normal distribution."""

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(2 * _JOINTS))
        self.register_buffer("basis", torch.zeros(2 * _JOINTS, config.components))
        self.register_buffer("scale", torch.ones(config.components))

        def subnet(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(inputs, config.hidden), nn.ReLU(), nn.Linear(config.hidden, outputs))

        self.net = FrEIA.framework.SequenceINN(config.components)
        for _ in range(config.blocks):
            self.net.append(FrEIA.modules.AllInOneBlock, subnet_constructor=subnet, permute_soft=True)

    @property
    def fitted(self) -> bool:
        """Whether the principal components are known."""
        return bool(self.basis.any())

    def fit_components(self, poses: Tensor) -> None:
        """Take the principal components of poses (N, J, 2). Raises OccposeError if they are too few."""
        if len(poses) <= 2 * _JOINTS:
            raise OccposeError(
                f"{len(poses)} poses are too few for principal components; more than {2 * _JOINTS} needed"
            )
        flat = poses.flatten(1).double()
        mean = flat.mean(dim=0)
        _, singular, rows = torch.linalg.svd(flat - mean, full_matrices=False)
        keep = self.config.components
        deviation = singular[:keep] / len(flat) ** 0.5
        self.mean.copy_(mean)
        self.basis.copy_(rows[:keep].T)
        if self.config.whiten:
            self.scale.copy_(1 / deviation.clamp(min=1e-6))

    def components(self, poses: Tensor) -> Tensor:
        """Leading principal components (B, 26) of normalised poses (B, J, 2)."""
        return (poses.flatten(1) - self.mean) @ self.basis

    def latent(self, poses: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, 26) and log |det dz / d components| (B,)."""
        z, log_det = self.net(self.components(poses) * self.scale)
        return z, log_det + self.scale.log().sum()

    def nll(self, poses: Tensor) -> Tensor:
        """Negative log-likelihood (B,) of normalised poses (B, J, 2) but for a constant: |z|^2 / 2 - log |det|."""
        with full_precision(poses):
            z, log_det = self.latent(poses)
            return 0.5 * z.square().sum(dim=-1) - log_det

    def save(self, path: Path, info: dict[str, Any]) -> None:
        """Write components, weights and info to a safetensors file; atomic."""
        metadata = {
            _METADATA_KEY: json.dumps({"config": dataclasses.asdict(self.config), "info": info}, sort_keys=True)
        }
        tensors = {name: tensor.detach().contiguous() for name, tensor in self.state_dict().items()}
        temporary = path.with_name(f".{path.name}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary, metadata=metadata)
        os.replace(temporary, path)


def load_flow(path: Path) -> PoseFlow:
    """Read what PoseFlow.save wrote, in evaluation mode. Raises ModelFileError."""
    if not path.is_file():
        raise ModelFileError(f"no flow at {path}; train one with training/configs/occluded-hpe/flow.yaml")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_METADATA_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path} is not a readable safetensors file: {error}") from error
    if text is None:
        raise ModelFileError(f"{path} is no flow: it has no {_METADATA_KEY!r} metadata")
    try:
        flow = PoseFlow(FlowConfig(**json.loads(text)["config"]))
        flow.load_state_dict(tensors)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(":")
        raise ModelFileError(f"{path}: its weights or sizes fit no flow ({reason}); train it again") from error
    return flow.eval()
