"""`python -m training body` writes files that body models are read from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from occpose_core.body.files import read_body
from training.__main__ import main


def test_files_are_written_named_and_readable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "smpl"
    assert main(["body", "--out", str(out)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert all(Path(line).is_file() for line in told[:2])
    body = read_body(out)
    assert f"{len(body.vertices_m)} vertices, {len(body.faces)} triangles, 24 joints" == told[-1]
    np.testing.assert_array_equal(body.vertices_m, read_body("capsules").vertices_m)


def test_files_stay_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["body", "--out", str(tmp_path)]) == 0
    assert main(["body", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["body", "--out", str(tmp_path), "--force"]) == 0
