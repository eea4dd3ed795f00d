"""Engines: shipped models run, exports equal torch, wrong files are refused in one sentence."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from occpose_core.checkpoint import METADATA_KEY, ModelFileError, ModelInfo
from occpose_core.pipeline import PosePipeline
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.runtime import DEFAULT_MODEL, WEIGHTS, load, shipped_models
from tests.core.cardboard import CAMERA, standing
from tests.tolerances import ENGINE, FLOAT32

JOINTS = 17


def inputs(people: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(people, 1, JOINTS, 2)).astype(np.float32), rng.random((people, 1, JOINTS)) > 0.3


def test_the_default_model_is_shipped() -> None:
    assert DEFAULT_MODEL in shipped_models()


def test_shipped_weights_stay_small() -> None:
    limits = {"stream-s": 10e6, "stream-b": 30e6, "": 60e6}  # "": all others together
    sizes = dict.fromkeys(limits, 0)
    for path in WEIGHTS.iterdir():
        sizes[path.stem if path.stem in limits else ""] += path.stat().st_size
    assert all(sizes[name] <= limit for name, limit in limits.items()), sizes


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_answer_for_any_number_of_people(name: str) -> None:
    engine = load(name)
    assert engine.info.name == name
    kpts, visible = inputs(7)
    together = engine.run(kpts, visible)
    for people in (1, 3):
        some = engine.run(kpts[:people], visible[:people])
        for output in engine.info.outputs:
            array = getattr(some, output)
            assert array.shape[:2] == (people, JOINTS)
            assert np.isfinite(array).all()
            np.testing.assert_allclose(array, getattr(together, output)[:people], atol=FLOAT32, rtol=0)


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_do_not_read_masked_values(name: str) -> None:
    engine = load(name)
    kpts, visible = inputs(8)
    expected = engine.run(kpts, visible)
    for value in (1e5, np.nan):
        answer = engine.run(np.where(visible[..., None], kpts, value).astype(np.float32), visible)
        for output in engine.info.outputs:
            np.testing.assert_array_equal(getattr(answer, output), getattr(expected, output))


@pytest.mark.parametrize("name", sorted({path.stem for path in WEIGHTS.glob("*.safetensors")}))
def test_shipped_onnx_and_checkpoint_agree(name: str) -> None:
    pytest.importorskip("torch")
    kpts, visible = inputs(16)
    onnx, torch = load(name).run(kpts, visible), load(name, "torch").run(kpts, visible)
    # weights are rounded to half precision once before and once after folding
    for output in load(name).info.outputs:
        np.testing.assert_allclose(getattr(onnx, output), getattr(torch, output), atol=5e-3)


@pytest.fixture(scope="module")
def exported_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small exported lifter; exporting takes seconds."""
    pytest.importorskip("torch")
    from occpose_core.export import export_onnx
    from occpose_core.models import build, describe

    model = build("lcn", {"channels": 8, "masked": True, "target": "metric"}).eval()
    path = tmp_path_factory.mktemp("export") / "small.onnx"
    export_onnx(model, describe("small", "lcn", model, {}), path)
    assert [each.name for each in path.parent.iterdir()] == ["small.onnx"], "nothing else is left behind"
    return path


