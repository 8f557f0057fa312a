"""`find_subject`: a photo's subject, found by itself, by clicks, in a box or by a word."""

from __future__ import annotations

from typing import Any

from ..errors import InputError, SettingError
from ..images.photo import Photo
from ..images.read import read_photo
from ..progress import Progress
from .found import Source, SubjectMask
from .prompts import read_prompt, read_text

EMPTY, FULL = 1e-4, 1 - 1e-4
"""Share of a picture below or above which a mask has found nothing, or everything."""
_CLICK, _DRAW = "(points=, --point)", "draw a box around it (box=, --box)"
REMEDIES: dict[Source, str] = {
    "segmentation": f"click on it {_CLICK}, {_DRAW}",
    "points": f"click on another part of it {_CLICK}, {_DRAW}",
    "box": f"draw another box (box=, --box), click on it {_CLICK}",
    "text": f"try another word, click on it {_CLICK}, {_DRAW}",
}
"""What to try, by what was asked before."""


def find_subject(
    image: Any,
    *,
    points: Any = None,
    box: Any = None,
    text: str | None = None,
    previous: SubjectMask | None = None,
    model: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> SubjectMask:
    """Find the subject of a photo; needs the extra `subject`.

    Args:
        image: the photo, in any form that `MattingPipeline` takes.
        points: (x, y) or (x, y, label) each, in pixels of the photo: label 1 is in the subject (the
            default), 0 is not.
        box: (left, top, right, bottom) around the subject, in pixels.
        text: a word or a few, in English: "dog", "the red chair". Commas separate things; all of
            them must be in the picture.
        previous: a mask found before in this photo: what points in the subject show is added to it,
            what points outside it show is taken away.
        model: nothing given: an ONNX segmentation network, a file or a Hub id; with points or a
            box: a SAM 2 network; with text: Grounding DINO or SAM 3. None for the defaults (see
            `mematte models list`).
        device: "auto", or a torch device, for the networks that run on torch.
        progress: called with (done, total, stage), as for `load_network`.

    Returns: the SubjectMask. The photo's embeddings stay in memory: a second click is fast.

    Raises InputError if nothing, or everything, is found, for a word that is not in the picture,
    and for points and boxes that are outside it or contradict each other; SettingError for options
    that exclude each other, and if the extra is missing; WeightsError if the network cannot be
    loaded.
    """
    if text is not None and (points is not None or box is not None):
        raise SettingError("text: cannot be joined with points or a box; leave one of them out")
    if previous is not None and not isinstance(previous, SubjectMask):
        raise SettingError("previous: give what find_subject returned for this photo")
    photo = image if isinstance(image, Photo) else read_photo(image)
    if text is not None:
        from .words import find_words

        words = read_text(text)
        found = find_words(photo, words, model=model, device=device, progress=progress)
    elif points is None and box is None:
        from .segmentation import segment

        found = segment(photo, model=model, progress=progress)
    else:
        from .clicks import segment_prompt

        prompt = read_prompt(points, box, photo.size)
        found = segment_prompt(
            photo, prompt, previous=previous, model=model, device=device, progress=progress
        )
        previous = None
    if previous is not None:
        found = found | previous
    check_found(found, photo.name)
    return found


def check_found(found: SubjectMask, name: str) -> None:
    """Raises InputError if the mask is empty or full."""
    share = float((found.native >= 0.5).mean())
    if EMPTY < share < FULL:
        return
    fault = "no subject was found" if share <= EMPTY else "everything was taken for the subject"
    raise InputError(f"{name}: {fault}; {REMEDIES[found.source]}, or give a mask")
