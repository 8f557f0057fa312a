"""The subject of a photo by clicks or a box, with SAM 2."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError, WeightsError
from ..images.photo import Photo
from ..progress import Progress
from ..weights.subjects import SubjectFiles, subject_files
from .found import Source, SubjectMask
from .pixels import IMAGENET_MEAN, IMAGENET_STD, fingerprint, network_pixels
from .prompts import Box, Prompt
from .ready import ready
from .torch_network import COMPUTING, Kind, TorchNetwork, model_type

SAM2 = Kind(
    "Sam2Model",
    "Sam2Config",
    parts=("vision_config", "prompt_encoder_config", "mask_decoder_config"),
)
"""A video network has the same parts, and more."""
MODEL_TYPES = ("sam2", "sam2_video")
KEPT_PHOTOS = 2
"""Photos whose embeddings stay in memory, 17 MB each."""
BOXES_AT_ONCE = 8


def segment_prompt(
    photo: Photo,
    prompt: Prompt,
    *,
    previous: SubjectMask | None = None,
    model: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> SubjectMask:
    """The mask of what the points and the box show; see `find_subject`.

    With a previous mask, what is shown inside is added to it, and what is shown outside, by the
    same points with their labels exchanged, is taken away.
    """
    inside, outside, box = prompt.inside, prompt.outside, prompt.box
    shows = bool(inside) or box is not None
    if not shows and previous is None:
        raise InputError(
            f"{photo.name}: all points are outside the subject; click on it as well (label 1,"
            " --point), or draw a box around it"
        )
    sam = sam_for(model, device, progress)
    source: Source = "points" if prompt.points else "box"
    found = None
    if shows:
        found = sam.mask(photo, Prompt(inside + outside, box), progress)
        if previous is None:
            return replace(found, source=source)
        found = found | previous
    if previous is not None and outside:
        exchanged = tuple((x, y, 1 - label) for x, y, label in outside + inside)
        found = (found or previous) - sam.mask(photo, Prompt(exchanged), progress)
    assert found is not None
    return replace(found, source=source, model=sam.name, licence=sam.licence)


def sam_for(model: str | None, device: str, progress: Progress | None) -> Sam:
    """The SAM 2 network of this name, kept ready."""
    files = subject_files(model, "clicks", progress=progress)
    stamp = files.weights.stat()
    key = str(files.weights), stamp.st_size, stamp.st_mtime_ns, str(device)
    found: Sam = ready("clicks", key, lambda: Sam(files, device, progress))
    return found


class Sam:
    """A SAM 2 network, and its embeddings of the latest photos.

    name, licence: of the weights, for reports.
    """

    def __init__(self, files: SubjectFiles, device: str, progress: Progress | None = None) -> None:
        kind = model_type(files)
        if kind not in MODEL_TYPES:
            raise WeightsError(
                f"{files.name} is a network of type {kind!r}, which takes no points and no box;"
                " choose a SAM 2 network, such as sam2.1-hiera-tiny"
            )
        self.name, self.licence = files.name, files.licence
        self._network = TorchNetwork(files, SAM2, device, progress)
        self._side = int(self._network.config.prompt_encoder_config.image_size)
        self._embeddings: OrderedDict[bytes, list[Tensor]] = OrderedDict()

    def mask(self, photo: Photo, prompt: Prompt, progress: Progress | None) -> SubjectMask:
        """What points and a box show; one of them at least."""
        asked: dict[str, NDArray[Any]] = {}
        points = sorted(prompt.points)  # the order in which they come means nothing
        if points:
            asked["input_points"] = self._scaled([[x, y] for x, y, _ in points], photo)[None, None]
            asked["input_labels"] = np.array([[[label for *_, label in points]]], np.int64)
        if prompt.box is not None:
            asked["input_boxes"] = self._boxes([prompt.box], photo)
        one_point = len(points) == 1 and prompt.box is None
        return self._found(photo, [asked], one_point, progress)

    def boxes(self, photo: Photo, boxes: Sequence[Box], progress: Progress | None) -> SubjectMask:
        """What is in any of the boxes."""
        parts = [
            {"input_boxes": self._boxes(boxes[start : start + BOXES_AT_ONCE], photo)}
            for start in range(0, len(boxes), BOXES_AT_ONCE)
        ]
        return self._found(photo, parts, False, progress)

    def _found(
        self,
        photo: Photo,
        asked: list[dict[str, NDArray[Any]]],
        ambiguous: bool,
        progress: Progress | None,
    ) -> SubjectMask:
        """The union of what each says, as sure as the least sure of them.

        ambiguous: SAM may mean a part, an object or a group, and its best guess counts.
        """
        with COMPUTING:
            embeddings = self._embedded(photo, progress)

            def decode(network: Any) -> tuple[Tensor, float]:
                device = self._network.device
                logits, sure = [], []
                for one in asked:
                    out = network(
                        image_embeddings=[part.to(device) for part in embeddings],
                        multimask_output=ambiguous,
                        **{name: torch.from_numpy(one[name]).to(device) for name in one},
                    )
                    scores = out.iou_scores[0].float()  # (boxes, guesses)
                    best = scores.argmax(dim=1)
                    every = torch.arange(len(best), device=best.device)
                    logits.append(out.pred_masks[0].float()[every, best].amax(dim=0))
                    sure.append(float(scores[every, best].min()))
                return torch.stack(logits).amax(dim=0).cpu(), min(sure)

            logits, confidence = self._network.run(decode, photo.name)
        if not logits.isfinite().all():
            raise WeightsError(
                f"{self.name}: the network's result is not finite; its weights are damaged, use"
                " others"
            )
        return SubjectMask(
            native=logits.sigmoid().numpy(),
            size=photo.size,
            confidence=min(1.0, max(0.0, confidence)),
            source="box",
            model=self.name,
            licence=self.licence,
        )

    def _embedded(self, photo: Photo, progress: Progress | None) -> list[Tensor]:
        key = fingerprint(photo)
        if key in self._embeddings:
            self._embeddings.move_to_end(key)
            return self._embeddings[key]

        def encode(network: Any) -> list[Tensor]:
            size = self._side, self._side
            pixels = network_pixels(photo, size, IMAGENET_MEAN, IMAGENET_STD)
            return list(network.get_image_embeddings(pixels.to(self._network.device)))

        found = self._network.run(encode, photo.name, progress=progress, part="vision_encoder")
        while len(self._embeddings) >= KEPT_PHOTOS:
            self._embeddings.popitem(last=False)
        self._embeddings[key] = found
        return found

    def _scaled(self, places: list[list[float]], photo: Photo) -> NDArray[np.float32]:
        """(x, y) in pixels of the photo as pixels of the network's square."""
        height, width = photo.size
        scaled = np.array(places) * [self._side / width, self._side / height]
        return scaled.astype(np.float32)

    def _boxes(self, boxes: Sequence[Box], photo: Photo) -> NDArray[np.float32]:
        corners = [[*corner] for box in boxes for corner in (box[:2], box[2:])]
        return self._scaled(corners, photo).reshape(1, -1, 4)
