"""Bodies in images: errors of models whose answers are known, groups, intervals, and the command."""

import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from occpose_core.body_evaluation import BodyErrors, BodyEvaluationError, Seen, errors_of, see
from occpose_core.body_figures import figures_of, tables
from occpose_core.body_truth import POSED, BodyTruthError, TrueBodyModel, orientations
from occpose_core.camera import view_of
from occpose_core.cli import main
from occpose_core.imagesets import read_image_set
from occpose_core.report import text_table
from occpose_core.runtime.image_engine import BodyAnswer
from tests.core.tiny_body import tiny_body

pytest.importorskip("torch", reason="pip install 'occpose[train]'")

from tests.training.rendered_files import write_rendered

PEOPLE = 12
UNTURNED = np.eye(3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_rendered(tmp_path_factory.mktemp("set") / "rendered", images=6, splits=("test", "val"))


@pytest.fixture(scope="module")
def images(folder):
    return read_image_set("rendered", folder, "test")


@pytest.fixture(scope="module")
def truth(images):
    return TrueBodyModel(images)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_body(tmp_path_factory.mktemp("tiny") / "tiny.onnx")


class Oracle:
    """An image model that knows the answers, in the axes of each person's view, and gives them with known errors.

    turn: rotation in the camera's axes by which all is turned. grown: by what joints and mesh are blown up. edge: kind
    of its edges.
    """

    takes_edges = True
    backend = reason = "it knows"

    def __init__(self, seen, truth, turn=UNTURNED, grown=1.0, edge="given"):
        self.info = SimpleNamespace(image_size=32, name="oracle", config={"edge": edge})
        self._seen, self._truth, self._turn, self._grown, self._next = seen, truth, turn, grown, 0
        self.inputs = []

    def run(self, images, kpts, visible, edges=None):
        self.inputs.append((images, kpts, visible, edges))
        rows = slice(self._next, self._next + len(images))
        self._next = rows.stop
        people = self._seen.people[rows]
        body = self._truth.of(people)
        view_from_cam = np.swapaxes(view_of(self._seen.rays[rows], self._seen.score[rows] > 0).cam_from_view, -1, -2)
        rotations = Rotation.from_rotvec(np.stack([each.pose for each in people]).reshape(-1, 3)).as_matrix()
        rotations = rotations.reshape(-1, 24, 3, 3)
        to_view = view_from_cam @ self._turn
        rotations[:, 0] = to_view @ rotations[:, 0]

        def moved(points):
            return self._grown * np.einsum("bij,bpj->bpi", to_view, points) + 0.3

        return BodyAnswer(
            joints_root_m=moved(body.joints_m) - moved(body.joints_m)[:, :1],
            vertices_root_m=moved(body.vertices_m),  # from whatever point: the evaluation takes them from their pelvis
            rotations=rotations,
            shape=np.zeros((len(people), 10)),
        )


def silent(done):
    pass


@pytest.fixture(scope="module")
def seen(images):
    return see(images, seed=0, layout="h36m17")


def test_whoever_knows_the_answers_errs_by_nothing(seen, truth):
    errors = errors_of(Oracle(seen, truth), seen, truth, silent)
    assert errors.joints_m.shape == (PEOPLE, 14) and errors.angles_deg.shape == (PEOPLE, len(POSED))
    for values, unit in ((errors.joints_m, 1e-5), (errors.pa_joints_m, 1e-5), (errors.vertices_m, 1e-5)):
        assert np.abs(values).max() < unit
    assert errors.angles_deg.max() < 0.01


def test_a_turned_answer_errs_by_the_angle_and_not_after_alignment(seen, truth):
    turn = Rotation.from_rotvec([0.0, np.radians(20.0), 0.0]).as_matrix()
    errors = errors_of(Oracle(seen, truth, turn), seen, truth, silent)
    assert errors.angles_deg == pytest.approx(np.full_like(errors.angles_deg, 20.0), abs=0.01)
    assert errors.pa_joints_m.max() < 1e-5
    from_axis_m = np.linalg.norm(truth.of(seen.people).vertices_m[..., [0, 2]], axis=-1)
    chord_m = 2 * np.sin(np.radians(10.0)) * from_axis_m
    assert errors.vertices_m == pytest.approx(chord_m.mean(axis=-1), abs=1e-4)


def test_a_larger_body_errs_by_its_size_and_not_after_alignment(seen, truth):
    errors = errors_of(Oracle(seen, truth, grown=1.1), seen, truth, silent)
    assert errors.pa_joints_m.max() < 1e-5 and errors.angles_deg.max() < 0.01
    true = truth.of(seen.people)
    assert errors.vertices_m == pytest.approx(0.1 * np.linalg.norm(true.vertices_m, axis=-1).mean(axis=-1), abs=1e-4)


def test_the_truth_of_a_body_agrees_with_its_labels(images, truth):
    true = truth.of(images)
    hips = [1, 4, 2, 5, 3, 6]  # right and left hip, knee, ankle in h36m17
    labelled = np.stack([person.joints_cam_m[[2, 1, 5, 4, 8, 7]] - person.joints_cam_m[0] for person in images])
    assert true.joints_m[:, hips] == pytest.approx(labelled, abs=0.02)


def test_every_model_gets_the_same_input_whoever_else_is_asked_about(images, truth, seen):
    oracles = [Oracle(see(images, seed=0, layout="h36m17"), truth) for _ in range(2)]
    for oracle in oracles:
        errors_of(oracle, seen, truth, silent)
    for one, other in zip(*(oracle.inputs for oracle in oracles), strict=True):
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))
    pictures, kpts, visible, edges = oracles[0].inputs[0]
    assert pictures.shape == (PEOPLE, 3, 32, 32) and edges.shape == (PEOPLE, 1, 32, 32)
    assert edges.max() > 0.5 and pictures.max() > 0.2
    assert np.array_equal(visible > 0, seen.score > 0) and (kpts[visible == 0] == 0).all()
    other = see(images, seed=1, layout="h36m17")
    assert not np.array_equal(other.rays, seen.rays)


