"""What is said of people after a step: their skeletons."""

from __future__ import annotations

import numpy as np

from occpose_core.admission import Seen
from occpose_core.camera import px_from_rays, rays_from_cam
from occpose_core.person import People
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.types import Camera, Origin, ScaleSource, Skeleton3D, State

_ORIGINS = np.array([Origin.FILLED, Origin.MEASURED], dtype=np.uint8)  # of hidden and of visible joints
_SCALE_SOURCES = {source.value: source for source in ScaleSource}


def answer(
    people: People, seen: Seen, filled_rays: np.ndarray | None, camera: Camera, config: PipelineConfig
) -> tuple[Skeleton3D, ...]:
    """Skeletons of everybody who is seen now or was within hold_s.

    seen: by rows of `people`. filled_rays: (N, J, 2) the network's 2D pose, of people whom it was asked about.
    """
    joints = people.pose_cam_m(config.velocity_time_s)[1]
    sigma = people.rows["sigma_m"]
    if np.count_nonzero(people.since_s):
        grown = config.hold_growth_mps * np.minimum(people.since_s, config.hold_s)
        sigma = np.hypot(sigma, grown[:, None])
    origin = _ORIGINS.take(seen.visible)
    unknown = sigma > config.unknown_sigma_m
    if np.count_nonzero(unknown):
        origin[unknown] = Origin.UNKNOWN
    columns = (
        people.ids,
        people.since_s.tolist(),
        joints.astype(np.float32),
        sigma.astype(np.float32),
        origin,
        _px(people, seen, joints, filled_rays, camera),
        *(people.rows[name].tolist() for name in ("height_m", "metric", "source")),
    )
    return tuple(
        Skeleton3D(
            id=name,
            state=State.OCCLUDED if since_s else State.TRACKED,
            joints_cam_m=joints_cam_m,
            sigma_m=sigma_m,
            origin=origins,
            kpts_px=kpts_px,
            height_m=height_m,
            metric=metric,
            scale_source=_SCALE_SOURCES[source],
        )
        for name, since_s, joints_cam_m, sigma_m, origins, kpts_px, height_m, metric, source in zip(
            *columns, strict=True
        )
        if since_s <= config.hold_s
    )


def _px(people: People, seen: Seen, joints: np.ndarray, filled_rays: np.ndarray | None, camera: Camera) -> np.ndarray:
    """(N, J, 2) float32: visible joints where they are seen, hidden ones where the network or their pose has them."""
    px, hidden = seen.xy_px.copy(), ~seen.visible
    if np.count_nonzero(hidden):
        if filled_rays is None:
            rays = rays_from_cam(joints)
        elif np.count_nonzero(people.since_s):
            # of a person who is hidden entirely the network does not know how the root moves on
            filled = (people.rows["answered_ns"] == people.stamp_ns) & seen.visible.any(axis=-1)
            rays = np.where(filled[:, None, None], filled_rays, rays_from_cam(joints))
        else:
            rays = filled_rays
        px[hidden] = px_from_rays(rays[hidden], camera)
    return px
