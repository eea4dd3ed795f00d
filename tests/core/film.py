"""A pipeline that is shown people frame by frame, under any names, and says who is who."""

import numpy as np

from occpose_core.pipeline import PosePipeline
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.skeleton import H36M17
from occpose_core.types import State
from tests.core.cardboard import CAMERA, FIGURE, STATURE_M, CardboardEngine, standing

PELVIS = H36M17.index("pelvis")


class Forgetful(CardboardEngine):
    """Does not keep what it was given."""

    def run(self, kpts, visible):
        self.calls.clear()
        return super().run(kpts, visible)


def pipeline(own_prefix="t", **config):
    engine = Forgetful(window=4)
    return PosePipeline(engine, PipelineConfig(target_height_m=STATURE_M, **config), own_prefix=own_prefix)


class Film:
    """Steps of a pipeline; `at` is the time of the next in seconds."""

    def __init__(self, hz=30, **options):
        self.pipe, self.hz, self.frame = pipeline(**options), hz, 0

    @property
    def at(self):
        return self.frame / self.hz

    def show(self, *people):
        """The answer to (id, x, y, z) or (id, x, y, z, figure) of everybody who is seen."""
        given = [
            standing(*place[:3], id=name, figure=place[3] if len(place) > 3 else FIGURE) for name, *place in people
        ]
        self.output = self.pipe.step(given, round(self.at * 1e9), CAMERA)
        self.frame += 1
        return self.output

    def ids(self, *people):
        """Ids of those who are tracked in the answer to `people`, in the order of `people`."""
        tracked = [s for s in self.show(*people).skeletons if s.state == State.TRACKED]
        assert len(tracked) == len(people)
        if not people:
            return []
        places = np.array([place[:3] for _, *place in people]).reshape(-1, 3)
        away = np.linalg.norm([s.joints_cam_m[PELVIS] - places for s in tracked], axis=-1)
        assert (away.min(axis=0) < 0.3).all(), "everybody is where they are seen, not between two people"
        return [tracked[row].id for row in away.argmin(axis=0)]


def said(output):
    """An output without the order of people."""
    people = {
        s.id: (s.state, s.joints_cam_m.tobytes(), s.sigma_m.tobytes(), s.kpts_px.tobytes()) for s in output.skeletons
    }
    return people, set(output.lost_ids)
