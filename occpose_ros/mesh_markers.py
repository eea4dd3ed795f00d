"""The surfaces of people as RViz markers: a translucent list of triangles for each, in the layer (namespace) `mesh`.

The markers of a person share an id in all layers. RViz lights triangles only if they have one colour for all, and
wants the number of points to be a multiple of 3 and not 0; so who has no mesh is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from occpose_ros.appearance import MESH_RGBA
from occpose_ros.markers import colour_to_msg, marker_fields
from occpose_ros.message_types import MessageTypes

if TYPE_CHECKING:
    from occpose_ros.mesh import CoarseMesh

LAYER = "mesh"


class MeshMarkers:
    """Remembers whose mesh is shown. mesh: which vertices and triangles of a body are."""

    def __init__(self, mesh: CoarseMesh, types: MessageTypes) -> None:
        self._kept = mesh.vertices
        self._corners = mesh.faces.ravel().tolist()
        self._types = types
        self._shown: dict[str, int] = {}

    def update(
        self,
        vertices_cam_m: Mapping[str, np.ndarray],
        ids: Mapping[str, int],
        header: Any,
        *,
        lifetime_s: float,
        reset: bool,
        camera: str,
    ) -> list[Any]:
        """The markers that show just these people's meshes, and take back those of others.

        vertices_cam_m: track id -> (V, 3) of the full mesh in the header's frame; who has numbers that are not finite
        is left out. ids: track id -> marker id. lifetime_s, reset, camera: as for skeleton_markers, before whose
        markers these must not stand.
        """
        base = marker_fields(header, lifetime_s, camera, self._types)
        base |= {"ns": base["ns"] + LAYER, "type": self._types.Marker.TRIANGLE_LIST}
        before, self._shown = {} if reset else self._shown, {}
        markers = []
        for track, vertices_m in vertices_cam_m.items():
            kept_m = vertices_m[self._kept]
            if self._corners and track in ids and np.isfinite(kept_m).all():
                self._shown[track] = ids[track]
                markers.append(self._triangles(kept_m, base | {"id": ids[track]}))
        gone = set(before.values()) - set(self._shown.values())
        delete = {"action": self._types.Marker.DELETE}
        return markers + [self._types.Marker(**base | delete | {"id": number}) for number in sorted(gone)]

    def forget(self) -> None:
        """Everything was taken back."""
        self._shown = {}

    def _triangles(self, vertices_m: np.ndarray, base: dict[str, Any]) -> Any:
        # A vertex is one object that all its triangles share: Python pays for every object in a message.
        point = self._types.Point
        points = [point(x=x, y=y, z=z) for x, y, z in vertices_m.tolist()]
        fields = {
            "color": colour_to_msg(MESH_RGBA[:3], MESH_RGBA[3], self._types),
            "points": [points[corner] for corner in self._corners],
        }
        return self._types.Marker(**base | fields)
