"""ResNet: names and sizes are torchvision's, its weights are read from there, and a new channel begins at nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from occpose_core.errors import OccposeError  # noqa: E402
from occpose_core.models.resnet import ResNet, fold_norms, load_backbone, with_edge_channel  # noqa: E402

WIDTHS = (8, 8, 16, 16)


def small(inputs: int = 3, name: str = "resnet18", seed: int = 0) -> ResNet:
    torch.manual_seed(seed)
    return ResNet(name, inputs, WIDTHS).eval()


def answer(network: ResNet, image: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network.stages(network.stem(image))[-1]


@pytest.mark.parametrize(
    ("name", "parameters"), [("resnet18", 11_176_512), ("resnet34", 21_284_672), ("resnet50", 23_508_032)]
)
def test_networks_have_torchvisions_sizes_without_the_classifier(name: str, parameters: int) -> None:
    network = ResNet(name, 3, (64, 128, 256, 512))
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_parameters_have_torchvisions_names() -> None:
    names = set(ResNet("resnet50", 3, (4, 4, 4, 4)).state_dict())
    wanted = ("conv1.weight", "bn1.running_mean", "layer1.0.downsample.0.weight", "layer4.2.bn3.bias")
    assert names.issuperset(wanted) and not any(name.startswith("fc") for name in names)


@pytest.mark.parametrize("last_stride", [1, 2])
def test_the_last_stage_may_keep_its_cells(last_stride: int) -> None:
    network = ResNet("resnet10", 3, WIDTHS, last_stride)
    features = network.stages(network.stem(torch.zeros(1, 3, 64, 64)))
    assert [tuple(each.shape[1:]) for each in features] == [
        (8, 16, 16),
        (8, 8, 8),
        (16, 4, 4),
        (16, 4 // last_stride, 4 // last_stride),
    ]


def test_without_its_norms_it_answers_the_same() -> None:
    network, image = small(name="resnet50"), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        network.train()
        network.stages(network.stem(image))
    expected = answer(network.eval(), image)
    fold_norms(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    torch.testing.assert_close(answer(network, image), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("prefix", "wrapped"),
    [
        pytest.param("", False, id="torchvision"),
        pytest.param("module.", False, id="several GPUs"),
        pytest.param("module.backbone.", True, id="part of a pose network"),
    ],
)
@pytest.mark.parametrize("inputs", [3, 4])
def test_weights_are_read_and_a_fourth_channel_hardly_matters(
    prefix: str, wrapped: bool, inputs: int, tmp_path: Path
) -> None:
    trained, image = small(seed=1), torch.rand(2, 3, 64, 64)
    stored: dict[str, object] = {prefix + name: each for name, each in trained.state_dict().items()}
    stored |= {"fc.weight": torch.zeros(3, 3), "module.final_layer.weight": torch.zeros(2)}
    path = tmp_path / "resnet.pth"
    torch.save({"state_dict": stored, "epoch": 3} if wrapped else stored, path)
    network = small(inputs)
    load_backbone(network, path)
    given = torch.cat([image, torch.rand(2, inputs - 3, 64, 64)], dim=1)
    expected = answer(trained, image)
    torch.testing.assert_close(answer(network, given), expected, rtol=0, atol=0.05 * float(expected.max()))
    assert inputs == 4 or torch.equal(answer(network, given), expected)


def test_an_edge_channel_is_added_small_and_left_out_again() -> None:
    stem = torch.randn(64, 3, 7, 7)
    with_edges = with_edge_channel(stem, 4)
    assert torch.equal(with_edges[:, :3], stem) and with_edges.shape == (64, 4, 7, 7)
    assert with_edges[:, 3].std().item() == pytest.approx(0.001, rel=0.1)
    assert torch.equal(with_edge_channel(with_edges, 3), stem)
    assert torch.equal(with_edge_channel(stem, 4), with_edges), "the same each time"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, "no weights of a ResNet at ", id="missing"),
        pytest.param(b"nonsense", "holds no weights that torch can read safely", id="nonsense"),
        pytest.param({"conv1.weight": torch.zeros(8, 3, 7, 7)}, "is missing", id="incomplete"),
        pytest.param(
            ResNet("resnet18", 3, (4, 4, 4, 4)).state_dict(), "holds another ResNet: .* is \\(.*\\), not", id="narrower"
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(content: object, says: str, tmp_path: Path) -> None:
    path = tmp_path / "resnet.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(OccposeError, match=says) as raised:
        load_backbone(small(), path)
    assert "\n" not in str(raised.value)
