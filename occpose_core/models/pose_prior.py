"""A latent space of body poses: the decoder of VPoser v1 and the auto-encoder around it.

Pavlakos et al., Expressive Body Capture, CVPR 2019. A latent of 0 is the mean of the poses that it was trained on. The
decoder's parameters are named as theirs, so that their files load; those files are for research, by their licence.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, softplus

from occpose_core.body.rotations import rotation_from_6d
from occpose_core.errors import OccposeError
from occpose_core.models.pose_model import full_precision

POSED_JOINTS = 21  # of SMPL's 24: not the root, which the view turns, nor the hands, which are not bent
_SLOPE = 0.2
_DROPOUT = 0.1
_DECODER = "bodyprior_dec_"


class PosePriorDecoder(nn.Module):
    """From a latent (B, L) to the rotations (B, 21, 3, 3) of SMPL's joints 1 to 21 relative to their parents."""

    def __init__(self, latent: int = 32, hidden: int = 512) -> None:
        super().__init__()
        self.bodyprior_dec_fc1 = nn.Linear(latent, hidden)
        self.bodyprior_dec_fc2 = nn.Linear(hidden, hidden)
        self.bodyprior_dec_out = nn.Linear(hidden, POSED_JOINTS * 6)
        with torch.no_grad():  # a fresh decoder gives bodies near rest, not knots
            self.bodyprior_dec_out.weight.mul_(0.1)
            self.bodyprior_dec_out.bias.copy_(torch.tensor([1.0, 0, 0, 1, 0, 0]).repeat(POSED_JOINTS))
        self.drop = nn.Dropout(_DROPOUT)

    def forward(self, latent: Tensor) -> Tensor:
        """(B, L) -> (B, 21, 3, 3), in single precision."""
        with full_precision(latent):
            y = self.drop(leaky_relu(self.bodyprior_dec_fc1(latent.float()), _SLOPE))
            y = leaky_relu(self.bodyprior_dec_fc2(y), _SLOPE)
            return rotation_from_6d(self.bodyprior_dec_out(y).unflatten(-1, (POSED_JOINTS, 6)))


class PosePrior(PosePriorDecoder):
    """The variational auto-encoder whose decoder is the prior."""

    def __init__(self, latent: int = 32, hidden: int = 512) -> None:
        super().__init__(latent, hidden)
        inputs = POSED_JOINTS * 9
        self.bodyprior_enc_bn1 = nn.BatchNorm1d(inputs)
        self.bodyprior_enc_fc1 = nn.Linear(inputs, hidden)
        self.bodyprior_enc_bn2 = nn.BatchNorm1d(hidden)
        self.bodyprior_enc_fc2 = nn.Linear(hidden, hidden)
        self.bodyprior_enc_mu = nn.Linear(hidden, latent)
        self.bodyprior_enc_logvar = nn.Linear(hidden, latent)

    def encode(self, rotations: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, (B, L) each, of the latent of rotations (B, 21, 3, 3)."""
        y = leaky_relu(self.bodyprior_enc_fc1(self.bodyprior_enc_bn1(rotations.flatten(1))), _SLOPE)
        y = self.drop(self.bodyprior_enc_bn2(y))
        y = leaky_relu(self.bodyprior_enc_fc2(y), _SLOPE)
        return self.bodyprior_enc_mu(y), softplus(self.bodyprior_enc_logvar(y))

    def decoder_state(self) -> dict[str, Tensor]:
        """The weights that PosePriorDecoder takes."""
        return {name: each for name, each in self.state_dict().items() if name.startswith(_DECODER)}


def read_pose_prior(path: Path) -> dict[str, Tensor]:
    """The decoder's weights of a prior that occpose trained (.safetensors) or of VPoser v1 (its folder, or a .pt file).

    Raises OccposeError if the file is missing, unsafe or holds something else.
    """
    if path.is_dir():
        path = next(iter(sorted(path.glob("**/*.pt"), reverse=True)), path / "snapshots" / "TR00_E096.pt")
    if not path.is_file():
        raise OccposeError(
            f"no pose prior at {path}: train one with `python -m training fit --config"
            " training/configs/sefd/pose_prior.yaml`, or put the folder vposer_v1_0 of smpl-x.is.tue.mpg.de"
            " (registration; its licence is yours to keep) there"
        )
    wanted = PosePriorDecoder().state_dict()
    weights = {
        name.rpartition(_DECODER)[1] + name.rpartition(_DECODER)[2]: each
        for name, each in _tensors(path).items()
        if _DECODER in name
    }
    if missing := sorted(set(wanted) - set(weights)):
        raise OccposeError(f"{path} holds no pose prior: {missing[0]} is missing")
    return {name: weights[name] for name in wanted}


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        stored = torch.load(path, map_location="cpu", weights_only=True)
        return {name: each for name, each in stored.get("state_dict", stored).items() if isinstance(each, Tensor)}
    except Exception as error:  # what torch and safetensors raise has no common base
        raise OccposeError(f"{path} holds no weights that can be read safely: {str(error).splitlines()[0]}") from error
