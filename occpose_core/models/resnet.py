"""ResNet without its classifier, its parameters named as torchvision names them, so that weights from there load.

He et al., Deep Residual Learning for Image Recognition, CVPR 2016; the stride of a bottleneck lies in its 3x3.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.utils.fusion import fuse_conv_bn_eval

from occpose_core.errors import OccposeError

_EXTRA_CHANNEL_SD = 0.001  # of the stem's weights for the edge map, where three-channel weights are loaded


class _Basic(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, 1)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C, H / stride, W / stride)."""
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class _Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; gives four times its width."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, width, 1, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, self.expansion * width, 1, 1)
        self.bn3 = nn.BatchNorm2d(self.expansion * width)
        self.downsample = _shortcut(inputs, self.expansion * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, 4 C, H / stride, W / stride)."""
        y = relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(relu(self.bn2(self.conv2(y)))))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


# Name -> kind of block, and how many a stage.
BACKBONES: dict[str, tuple[type[_Basic | _Bottleneck], tuple[int, int, int, int]]] = {
    "resnet10": (_Basic, (1, 1, 1, 1)),
    "resnet18": (_Basic, (2, 2, 2, 2)),
    "resnet34": (_Basic, (3, 4, 6, 3)),
    "resnet50": (_Bottleneck, (3, 4, 6, 3)),
}


class ResNet(nn.Module):
    """Stem and four stages, callable apart, for a network that adds to what the stem gives.

    widths: channels of the stages before their expansion; the stem has the first one's. last_stride: of the last stage.
    channels: what the four stages give.
    """

    def __init__(self, name: str, inputs: int, widths: Sequence[int], last_stride: int = 2) -> None:
        super().__init__()
        block, counts = BACKBONES[name]
        self.conv1 = nn.Conv2d(inputs, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = widths[0]
        for number, (width, count) in enumerate(zip(widths, counts, strict=True), start=1):
            stride = {1: 1, 4: last_stride}.get(number, 2)
            self.add_module(f"layer{number}", _stage(block, channels, width, count, stride))
            channels = block.expansion * width
        self.channels = tuple(block.expansion * width for width in widths)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stem(self, image: Tensor) -> Tensor:
        """(B, C_in, S, S) -> (B, C, S / 4, S / 4)."""
        y: Tensor = self.maxpool(relu(self.bn1(self.conv1(image))))
        return y

    def stages(self, x: Tensor) -> list[Tensor]:
        """What the four stages give, one after the other, for what the stem gave."""
        features = []
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
            features.append(x)
        return features


def fold_norms(network: nn.Module) -> None:
    """Let convolutions do what the batch norms behind them do, in place; equal in evaluation mode."""
    for parent in list(network.modules()):
        children = list(parent.named_children())
        for (conv_name, conv), (norm_name, norm) in zip(children, children[1:], strict=False):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, nn.Identity())


def load_backbone(backbone: ResNet, path: Path) -> None:
    """Load weights that torchvision or a 2D pose network of its kind has stored; OccposeError if they do not fit.

    Whatever else the file holds (classifier, heads) is left alone. For the edge map, which those weights do not know,
    the stem's weights are made nearly 0.
    """
    given = {name.rpartition("backbone.")[2].removeprefix("module."): each for name, each in _read(path).items()}
    wanted = backbone.state_dict()
    missing = sorted(name for name in wanted if name not in given and not name.endswith("num_batches_tracked"))
    if missing:
        raise OccposeError(f"{path} holds no ResNet as torchvision names it: {missing[0]} is missing")
    weights = {name: each for name, each in given.items() if name in wanted}
    weights["conv1.weight"] = with_edge_channel(weights["conv1.weight"], wanted["conv1.weight"].shape[1])
    wrong = [name for name, each in weights.items() if each.shape != wanted[name].shape]
    if wrong:
        sizes = f"{tuple(weights[wrong[0]].shape)}, not {tuple(wanted[wrong[0]].shape)}"
        raise OccposeError(f"{path} holds another ResNet: {wrong[0]} is {sizes}")
    backbone.load_state_dict(weights, strict=False)


def with_edge_channel(stem: Tensor, channels: int) -> Tensor:
    """The stem's weights (C, 3 or 4, 7, 7) for that many channels: a new one is nearly 0, one too many is left out."""
    extra = channels - stem.shape[1]
    if extra <= 0:
        return stem[:, :channels]
    generator = torch.Generator().manual_seed(0)
    added = torch.randn((len(stem), extra, *stem.shape[2:]), generator=generator) * _EXTRA_CHANNEL_SD
    return torch.cat([stem, added.to(stem)], dim=1)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise OccposeError(
            f"no weights of a ResNet at {path}; save those of torchvision's resnet50 or of a 2D pose network there,"
            " or leave this out to start from random ones"
        )
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        stored = stored.get("state_dict", stored)
        return {name: each for name, each in stored.items() if isinstance(each, Tensor)}
    except Exception as error:  # what torch.load raises has no common base
        raise OccposeError(
            f"{path} holds no weights that torch can read safely: {str(error).splitlines()[0]}"
        ) from error


def _conv(inputs: int, outputs: int, size: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


def _stage(block: type[_Basic | _Bottleneck], inputs: int, width: int, count: int, stride: int) -> nn.Sequential:
    first = block(inputs, width, stride)
    return nn.Sequential(first, *(block(block.expansion * width, width, 1) for _ in range(count - 1)))
