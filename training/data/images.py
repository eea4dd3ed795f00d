"""People in images: cropped as the node crops them, seen by a detector that errs, turned, mirrored, coloured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from occpose_core.body.joints import SMPL24, SMPL30_MIRROR, available30
from occpose_core.camera import PersonView, rays_from_px, view_of
from occpose_core.crops import CROP_HALF_WIDTH, person_crop, turned
from occpose_core.detector_errors import corrupt
from occpose_core.imagesets.types import JOINTS, ImagePerson
from occpose_core.models.edges import edge_source
from training.data.batch import Batch
from training.data.drawn_module import DrawnModule
from training.data.mocap_module import generator
from training.data.people import FEWEST_JOINTS, People, read_people
from training.data.pictures import Pictures

_MIRROR24 = SMPL30_MIRROR[: len(SMPL24)]
MIRRORED = np.diag([-1.0, 1.0, 1.0])
_MB = 2**20


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """What a training sample looks like; shares are probabilities.

    size: pixels of the crop. layouts: share of each detector's layout, "all" for all 30 joints. hidden_missed: of
    hidden joints that are not detected. errors: whether a detector errs as detector_errors says. scale_sd: of the
    crop's size, cut at one sd. turned: share of crops that are, by angles of turned_sd_deg, cut at two sd. colour: most
    by which a channel is brighter or darker. mirrored: share. edges: kind of edges of the picture that are made here
    (models.edges), for CPUs, which make them faster one by one; "" leaves that to the network.
    """

    size: int = 256
    layouts: Mapping[str, float] = field(default_factory=lambda: {"h36m17": 0.4, "coco17": 0.4, "all": 0.2})
    hidden_missed: float = 0.8
    errors: bool = True
    scale_sd: float = 0.25
    turned_sd_deg: float = 30.0
    turned: float = 0.6
    colour: float = 0.2
    mirrored: float = 0.5
    edges: str = ""

    def without_augmentation(self) -> ImageConfig:
        """For validation: pictures as they were taken, detectors as they are."""
        return replace(self, scale_sd=0.0, turned=0.0, colour=0.0, mirrored=0.0)


class PersonImages(IterableDataset[Batch]):
    """Endless batches of people; each worker, epoch and process (rank) draws its own, as does a resumed run.

    A batch, J = 30 joints of SMPL30, coordinates of the crop from -1 to 1, axes of the person view, turned with it:
    image (B, 3, S, S) uint8; edge (B, 1, S, S) uint8, the privileged map, 0 where there is none; made_edge (B, 1, S, S)
    in 0 to 1, where config asks for it; kpts (B, J, 2) and visible (B, J), 0 or 1, of the detector; true_kpts, labelled
    and hidden alike; joints (B, J, 3) m from the pelvis, located (B, J), has_3d (B, 1); pose (B, 24, 3, 3), shape
    (B, 10), has_fit (B, 1), fit_joints (B, J, 3) and fit_kpts (B, J, 2) of the fitted body; clip (B,), who it is, and
    start (B,), 0.
    """

    def __init__(
        self,
        people: People,
        config: ImageConfig,
        batch: int,
        seed: int,
        first_step: int = 0,
        rank: int = 0,
        room_bytes: int = 0,
    ) -> None:
        super().__init__()
        self.people, self.config, self.batch, self.seed = people, config, batch, seed
        self._first_step, self._rank, self._epoch = first_step, rank, 0
        self._pictures = Pictures(room_bytes)
        self._probability = people.probabilities()
        self._layouts = [np.ones(JOINTS, bool) if name == "all" else available30(name) for name in config.layouts]
        share = np.array(list(config.layouts.values()))
        self._layout_share = share / share.sum()
        self._edges = edge_source(config.edges) if config.edges else None

    def __iter__(self) -> Iterator[Batch]:
        if get_worker_info():
            cv2.setNumThreads(0)  # the cores are taken
        rng = generator(self.seed, self._first_step, self._epoch, self._rank)
        self._epoch += 1
        while True:
            yield self.draw(rng)

    def origin(self, clip: int, start: int) -> str:
        """Where a person came from, in words."""
        return f"image {self.people.persons[clip].image_path}"

    def draw(self, rng: np.random.Generator) -> Batch:
        """One batch."""
        rows = [self._person(rng) for _ in range(self.batch)]
        batch = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
        crop = batch.pop("crop").permute(0, 3, 1, 2)
        batch["image"], batch["edge"] = crop[:, :3], crop[:, 3:]
        if self._edges:
            batch["made_edge"] = torch.cat([self._edges(each.float() / 255) for each in batch["image"].split(1)])
        return batch

    def _person(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        while True:  # until somebody is seen
            index = int(rng.choice(len(self.people), p=self._probability))
            person = self.people.persons[index]
            detected_px, seen = self._detected(person, rng)
            if seen.sum() >= FEWEST_JOINTS:
                return self._sample(index, detected_px, seen, rng)

    def _detected(self, person: ImagePerson, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (30, 2) that a detector gives, and which joints it gives, (30,) bool."""
        layout = self._layouts[int(rng.choice(len(self._layouts), p=self._layout_share))]
        missed = person.hidden & (rng.random(JOINTS) < self.config.hidden_missed)
        seen = person.labelled & layout & ~missed
        if not self.config.errors:
            return person.kpts_px, seen
        px, score = corrupt(person.kpts_px, seen, person.others_px, person.area_px, rng, person.others_labelled)
        return px, score > 0

    def _sample(
        self, index: int, detected_px: np.ndarray, seen: np.ndarray, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        config, people, person = self.config, self.people, self.people.persons[index]
        mirrored = bool(rng.random() < config.mirrored)
        angle = np.clip(rng.standard_normal(), -2, 2) * np.radians(config.turned_sd_deg)
        turn_rad = float(angle) if rng.random() < config.turned else 0.0
        scale = 1 + config.scale_sd * np.clip(rng.standard_normal(), -1, 1)
        gain = rng.uniform(1 - config.colour, 1 + config.colour, size=3)

        px = np.stack([detected_px, person.kpts_px, people.fit_kpts_px[index]])
        px[:2] = np.where(np.stack([seen, person.labelled])[..., None], px[:2], 0.0)
        rays = rays_from_px(px, person.camera)
        view = view_of(rays[0], seen)
        view = PersonView(cam_from_view=view.cam_from_view, scale=view.scale * scale)
        crop = person_crop(self._pictures.of(person), person.camera, view, config.size, turn_rad, mirrored)
        kpts = turned(view.normalise(rays) / CROP_HALF_WIDTH, turn_rad, mirrored).astype(np.float32)
        axes = _axes(turn_rad, mirrored)
        located = person.located & person.located[0] & person.has_3d
        cam_m = np.zeros((JOINTS, 3)) if person.joints_cam_m is None else person.joints_cam_m
        joints_cam_m = np.where(located[:, None], cam_m - cam_m[0], 0.0)
        joints = np.stack([joints_cam_m, people.fit_joints_cam_m[index]]) @ view.cam_from_view @ axes.T
        order = SMPL30_MIRROR if mirrored else slice(None)
        kpts, joints = kpts[:, order], joints[:, order]
        seen = seen[order] & (np.abs(kpts[0]) <= 1).all(axis=-1)
        to_view = axes @ view.cam_from_view.T
        return {
            "crop": coloured(crop, gain),
            "kpts": np.where(seen[:, None], kpts[0], np.float32(0)),
            "visible": seen.astype(np.float32),
            "true_kpts": kpts[1],
            "labelled": person.labelled[order].astype(np.float32),
            "hidden": person.hidden[order].astype(np.float32),
            "joints": joints[0].astype(np.float32),
            "located": located[order].astype(np.float32),
            "has_3d": located[:1].astype(np.float32),
            "pose": turned_body(people.rotations[index], to_view, mirrored),
            "shape": people.shape[index],
            "has_fit": people.fitted[index : index + 1].astype(np.float32),
            "fit_joints": joints[1].astype(np.float32),
            "fit_kpts": kpts[2],
            "clip": np.int64(index),
            "start": np.int64(0),
        }


def _axes(turn_rad: float, mirrored: bool) -> np.ndarray:
    """(3, 3) to the axes of a turned or mirrored view from its own."""
    axes = np.eye(3)
    axes[:2, :2] = turned(np.eye(2), turn_rad, mirrored).T
    return axes


def turned_body(rotations: np.ndarray, turn: np.ndarray, mirrored: bool) -> np.ndarray:
    """The rotations (..., 24, 3, 3) of bodies that are turned; mirrored: turn (3, 3) is a reflection. float32."""
    moved = MIRRORED @ rotations[..., _MIRROR24, :, :] @ MIRRORED if mirrored else rotations.copy()
    moved[..., 0, :, :] = turn @ rotations[..., 0, :, :] @ (MIRRORED if mirrored else np.eye(3))
    return np.asarray(moved, dtype=np.float32)


def coloured(crop: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """A crop (S, S, 4) whose first three channels are multiplied by gain (3,), the fourth as it is."""
    levels = np.arange(256)[:, None] * np.append(gain, 1.0)
    return np.asarray(cv2.LUT(crop, np.clip(np.rint(levels), 0, 255).astype(np.uint8)[None]))


class ImagePeople(DrawnModule):
    """People of image sets.

    folder: of a set that the reader `kind` knows. more: further sets, folders by their readers; people with 3D and
    people without are drawn equally often. body: "capsules" or the folder of SMPL's files, as the model has it.
    validation_people: that are drawn once, of split "val". allow_pickle: of sets that are pickled. room_mb: memory for
    decoded pictures, of each worker. Raises DatasetError.
    """

    def __init__(
        self,
        folder: Path,
        kind: str = "rendered",
        more: dict[str, Path] = {},  # noqa: B006  never changed
        image: ImageConfig = ImageConfig(),
        body: str = "capsules",
        allow_pickle: bool = False,
        batch_size: int = 64,
        validation_people: int = 512,
        workers: int = 1,
        room_mb: int = 6000,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, validation_people, workers, seed)
        self.sets = {kind: folder, **more}
        self.image, self.body, self.allow_pickle = image, body, allow_pickle
        self._people: dict[str, People] = {}
        self._room_bytes = room_mb * _MB

    def draws(self, step: str, batch: int, first_step: int = 0, rank: int = 0) -> PersonImages:
        if step not in self._people:
            self._people[step] = read_people(self.sets, step, self.body, self.allow_pickle)
        train = step == "train"
        config = self.image if train else self.image.without_augmentation()
        room_bytes = self._room_bytes if train else 0
        return PersonImages(self._people[step], config, batch, self.seed, first_step, rank, room_bytes)