def test_a_student_is_never_given_the_true_edges(truth, seen):
    student = Oracle(seen, truth, edge="hed")
    errors_of(student, seen, truth, silent)
    assert [edges for _, _, _, edges in student.inputs] == [None] * len(student.inputs)


def test_a_part_of_the_people_is_spread_over_all(images):
    few, everybody = (see(images, seed=0, layout="h36m17", most=most) for most in (5, None))
    assert len(few) + few.unseen == 5
    assert len({person.image_path for person in few.people}) >= 4
    rows = [everybody.people.index(person) for person in few.people]
    assert np.array_equal(few.rays, everybody.rays[rows]), "the same errors, whoever else is asked about"


@pytest.mark.parametrize(
    ("layout", "absent"),
    [
        pytest.param("coco17", [7, 9, 10], id="coco17 has no spine, neck and head top"),
        pytest.param("h36m17", [], id="h36m17 has all"),
    ],
)
def test_detectors_give_no_joints_that_their_layout_lacks(images, layout, absent):
    score = see(images, seed=0, layout=layout, detector="gt").score
    assert (score[:, absent] == 0).all()
    assert (score > 0).any(axis=0).sum() == 17 - len(absent)


def test_true_input_has_what_is_not_hidden(images):
    seen = see(images, seed=0, layout="h36m17", detector="gt")
    assert (seen.score[seen.hidden] == 0).all() and (seen.score[~seen.hidden] == 1).any()
    with pytest.raises(BodyEvaluationError, match="no 2D input 'noisy'; known: gt, detector"):
        see(images, seed=0, layout="h36m17", detector="noisy")


def test_orientations_add_up_along_the_limbs():
    rng = np.random.default_rng(0)
    rotations = Rotation.random(2 * 24, random_state=rng).as_matrix().reshape(2, 24, 3, 3)
    turned = orientations(rotations)
    wrist, chain = POSED.index("left_wrist"), [0, 3, 6, 9, 13, 16, 18, 20]
    expected = np.eye(3)
    for joint in chain:
        expected = expected @ rotations[1, joint]
    assert turned[1, wrist] == pytest.approx(expected, abs=1e-9)
    assert len(POSED) == 22 and turned.shape == (2, 22, 3, 3)


# --- figures


def known_errors(level_m):
    """Of four people in two scenes, the last two occluded; all joints of a person err alike."""
    return BodyErrors(
        joints_m=np.repeat(np.array(level_m)[:, None], 14, axis=1),
        pa_joints_m=np.repeat(np.array(level_m)[:, None], 14, axis=1) / 2,
        vertices_m=2 * np.array(level_m),
        angles_deg=np.full((4, 22), np.nan),
    )


@pytest.fixture
def four():
    people = [SimpleNamespace(scene=scene) for scene in ("a", "a", "b", "b")]
    occluded = np.array([False, False, True, True])
    hidden = np.zeros((4, 17), dtype=bool)
    hidden[3, 13] = True
    return Seen(people=people, rays=np.zeros(0), score=np.zeros(0), hidden=hidden, occluded=occluded, unseen=0)


def test_figures_are_means_of_groups_with_intervals_over_scenes(four):
    errors = {"one": known_errors([0.1, 0.1, 0.2, 0.4]), "two": known_errors([0.11, 0.11, 0.21, 0.41])}
    results = {(each["model"], each["group"]): each for each in figures_of(errors, four)}
    assert [results["one", group]["mpjpe_mm"]["mean"] for group in ("all", "occluded", "not occluded")] == (
        pytest.approx([200, 300, 100])
    )
    everybody = results["one", "all"]
    assert (everybody["people"], everybody["scenes"]) == (4, 2)
    assert everybody["mpjpe_mm"]["low"] == pytest.approx(100) and everybody["mpjpe_mm"]["high"] == pytest.approx(300)
    assert everybody["pa_mpjpe_mm"]["mean"] == pytest.approx(100)
    assert everybody["mpvpe_mm"]["mean"] == pytest.approx(400)
    assert everybody["hidden_mpjpe_mm"]["mean"] == pytest.approx(400)
    assert np.isnan(everybody["mpjae_deg"]["mean"])
    less = results["two", "all"]["minus_first"]["mpjpe_mm"]
    assert [less[key] for key in ("mean", "low", "high")] == pytest.approx([10, 10, 10]), (
        "people are compared with themselves"
    )


