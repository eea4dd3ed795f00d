"""SEFD: its published size, no influence of what is not seen, and that edges and images go where they should."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("kornia")

from occpose_core.body.files import BodyFileError  # noqa: E402
from occpose_core.body.joints import SMPL30, smpl30_from_h36m17  # noqa: E402
from occpose_core.checkpoint import ModelFileError, load_checkpoint, save_checkpoint  # noqa: E402
from occpose_core.crops import CROP_HALF_WIDTH  # noqa: E402
from occpose_core.dataset import DatasetError  # noqa: E402
from occpose_core.errors import OccposeError  # noqa: E402
from occpose_core.models import build, describe  # noqa: E402
from occpose_core.models.joint_graph import adjacency  # noqa: E402
from occpose_core.models.sefd import FOCAL, HALF_WIDTH_M, Sefd, SefdConfig, camera_m, projected  # noqa: E402
from tests.core.small_sefd import SIZE, SMALL, people, small  # noqa: E402
from tests.tolerances import FLOAT32  # noqa: E402

ANSWERS = (
    "heat_joints",
    "heat_score",
    "rotations",
    "latent",
    "shape",
    "camera",
    "vertices_m",
    "joints17_m",
    "projected",
)


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_paper_form_has_the_published_numbers_of_parameters() -> None:
    student = Sefd(SefdConfig())
    published = {"backbone": 23.51, "fusion": 0.05, "position": 0.25, "prior": 0.34}
    for name, millions in published.items():
        assert round(parameters(student.get_submodule(name)) / 1e6, 2) == millions, name
    rotation = sum(parameters(student.get_submodule(name)) for name in ("graph", "root", "latent", "shape", "camera"))
    assert round(rotation / 1e6, 2) == 6.06
    assert round(parameters(student) / 1e6, 1) == 30.2
    teacher, baseline = Sefd(SefdConfig(edge="given")), Sefd(SefdConfig(edge="none"))
    assert parameters(teacher) == parameters(student) == parameters(baseline) + 3136
    assert {name: each.shape for name, each in teacher.state_dict().items()} == {
        name: each.shape for name, each in student.state_dict().items()
    }


def test_the_maps_have_the_published_sizes() -> None:
    model = Sefd(SefdConfig(backbone="resnet10", widths=(8, 8, 8, 8), graph=8))
    with torch.no_grad():
        features = model(torch.zeros(2, 3, 256, 256), torch.zeros(2, 30, 2), torch.ones(2, 30))["features"]
    assert [each.shape[-1] for each in features] == [64, 32, 16, 8]
    assert model.position.out_channels == 15 * 8


def test_the_graph_links_bones_pairs_and_each_joint_itself() -> None:
    links = adjacency()
    assert np.array_equal(links, links.T) and int((links > 0).sum()) == 15 + 2 * (14 + 6)
    degree = (links > 0).sum(axis=1)
    assert links[1, 2] == pytest.approx((degree[1] * degree[2]) ** -0.5)


def test_a_batch_has_the_shapes_that_losses_want() -> None:
    answer = small()(*people())
    shapes = {name: tuple(value.shape[1:]) for name, value in answer.items() if name != "features"}
    vertices = shapes.pop("vertices_m")
    assert shapes == {
        "heat_joints": (15, 3),
        "heat_score": (15,),
        "rotations": (24, 3, 3),
        "latent": (8,),
        "shape": (10,),
        "camera": (3,),
        "joints30_m": (30, 3),
        "joints17_m": (17, 3),
        "projected": (30, 2),
    }
    assert len(vertices) == 2 and vertices[0] > small().body.faces.max()


@pytest.mark.parametrize("garbage", [0.5, 1e4, float("nan")])
def test_what_is_not_seen_has_no_influence(garbage: float) -> None:
    image, kpts, visible = people()
    changed = torch.where(visible[..., None] > 0, kpts, torch.full_like(kpts, garbage))
    with torch.inference_mode():
        expected, answer = small()(image, kpts, visible), small()(image, changed, visible)
    for name in ANSWERS:
        torch.testing.assert_close(answer[name], expected[name], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("place", "score"),
    [
        pytest.param((1.01, 0.0), 1.0, id="right of the crop"),
        pytest.param((0.0, -3.0), 1.0, id="above the crop"),
        pytest.param((0.1, 0.1), 0.05, id="below the score of 3DCrowdNet"),
    ],
)
def test_joints_outside_the_crop_or_hardly_found_are_not_seen(place: tuple[float, float], score: float) -> None:
    image, kpts, visible = people()
    visible[:, 7] = 0
    with torch.inference_mode():
        expected = small()(image, kpts, visible)
        kpts[:, 7], visible[:, 7] = torch.tensor(place), score
        answer = small()(image, kpts, visible)
        kpts[:, 7], visible[:, 7] = torch.tensor([0.1, 0.1]), 0.06
        seen = small()(image, kpts, visible)
    torch.testing.assert_close(answer["rotations"], expected["rotations"], rtol=0, atol=0)
    assert (seen["rotations"] - expected["rotations"]).abs().max() > 1e-4


@pytest.mark.parametrize("number", [1, 2, 3])
def test_people_do_not_influence_each_other(number: int) -> None:
    """Three are as many as a vector has components, which a cross product can take for its axis."""
    image, kpts, visible = people()
    with torch.inference_mode():
        together = small()(image, kpts, visible)
        some = small()(image[:number], kpts[:number], visible[:number])
    for name in ANSWERS:
        torch.testing.assert_close(some[name], together[name][:number], rtol=0, atol=FLOAT32)


def test_nothing_seen_and_a_black_image_still_give_a_body() -> None:
    _, kpts, visible = people()
    with torch.inference_mode():
        answer = small()(torch.zeros(6, 3, SIZE, SIZE), kpts, torch.zeros_like(visible))
    assert all(torch.isfinite(answer[name]).all() for name in ANSWERS)
    extent_m = answer["vertices_m"].amax(1) - answer["vertices_m"].amin(1)
    assert 0.3 < extent_m.amax() < 4


def test_only_a_teacher_looks_at_the_map_that_it_is_given() -> None:
    """Privileged edges show people behind others: no other network may see them, whatever the caller passes."""
    given, edge = people(), torch.rand(6, 1, SIZE, SIZE)
    with torch.inference_mode():
        for kind in ("none", "zero", "canny"):
            expected, answer = small(kind)(*given), small(kind)(*given, edge)
            assert torch.equal(answer["rotations"], expected["rotations"]), kind
        with pytest.warns(UserWarning, match="no ONNX file for hed"):
            expected = small("hed")(*given)
        assert torch.equal(small("hed")(*given, edge)["rotations"], expected["rotations"])
        teacher = small("given")
        assert not torch.equal(teacher(*given, edge)["rotations"], teacher(*given)["rotations"])


def test_a_map_of_zeros_is_what_a_teacher_takes_where_there_is_none() -> None:
    given = people()
    with torch.inference_mode():
        none, zeros = small("given")(*given), small("given")(*given, torch.zeros(6, 1, SIZE, SIZE))
    assert torch.equal(none["rotations"], zeros["rotations"])


def test_a_student_starts_as_its_teacher_and_differs_by_its_edges_alone() -> None:
    student, given = copy.deepcopy(small("canny")), people()
    student.load_state_dict(small("given").state_dict())
    with torch.inference_mode():
        expected = small("given")(*given, student.edge_map(given[0]))
        answer = student(*given)
    torch.testing.assert_close(answer["vertices_m"], expected["vertices_m"], rtol=0, atol=0)


def test_a_blind_network_sees_the_keypoints_alone() -> None:
    image, kpts, visible = people()
    blind = small(blind=True)
    with torch.inference_mode():
        answer = blind(image, kpts, visible)
        assert torch.equal(blind(1 - image, kpts, visible)["rotations"], answer["rotations"])
        assert not torch.equal(blind(image, -kpts, visible)["rotations"], answer["rotations"])
        seeing = small()
        expected = seeing(image, kpts, visible)["rotations"]
        assert not torch.equal(seeing(1 - image, kpts, visible)["rotations"], expected)


def test_mixed_precision_and_channels_last_train_as_well() -> None:
    """Places, rotations and the body stay in single precision; every parameter that is trained gets a gradient."""
    model = copy.deepcopy(small("canny", prior_frozen=False)).train().to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        answer = model(*people())
        loss = sum(answer[name].float().square().mean() for name in ANSWERS)
    assert all(answer[name].dtype == torch.float32 for name in ANSWERS)
    assert {each.dtype for each in answer["features"]} == {torch.bfloat16}
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_rounded_layers_move_the_body_by_little() -> None:
    with torch.inference_mode():
        expected = small()(*people())
        with torch.autocast("cpu", torch.bfloat16):
            answer = small()(*people())
    assert (answer["heat_joints"] - expected["heat_joints"]).abs().max() < 0.02
    assert (answer["joints17_m"] - expected["joints17_m"]).norm(dim=-1).mean() < 0.05


def test_a_frozen_prior_neither_learns_nor_drops_anything_in_training() -> None:
    frozen, learning = copy.deepcopy(small()).train(), copy.deepcopy(small(prior_frozen=False)).train()
    assert not frozen.prior.training and learning.prior.training
    assert not any(parameter.requires_grad for parameter in frozen.prior.parameters())
    latent = torch.randn(4, 8)
    assert torch.equal(frozen.prior(latent), frozen.prior(latent))
    assert not torch.equal(learning.prior(latent), learning.prior(latent))


def test_a_fresh_network_gives_a_person_who_faces_the_camera() -> None:
    torch.manual_seed(0)
    answer = build("sefd", {**SMALL, "edge": "zero"}).eval()(*people())
    joints = dict(zip(SMPL30, answer["joints30_m"][0], strict=True))
    assert joints["head_top"][1] < -0.4 < 0.4 < joints["left_ankle"][1], "y is down"
    assert joints["left_hip"][0] > joints["right_hip"][0], "her left is at the image's right"
    assert joints["nose"][2] < joints["head"][2], "the nose is nearer"


@given(metres=st.floats(0.3, 2.5), x=st.floats(-1, 1), y=st.floats(-1, 1))
def test_a_far_camera_sees_metres_as_shares_of_the_crop(metres: float, x: float, y: float) -> None:
    """g is such that half a crop is so many metres at the person; her own depth hardly matters."""
    share = metres / HALF_WIDTH_M
    camera = torch.tensor([[0.0, 0.0, np.log(share / (1 - share))]], dtype=torch.float32)
    assert camera_m(camera)[0, 2].item() == pytest.approx(FOCAL * metres, rel=1e-4)
    (place,) = projected(torch.tensor([[[x, y, 0.0]]]), camera)[0]
    assert place.tolist() == pytest.approx([x / metres, y / metres], rel=1e-3, abs=1e-5)


def test_the_deployed_form_takes_keypoints_as_lifters_do() -> None:
    image, _, _ = people()
    generator = torch.Generator().manual_seed(1)
    kpts = torch.randn((6, 17, 2), generator=generator)
    visible = (torch.rand((6, 17), generator=generator) > 0.3).float()
    placed, score = smpl30_from_h36m17(kpts.numpy(), visible.numpy())
    with torch.inference_mode():
        answer = small("canny").deployed()(image, kpts, visible)
        expected = small("canny")(image, torch.from_numpy(placed) / CROP_HALF_WIDTH, torch.from_numpy(score))
        hidden = torch.where(visible[..., None] > 0, kpts, 1e4)
        again = small("canny").deployed()(image, hidden, visible)
    pelvis = expected["joints17_m"][:, :1]
    for name, value in (
        ("joints_root_m", expected["joints17_m"] - pelvis),
        ("vertices_root_m", expected["vertices_m"] - pelvis),
        ("rotations", expected["rotations"]),
        ("shape", expected["shape"]),
    ):
        torch.testing.assert_close(answer[name], value, rtol=0, atol=FLOAT32)
        assert torch.equal(again[name], answer[name])
    assert answer["joints_root_m"][:, 0].abs().max() == 0


def test_the_folded_form_equals_the_trained_one() -> None:
    folded = copy.deepcopy(small("canny"))
    folded.fold()
    assert not any("Norm" in type(module).__name__ for module in folded.modules())
    with torch.inference_mode():
        expected, answer = small("canny")(*people()), folded(*people())
    for name in ANSWERS:
        torch.testing.assert_close(answer[name], expected[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        pytest.param({"backbone": "vgg"}, "unknown backbone 'vgg' of SEFD; known: resnet10, resnet18", id="backbone"),
        pytest.param({"edge": "sobel"}, "unknown kind of edges 'sobel' of SEFD; known: none, given, canny", id="edges"),
        pytest.param({"widths": (8, 8)}, "needs the widths of four stages, got", id="widths"),
        pytest.param({"image_size": 100}, "a multiple of 32, got 100", id="size"),
        pytest.param({"last_stride": 3}, "unknown last stride 3 of SEFD; known: 1, 2", id="stride"),
        pytest.param({"depth": 3}, "SefdConfig has no \\['depth'\\]", id="unknown"),
    ],
)
def test_impossible_configs_are_refused_in_one_sentence(config: dict[str, object], says: str) -> None:
    with pytest.raises(OccposeError, match=says):
        build("sefd", config)


def test_a_stored_network_is_read_back_with_its_body(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, small("canny"), describe("small", "sefd", small("canny"), {"steps": 3}))
    model, info = load_checkpoint(path)
    assert (info.image_size, info.form, info.window, info.training) == (SIZE, "paper", 1, {"steps": 3})
    with torch.inference_mode():
        assert torch.equal(model(*people())["vertices_m"], small("canny")(*people())["vertices_m"])
    with pytest.raises(BodyFileError, match="SMPL_NEUTRAL"):
        load_checkpoint(path, body=tmp_path)
    (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps(Path.cwd))
    with pytest.raises(DatasetError, match="refused to read .*SMPL_NEUTRAL.pkl"):
        load_checkpoint(path, body=tmp_path)


def test_weights_of_other_sizes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    other = build("sefd", {**SMALL, "edge": "none"})
    save_checkpoint(path, other, describe("small", "sefd", small("canny"), {}))
    with pytest.raises(ModelFileError, match="its weights or sizes fit no sefd"):
        load_checkpoint(path)
