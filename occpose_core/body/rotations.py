"""Rotations (..., 3, 3) that take rest axes to turned axes, in single precision under automatic mixed precision too.

Nothing here multiplies matrices by the layers' routines, which mixed precision rounds.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from occpose_core.errors import OccposeError

_LARGEST = 8.0  # square of the difference of two rotations half a turn apart, summed over the entries


def rotation_from_6d(columns: Tensor) -> Tensor:
    """The rotations (..., 3, 3) whose first two columns, by Gram-Schmidt, come of (..., 6), a (3, 2) row by row.

    Zhou et al., On the Continuity of Rotation Representations in Neural Networks, CVPR 2019.
    """
    first, second = columns.float().unflatten(-1, (3, 2)).unbind(-1)  # type: ignore[no-untyped-call]
    x = normalize(first, dim=-1)
    y = normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y, dim=-1)], dim=-1)


def axis_angle_from_matrix(rotations: Tensor) -> Tensor:
    """Axes (..., 3), as long as the angle in radians, 0 to pi, of rotations (..., 3, 3)."""
    try:
        from kornia.geometry.conversions import rotation_matrix_to_axis_angle
    except ImportError as error:
        raise _missing(error) from error
    return rotation_matrix_to_axis_angle(rotations)


def geodesic_deg(rotations: Tensor, others: Tensor) -> Tensor:
    """Angle (...) between rotations (..., 3, 3) in degrees, 0 to 180."""
    square = (rotations - others).square().sum((-2, -1))
    return torch.rad2deg(2 * torch.atan2(square.sqrt(), (_LARGEST - square).clamp(min=0).sqrt()))


def _missing(error: ImportError) -> OccposeError:
    return OccposeError(f"axes of rotations need the package {error.name!r}: pip install 'occpose[sefd]'")
