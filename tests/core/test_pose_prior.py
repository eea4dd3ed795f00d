"""The pose prior: what its decoder gives, whose files it reads, and what it says where there is none."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from occpose_core.errors import OccposeError  # noqa: E402
from occpose_core.models.pose_prior import PosePrior, PosePriorDecoder, read_pose_prior  # noqa: E402
from tests.tolerances import FLOAT32  # noqa: E402


def prior() -> PosePrior:
    torch.manual_seed(0)
    return PosePrior().eval()


@pytest.mark.parametrize("people", [1, 3, 4])
def test_the_decoder_gives_rotations_near_rest_at_the_start(people: int) -> None:
    rotations = prior()(torch.zeros(people, 32))
    assert rotations.shape == (people, 21, 3, 3)
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(people, 21), rtol=0, atol=FLOAT32)
    assert (rotations - torch.eye(3)).abs().max() < 0.3


def test_the_decoder_has_the_published_size() -> None:
    assert sum(parameter.numel() for parameter in PosePriorDecoder().parameters()) == 344_190


def test_the_code_of_a_pose_has_a_mean_and_a_spread() -> None:
    model = prior()
    mean, sd = model.encode(model(torch.randn(5, 32)))
    assert mean.shape == sd.shape == (5, 32) and (sd > 0).all()


@pytest.mark.parametrize(
    ("file", "prefix"),
    [
        pytest.param("prior.safetensors", "", id="occpose's own"),
        pytest.param("snapshots/TR00_E096.pt", "", id="VPoser's folder"),
        pytest.param("snapshots/TR00_E096.pt", "module.", id="VPoser's, trained on several GPUs"),
    ],
)
def test_decoders_are_read_from_files_of_both_kinds(file: str, prefix: str, tmp_path: Path) -> None:
    trained = prior()
    stored = {prefix + name: each for name, each in trained.state_dict().items()}
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    save_file(stored, path) if path.suffix == ".safetensors" else torch.save(stored, path)
    decoder = PosePriorDecoder().eval()
    decoder.load_state_dict(read_pose_prior(path if path.suffix == ".safetensors" else tmp_path))
    latent = torch.randn(2, 32)
    assert torch.equal(decoder(latent), trained(latent))
    assert set(trained.decoder_state()) == set(decoder.state_dict())


class _Unsafe:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("this must not run",))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, "no pose prior at .*python -m training fit .*vposer_v1_0.*registration", id="missing"),
        pytest.param(b"nonsense", "holds no weights that can be read safely", id="nonsense"),
        pytest.param(pickle.dumps(_Unsafe(), protocol=2), "holds no weights that can be read safely", id="unsafe"),
        pytest.param({"other": torch.zeros(2)}, "holds no pose prior: bodyprior_dec_fc1.bias is missing", id="another"),
    ],
)
def test_what_is_no_prior_is_refused_in_one_sentence(
    content: object, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prior.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(OccposeError, match=says) as raised:
        read_pose_prior(path)
    assert "\n" not in str(raised.value) and not capsys.readouterr().out
