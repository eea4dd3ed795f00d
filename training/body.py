"""Write the capsule body in the files of SMPL: `python -m training body --out DIR`.

For trying what reads such files without SMPL's own, which are its makers' to give.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from occpose_core.body.capsules import capsule_body
from occpose_core.body.files import write_body


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; OccposeError on bad input."""
    parser = argparse.ArgumentParser(prog="python -m training body", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the files")
    parser.add_argument("--force", action="store_true", help="overwrite files that are there")
    args = parser.parse_args(argv)
    body = capsule_body()
    for path in write_body(args.out, body, args.force):
        print(path)
    print(f"{len(body['v_template'])} vertices, {len(body['f'])} triangles, {len(body['weights'].T)} joints")
    return 0
