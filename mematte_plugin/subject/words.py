"""The subject of a photo by a word: Grounding DINO gives its box to SAM 2, or SAM 3 its mask."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, SettingError, WeightsError, first_line
from ..images.photo import Photo
from ..progress import Progress
from ..weights.subjects import SubjectFiles, subject_files
from .clicks import sam_for
from .found import SubjectMask
from .pixels import HALF_MEAN, HALF_STD, IMAGENET_MEAN, IMAGENET_STD, network_pixels
from .prompts import Box, short
from .ready import ready
from .torch_network import Kind, TorchNetwork, model_type

TOKENIZER = "tokenizer.json"
UNKNOWN = "[UNK]"
"""What a tokenizer makes of what it has no pieces for."""
GROUNDING_DINO = Kind("GroundingDinoForObjectDetection", "GroundingDinoConfig")
DINO_TYPES = ("grounding-dino",)
SAM3 = {
    "sam3": Kind("Sam3Model", "Sam3Config"),
    "sam3_video": Kind("Sam3Model", "Sam3Config", within="detector_config"),
}
SHORTER, LONGER = 800, 1333
"""Sides in pixels of what Grounding DINO is shown, at most."""
BOX_SURE = 0.35
"""Score from which Grounding DINO's box counts, as its authors advise."""
MORE_SURE = 0.5
"""The least score of further boxes of a thing, as a share of that of its surest one."""
PRESENT = 0.5
"""Probability from which SAM 3 counts a thing as being in the picture."""
SAME = 0.8
"""Overlap (intersection over union) from which two boxes are one thing found twice."""
MOST_BOXES = 64
LONGEST_PIECE = 20
"""Characters of a token, more than any word of English needs."""
NARROWEST = 64
"""Least side in pixels of what Grounding DINO is shown: of less its coarsest level is nothing."""
ARTICLE = re.compile(r"^(the|an?|my) (?=.)")
SEPARATORS = re.compile(r"[.,;:?!/&+|]+")