def test_tables_show_each_group_and_the_differences(four):
    errors = {"one": known_errors([0.1, 0.1, 0.2, 0.4]), "two": known_errors([0.11, 0.11, 0.21, 0.41])}
    made = tables(figures_of(errors, four))
    assert [table.title.split(":")[0] for table in made] == [
        f"{start} {group}"
        for group in ("all", "occluded", "not occluded")
        for start in ("Errors,", "Less those of one,")
    ]
    assert "10.0 (10.0 to 10.0)" in text_table(made[1]) and " - " in text_table(made[0])


# --- the command


def run(tiny, folder, *words):
    return main(["evaluate", "--model", str(tiny), "stream-s", "--images", str(folder), "--split", "test", *words])


def test_the_command_prints_and_writes_the_metrics(tiny, folder, tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert run(tiny, folder, "--json", str(out), "--html", str(tmp_path / "page.html"), "--layout", "coco17") == 0
    printed = capsys.readouterr().out
    for word in ("MPJPE", "PA-MPJPE", "MPVPE", "rotation", "occluded", "Less those of tiny"):
        assert word in printed
    written = json.loads(out.read_text())
    assert written["people"] + written["unseen"] == PEOPLE and written["input"] == "detector"
    everybody = {each["model"]: each for each in written["results"] if each["group"] == "all"}
    assert 0 < everybody["tiny"]["mpjpe_mm"]["low"] <= everybody["tiny"]["mpjpe_mm"]["mean"] < 2000
    assert 0 < everybody["tiny"]["mpjae_deg"]["mean"] < 180
    assert everybody["tiny"]["mpvpe_mm"]["mean"] is None, "its mesh has other vertices than the true one"
    assert everybody["stream-s"]["mpjae_deg"]["mean"] is None and everybody["stream-s"]["mpjpe_mm"]["mean"] > 0
    assert "Less those of tiny" in (tmp_path / "page.html").read_text()
    assert [model["image_size"] for model in written["models"]] == [32, 0]
    again = tmp_path / "again.json"
    assert run(tiny, folder, "--json", str(again), "--layout", "coco17") == 0
    assert again.read_text() == out.read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        pytest.param(["--body", "there"], "has bodies of the kind 'capsules': leave --body out", id="a body too many"),
        pytest.param(["--input", "noisy"], "no 2D input 'noisy'", id="another input"),
        pytest.param(["--input", "gt", "detector"], "one 2D input at a time", id="two inputs"),
        pytest.param(["--rig", "train", "--rate", "25"], "--rig, --rate has no meaning with --images", id="a rig"),
        pytest.param(["--split", "train"], "has no people of split 'train'", id="nobody"),
        pytest.param(["--model", "stream-s"], "a model is given twice", id="a model twice"),
        pytest.param(["--model", "filling"], "is no model for single frames", id="no lifter"),
        pytest.param(["--image-set", "coco"], "has no annotations/", id="another kind of set"),
        pytest.param(["--backend", "torch"], "backend torch runs .safetensors files", id="another backend"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(tiny, folder, words, sentence, capsys):
    assert run(tiny, folder, *words) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


def test_sets_with_bodies_of_smpl_ask_for_its_files(tiny, folder, tmp_path, capsys):
    other = tmp_path / "smpl"
    shutil.copytree(folder, other)
    content = json.loads((other / "annotations.json").read_text())
    content["info"]["body"] = "smpl"
    (other / "annotations.json").write_text(json.dumps(content))
    assert run(tiny, other) == 2
    assert "name the folder of SMPL's files with --body" in capsys.readouterr().err
    assert run(tiny, other, "--body", str(tmp_path)) == 2
    assert "smpl.is.tue.mpg.de" in capsys.readouterr().err


def test_without_torch_there_are_no_true_bodies(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BodyTruthError, match="need the package 'torch': pip install"):
        TrueBodyModel(images)


def test_options_of_images_have_no_meaning_for_recordings(capsys):
    assert main(["evaluate", "--model", "stream-s", "--data", "motion.npz", "--layout", "coco17"]) == 2
    assert "--layout has no meaning with --data: leave it out" in capsys.readouterr().err


def test_recordings_or_images_are_needed(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "--model", "stream-s"])
    assert "one of the arguments --data --images is required" in capsys.readouterr().err