@pytest.fixture
def exported(exported_once: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    return Path(shutil.copy(exported_once, tmp_path / "small.onnx"))


def test_export_writes_what_it_measured(exported: Path) -> None:
    info = load(exported).info
    differences = info.training["export"]["max_difference"]
    assert set(differences) == {"joints_root_m", "sigma_m"}
    assert max(differences.values()) <= ENGINE


def test_export_holds_no_path_of_the_machine_that_made_it(exported: Path) -> None:
    assert str(Path(__file__).parents[2]).encode() not in exported.read_bytes()


def rewrite_info(path: Path, **changes: object) -> None:
    import onnx

    proto = onnx.load(path)
    info = ModelInfo.from_metadata({p.key: p.value for p in proto.metadata_props}, path)
    del proto.metadata_props[:]
    proto.metadata_props.add(key=METADATA_KEY, value=dataclasses.replace(info, **changes).to_json())
    save(proto, path)


def strip_metadata(path: Path) -> None:
    import onnx

    proto = onnx.load(path)
    del proto.metadata_props[:]
    save(proto, path)


def save(proto: object, path: Path) -> None:
    from tests import onnx_files

    onnx_files.save(proto, path)


def flip_a_bit(path: Path) -> None:
    """What a bad disk does to a weight; the number stays finite and the graph as it was."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def forget_checksum(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"sha256") - 4])  # from the tag and length of its entry on


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(Path.unlink, "no model file at .*occpose models", id="missing"),
        pytest.param(lambda path: path.write_bytes(b""), "cannot load", id="empty"),
        pytest.param(lambda path: path.write_text("hello"), "cannot load", id="text"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:5000]), "cannot load", id="truncated"),
        pytest.param(strip_metadata, "not exported by occpose", id="foreign"),
        pytest.param(lambda path: rewrite_info(path, layout="coco17"), "layout 'coco17'", id="layout"),
        pytest.param(lambda path: rewrite_info(path, normalisation="screen"), "normalisation 'screen'", id="screen"),
        pytest.param(lambda path: rewrite_info(path, outputs=("filled",)), "export it again", id="outputs"),
        pytest.param(flip_a_bit, "its checksum does not fit", id="a bit"),
        pytest.param(forget_checksum, "its checksum does not fit", id="no checksum"),
    ],
)
def test_wrong_model_files_are_refused(exported: Path, damage: object, says: str) -> None:
    damage(exported)
    with pytest.raises(ModelFileError, match=says):
        load(exported)


@pytest.mark.parametrize(
    ("model", "backend", "says"),
    [
        pytest.param("filing", "auto", "did you mean 'filling'", id="typing error"),
        pytest.param("filling", "cuda", "known: auto, onnxruntime", id="backend"),
        pytest.param("filling-lcn", "torch", "not shipped as .safetensors", id="not for this backend"),
        pytest.param(WEIGHTS / "filling.onnx", "torch", "runs .safetensors files", id="file of another backend"),
    ],
)
def test_unknown_models_and_backends_are_refused(model: str | Path, backend: str, says: str) -> None:
    with pytest.raises(ModelFileError, match=says):
        load(model, backend)


# --- streaming models


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small model with a window, exported as it is usual, and with its window; exporting takes seconds."""
    torch = pytest.importorskip("torch")
    from occpose_core.checkpoint import load_checkpoint, save_checkpoint
    from occpose_core.cli import main
    from occpose_core.export import probes
    from occpose_core.models import build, describe

    torch.manual_seed(0)
    config = {"window": 27, "causal": True, "masked": True, "channels": 16, "hidden": 32}
    model = build("strided-posegraph", config).train()
    with torch.no_grad():
        for seed in range(3):
            model(*probes(27, seed=seed))
    folder = tmp_path_factory.mktemp("streamed")
    trained = folder / "small.safetensors"
    save_checkpoint(trained, model.eval(), describe("small", "strided-posegraph", model, {}, rate_hz=30.0))
    for name, arguments in (("usual", []), ("windowed", ["--windowed"])):
        assert main(["export", str(trained), "--out", str(folder / name), *arguments]) == 0
        assert not load_checkpoint(folder / name / "small.safetensors")[1].streaming, "that is the trained form"
    return folder / "usual" / "small.onnx", folder / "windowed" / "small.onnx"


def test_a_streaming_file_says_so_and_how_far_it_is_from_the_windowed_model(streamed: tuple[Path, Path]) -> None:
    streaming, windowed = (load(path).info for path in streamed)
    assert (streaming.streaming, streaming.window, streaming.frames) == (True, 27, 1)
    assert (windowed.streaming, windowed.window, windowed.frames, windowed.state_size) == (False, 27, 27, 0)
    assert streaming.state_size > 26
    assert max(streaming.training["export"]["max_difference"].values()) <= ENGINE


def test_a_stream_of_frames_gets_the_answers_of_the_window(streamed: tuple[Path, Path]) -> None:
    streaming, windowed = map(load, streamed)
    rng = np.random.default_rng(0)
    kpts = rng.normal(size=(3, 40, JOINTS, 2)).astype(np.float32)
    score = (rng.random((3, 40, JOINTS)) * (rng.random((3, 40, JOINTS)) < 0.7)).astype(np.float32)
    score[1, 8:12] = 0
    state, half = None, None
    for newest in range(40):
        now = slice(newest, newest + 1)
        answer = streaming.run(kpts[:, now], score[:, now], state)
        only = streaming.run(kpts[:, now], score[:, now], state, only_state=True)
        np.testing.assert_array_equal(only.state, answer.state)
        assert only.joints_root_m is None
        state = answer.state
        window = np.maximum(np.arange(newest - 26, newest + 1), 0)
        expected = windowed.run(kpts[:, window], score[:, window])
        for output in ("joints_root_m", "sigma_m"):
            np.testing.assert_allclose(getattr(answer, output), getattr(expected, output), atol=ENGINE, rtol=0)
        if newest >= 20:  # somebody who comes later
            half = streaming.run(kpts[:1, now], score[:1, now], half).state
    assert not np.allclose(half, state[:1])


def test_zeros_are_a_person_without_a_past(streamed: tuple[Path, Path]) -> None:
    engine = load(streamed[0])
    kpts, visible = inputs(4)
    zeros = np.zeros((4, engine.info.state_size), np.float32)
    first, same = engine.run(kpts, visible), engine.run(kpts, visible, zeros)
    np.testing.assert_array_equal(first.joints_root_m, same.joints_root_m)
    np.testing.assert_array_equal(first.state, same.state)


def test_a_live_network_answers_the_same_streamed_and_with_its_window(streamed: tuple[Path, Path]) -> None:
    rng, place, people = np.random.default_rng(0), np.array([[-1.0, 0, 5], [0, 0, 6], [1, 0, 7]]), []
    for frame in range(45):
        place += rng.normal(0, 0.02, place.shape)
        scores = rng.random((3, JOINTS)) * (rng.random((3, JOINTS)) < 0.85) * (0 if frame in (20, 21) else 1)
        there = [k for k in range(3) if rng.random() < 0.9 and not (k == 2 and 10 < frame < 30)]
        people.append([standing(*place[k], id=f"p{k}", score=scores[k]) for k in there])
    answers = []
    for path in streamed:
        pipe = PosePipeline(load(path), PipelineConfig(hold_s=0.2, gap_s=0.3, jump_m=50.0))
        steps = [pipe.step(given, frame * 33_333_333, CAMERA) for frame, given in enumerate(people)]
        assert sum(len(step.skeletons) for step in steps) > 80
        answers.append([{s.id: (s.state, s.joints_cam_m, s.sigma_m) for s in step.skeletons} for step in steps])
    for streaming, windowed in zip(*answers, strict=True):
        assert streaming.keys() == windowed.keys()
        for name, (state, joints, sigma) in windowed.items():
            assert streaming[name][0] == state
            np.testing.assert_allclose(streaming[name][1], joints, atol=1e-4)
            np.testing.assert_allclose(streaming[name][2], sigma, atol=1e-4)


def test_a_streaming_file_is_measured_like_the_windowed_one(streamed: tuple[Path, Path]) -> None:
    from occpose_core.clips import film
    from occpose_core.dataset import Motion
    from occpose_core.evaluation import score
    from occpose_core.figures import figures_of

    rng = np.random.default_rng(0)
    time_s = np.arange(120)[:, None, None] / 30
    body = [0.0, 0.0, 0.9] + rng.normal(0, 0.3, (JOINTS, 3)) + 0.15 * np.sin(6 * time_s + np.arange(JOINTS)[:, None])
    motion = Motion(name="sway", subject="s", description="", rate_hz=30.0, joints_world_m=body)
    shots = [film(motion, "train", "noisy")]
    for pattern in ("natural", "limb-run(arm,0.5)"):
        results = [figures_of(score(load(path), shots, [pattern], max_frames=12)) for path in streamed]
        for key in ("all", "visible", "hidden"):
            assert results[0]["mpjpe_mm"][key] == pytest.approx(results[1]["mpjpe_mm"][key], abs=0.01)
        for name, errors in results[1]["baselines"].items():
            assert results[0]["baselines"][name] == pytest.approx(errors, abs=0.01)


def test_a_streaming_file_without_its_state_is_refused(streamed: tuple[Path, Path], tmp_path: Path) -> None:
    path = Path(shutil.copy(streamed[1], tmp_path / "wrong.onnx"))
    rewrite_info(path, streaming=True, state_size=10)
    with pytest.raises(ModelFileError, match="expected kpts, visible, state and .*new_state"):
        load(path)