def find_words(
    photo: Photo,
    words: str,
    *,
    model: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> SubjectMask:
    """The mask of everything in the photo that the words name; see `find_subject`.

    Commas and full stops separate things, and each of them must be there.
    """
    things = english(words)
    files = subject_files(model, "words", progress=progress)
    stamp = files.weights.stat()
    key = str(files.weights), stamp.st_size, stamp.st_mtime_ns, str(device)
    kind = model_type(files)
    if kind in SAM3:
        sam3: Sam3 = ready("words", key, lambda: Sam3(files, SAM3[kind], device, progress))
        found = sam3.mask(photo, things, progress)
    elif kind in DINO_TYPES:
        sam = sam_for(None, device, progress)  # first of all the downloads
        dino: GroundingDino = ready("words", key, lambda: GroundingDino(files, device, progress))
        boxes, sure = dino.boxes(photo, things, progress)
        found = sam.boxes(photo, boxes, progress)
        found = replace(found, confidence=min(found.confidence, sure))
    else:
        raise WeightsError(
            f"{files.name} is a network of type {kind!r}, which takes no words; choose a Grounding"
            " DINO or SAM 3 network, such as grounding-dino-tiny"
        )
    return replace(found, source="text", model=files.name, licence=files.licence, prompt=words)


def english(words: str) -> list[str]:
    """The things that are named, in lower case.

    Raises SettingError for other scripts than the Latin one, and without a letter.
    """
    text = unicodedata.normalize("NFKC", words).lower()
    foreign = [c for c in text if c.isalpha() and not unicodedata.name(c, "").startswith("LATIN")]
    if foreign:
        raise _foreign(words)
    things = []
    for part in SEPARATORS.split(text):
        kept = "".join(c if c.isalnum() or c in " -'’" else " " for c in part)
        if any(c.isalpha() for c in kept):
            things.append(" ".join(kept.split()))
    if not things:
        raise SettingError(f"text {short(words)}: names nothing; give words, such as 'the dog'")
    return things


class GroundingDino:
    """A Grounding DINO network with its tokenizer."""

    def __init__(self, files: SubjectFiles, device: str, progress: Progress | None = None) -> None:
        self._tokenizer = _tokenizer(files)
        self._network = TorchNetwork(files, GROUNDING_DINO, device, progress)

    def boxes(
        self, photo: Photo, things: Sequence[str], progress: Progress | None
    ) -> tuple[list[Box], float]:
        """The boxes of all things in pixels of the photo, and how sure the least sure thing is.

        Raises InputError if one of them is not there.
        """
        text = ". ".join(things) + "."
        ids, offsets = _tokens(self._tokenizer, text, int(self._network.config.max_text_len))

        def detect(network: Any) -> tuple[Tensor, Tensor]:
            size = detector_size(photo.size)
            pixels = network_pixels(photo, size, IMAGENET_MEAN, IMAGENET_STD)
            device = self._network.device
            tokens = torch.tensor([ids], dtype=torch.int64, device=device)
            out = network(
                pixel_values=pixels.to(device),
                input_ids=tokens,
                token_type_ids=torch.zeros_like(tokens),
                attention_mask=torch.ones_like(tokens),
            )
            return out.logits[0, :, : len(ids)].float().cpu(), out.pred_boxes[0].float().cpu()

        logits, centred = self._network.run(detect, photo.name, progress=progress)
        if logits.isnan().any() or not centred.isfinite().all():
            raise _damaged(self._network.name)
        scores = logits.sigmoid().numpy()
        corners = _corners(centred.numpy(), photo.size)
        found: list[int] = []
        sure = 1.0
        start = 0
        for thing in things:
            end = start + len(thing)
            own = [i for i, (a, b) in enumerate(offsets) if start <= a < b <= end]
            of_thing = scores[:, own].max(axis=1)
            best = float(of_thing.max())
            if best < BOX_SURE:
                raise absent(photo, thing, best)
            order = np.argsort(-of_thing, kind="stable")
            least = max(BOX_SURE, MORE_SURE * best)
            found += [int(i) for i in order if of_thing[i] >= least]
            sure, start = min(sure, best), end + 2
        return _distinct([corners[i] for i in found]), sure


class Sam3:
    """A SAM 3 network with its tokenizer: words and a photo give a mask."""

    def __init__(
        self, files: SubjectFiles, kind: Kind, device: str, progress: Progress | None = None
    ) -> None:
        self._tokenizer = _tokenizer(files)
        self._network = TorchNetwork(files, kind, device, progress)

    def mask(self, photo: Photo, things: Sequence[str], progress: Progress | None) -> SubjectMask:
        """The mask of all things; raises InputError if one of them is not there.

        Of SAM 3's answers the semantic mask is used: the union of its instances is coarser.
        """
        config = self._network.config
        longest = int(config.text_config.max_position_embeddings)
        tokens = [_tokens(self._tokenizer, thing, longest)[0] for thing in things]
        side = int(config.vision_config.backbone_config.image_size)

        def search(network: Any) -> list[tuple[float, Tensor]]:
            device = self._network.device
            pixels = network_pixels(photo, (side, side), HALF_MEAN, HALF_STD)
            seen = network.get_vision_features(pixels.to(device))
            answers = []
            for ids in tokens:
                text = torch.tensor([ids], dtype=torch.int64, device=device)
                out = network(
                    vision_embeds=seen, input_ids=text, attention_mask=torch.ones_like(text)
                )
                present = float(out.presence_logits.float().sigmoid().max())
                answers.append((present, out.semantic_seg[0, 0].float().cpu()))
            return answers

        answers = self._network.run(search, photo.name, progress=progress)
        for thing, (present, logits) in zip(things, answers, strict=True):
            if not (np.isfinite(present) and logits.isfinite().all()):
                raise _damaged(self._network.name)
            if present < PRESENT:
                raise absent(photo, thing, present)
        logits = torch.stack([logits for _, logits in answers]).amax(dim=0)
        return SubjectMask(
            native=logits.sigmoid().numpy(),
            size=photo.size,
            confidence=min(present for present, _ in answers),
            source="text",
        )


def absent(photo: Photo, thing: str, sure: float) -> InputError:
    """What to say of a thing that is not in the picture."""
    thing = ARTICLE.sub("", thing)
    return InputError(
        f"{photo.name}: no {short(thing)} in this picture (the best guess is {sure:.0%} sure); try"
        " another English word, or click on the subject (points=, --point)"
    )


def detector_size(size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of what Grounding DINO is shown of a photo of (H, W), as transformers computes it."""
    least, most = min(size), max(size)
    side = float(SHORTER)
    if most / least * side > LONGER:
        side = LONGER * least / most
    shorter, longer = max(NARROWEST, round(side)), max(NARROWEST, int(side * most / least))
    return (shorter, longer) if size[0] <= size[1] else (longer, shorter)


def _foreign(words: str) -> SettingError:
    return SettingError(
        f"text {short(words)}: the networks that find words read English; write it in English, such"
        " as 'dog', or click on the subject (points=, --point)"
    )


def _tokenizer(files: SubjectFiles) -> Any:
    from tokenizers import Tokenizer

    path = files.folder / TOKENIZER
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # it raises no other class
        raise WeightsError(
            f"{path} is not a tokenizer ({first_line(error)[:120]}); take the file that came with"
            " the weights"
        ) from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _tokens(tokenizer: Any, text: str, longest: int) -> tuple[list[int], list[tuple[int, int]]]:
    if len(text) <= LONGEST_PIECE * longest:
        encoded = tokenizer.encode(text)
        if len(encoded.ids) <= longest:
            if UNKNOWN in encoded.tokens:
                raise _foreign(text)
            return encoded.ids, encoded.offsets
    raise SettingError(
        f"text {short(text)}: is too long for the network; give a word or a few, such as 'the dog'"
    )


def _corners(centred: np.ndarray, size: tuple[int, int]) -> list[Box]:
    """(left, top, right, bottom) in pixels of the photo, within it."""
    height, width = size
    middle, half = centred[:, :2], centred[:, 2:] / 2
    places = np.concatenate([middle - half, middle + half], axis=1).clip(0, 1)
    return [tuple(row) for row in (places * [width, height, width, height]).tolist()]


def _distinct(boxes: list[Box]) -> list[Box]:
    """Without those that are nearly the same as one before; the surest come first."""
    kept: list[Box] = []
    for box in boxes:
        if len(kept) < MOST_BOXES and all(_overlap(box, other) < SAME for other in kept):
            kept.append(box)
    return kept


def _overlap(one: Box, other: Box) -> float:
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    both = max(0.0, right - left) * max(0.0, bottom - top)
    either = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)) - both
    return both / either if either > 0 else 1.0


def _damaged(name: str) -> WeightsError:
    return WeightsError(
        f"{name}: the network's result is not finite; its weights are damaged, use others"
    )
