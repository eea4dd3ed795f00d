"""How people look, in RViz and on the camera image alike.

Measured is blue, filled is orange: colour-blind people tell these two apart (Okabe and Ito, 2008). What is filled fades
as its standard deviation grows.
"""

from __future__ import annotations

from occpose_core.types import State

MEASURED_RGB = (0.337, 0.706, 0.914)  # sky blue
FILLED_RGB = (0.902, 0.624, 0.0)  # orange
MESH_RGBA = (0.75, 0.75, 0.78, 0.5)  # grey, and the skeleton shines through


def label_of(id: str, state: int) -> str:
    """The text above a person: the track id, and whether the person is only predicted."""
    return f"{id or '?'} (hidden)" if state == State.OCCLUDED else id or "?"


def label_rgb(state: int) -> tuple[float, float, float]:
    """Colour of that text."""
    return FILLED_RGB if state == State.OCCLUDED else MEASURED_RGB
