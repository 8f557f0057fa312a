"""The wand: steps that say where the subject is, and the mask that they find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import dist
from os import PathLike, fspath
from typing import Any, Literal

from ..errors import InputError, SettingError
from ..images.photo import Photo
from ..progress import Progress
from ..subject.find import find_subject
from ..subject.found import SubjectMask
from ..subject.prompts import NEAR, read_prompt, read_text

Kind = Literal["point", "box", "text", "alone", "anew"]
NUMBERS = {"point": 2, "box": 4, "text": 0, "alone": 0, "anew": 0}
"""How many coordinates each kind of step has."""
WAYS = ("subject", "clicks", "words")
"""What there is a network each for: nothing is said, clicks and boxes, words."""
MOST = 200
"""Steps that the page may send."""
KEPT = 12
"""Masks of earlier steps that are kept, so that undo is immediate."""

Models = dict[str, str | None]
"""The network of each of `WAYS`; None for its default."""

NOTHING_LEFT = "Nothing would be left of the subject: click beside it."
NOTHING_TO_TAKE = "Nothing is found yet that could be taken away: click the subject first."


@dataclass(frozen=True)
class Step:
    """One act of the wand.

    kind: "point", "box", "text"; where nothing is said, "alone", or "anew", which also drops what
        was found before.
    at: (x, y) or (left, top, right, bottom) in pixels of the photo.
    label: 1 adds what is found there, 0 takes it away.
    text: the word or words.
    together: asked at once with the step before it, as Python's points are.
    """

    kind: Kind
    at: tuple[float, ...] = ()
    label: int = 1
    text: str = ""
    together: bool = False


def steps_of(points: Any, box: Any, text: str | None, size: tuple[int, int]) -> tuple[Step, ...]:
    """The steps of a call of `find_subject`, which raises the same errors for them.

    size: (H, W) of the photo.
    """
    if text is not None:
        if points is not None or box is not None:
            raise SettingError("text: cannot be joined with points or a box; leave one of them out")
        return (Step("text", text=read_text(text)),)
    if points is None and box is None:
        return (Step("alone"),)
    prompt = read_prompt(points, box, size)
    steps = [] if prompt.box is None else [Step("box", prompt.box)]
    for x, y, label in prompt.points:
        steps.append(Step("point", (x, y), label, together=bool(steps)))
    return tuple(steps)


def from_page(values: Any, size: tuple[int, int]) -> tuple[Step, ...]:
    """The steps that the page sends, whose coordinates are shares of the photo's width and height.

    Raises InputError for anything else.
    """
    if not isinstance(values, Sequence) or len(values) > MOST:
        raise InputError(f"wand: the page sent no list of at most {MOST} steps; reload the page")
    return tuple(_from_page(value, size) for value in values)


def _from_page(value: Any, size: tuple[int, int]) -> Step:
    fault = InputError(f"wand: the page sent {str(value)[:60]}, which is not a step; reload it")
    try:
        kind, at, label = value["kind"], tuple(map(float, value.get("at", ()))), value["label"]
        text = read_text(value["text"]) if kind == "text" else ""
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise fault from error
    inside = all(0 <= share <= 1 for share in at)  # false for nan
    if len(at) != NUMBERS.get(kind, -1) or label not in (0, 1) or not inside:
        raise fault
    height, width = size
    at = tuple(share * side for share, side in zip(at, (width, height) * 2, strict=False))
    if kind == "point":  # the photo's last column begins at width - 1
        at = (min(at[0], width - 1.0), min(at[1], height - 1.0))
    return Step(kind, at, int(label), text, value.get("together") is True)


def to_page(steps: Sequence[Step], size: tuple[int, int]) -> list[dict[str, Any]]:
    """The reverse of `from_page`."""
    height, width = size
    sides = (width, height) * 2
    return [
        {
            "kind": step.kind,
            "at": [place / side for place, side in zip(step.at, sides, strict=False)],
            "label": step.label,
            "text": step.text,
            "together": step.together,
        }
        for step in steps
    ]


class Finder:
    """Finds the masks of steps in one photo, and keeps the latest.

    photo: the photo.
    start: what the first step adds to or takes away from; None for nothing.
    device: as for `find_subject`.
    """

    def __init__(self, photo: Photo, start: SubjectMask | None, device: str) -> None:
        self._photo = photo
        self._start = start
        self._device = device
        self._known: dict[tuple[Step, ...], SubjectMask] = {}
        self._models: Models = {}

    def find(self, steps: tuple[Step, ...], models: Models, progress: Progress) -> SubjectMask:
        """The mask of some steps, in their order; raises as `find_subject` does.

        Points that follow one another, or a box, describe one subject: all are asked at once, and
        then the latest one only adds or only takes away. If its own place has not changed by
        that, it is asked alone. Any other step adds to what was found before it.
        """
        if models != self._models:
            self._known.clear()
            self._models = models
        found = before = self._start  # before: what was found before the subject that is asked for
        for begins, start, end in _acts(steps):
            if start == begins:
                before = found
            known = self._known.pop(steps[:end], None)
            if known is None:
                known = self._ask(steps[begins:end], before, progress)
                if start > begins:
                    assert found is not None
                    known = _changed(found, known, steps[start].label)
                    if not _holds(steps[start], known):  # another object, perhaps
                        known = _left(self._ask(steps[start:end], known, progress))
                while len(self._known) >= KEPT:
                    del self._known[next(iter(self._known))]
            self._known[steps[:end]] = known  # the latest last
            found = known
        assert found is not None
        return found

    def _ask(
        self, steps: tuple[Step, ...], found: SubjectMask | None, progress: Progress
    ) -> SubjectMask:
        if found is None and not any(step.label for step in steps):
            raise InputError(NOTHING_TO_TAKE)
        first = steps[0]

        def ask(way: str, previous: SubjectMask | None = found, **guide: Any) -> SubjectMask:
            return find_subject(
                self._photo,
                **guide,
                previous=previous,
                model=self._models.get(way),
                device=self._device,
                progress=progress,
            )

        if first.kind in ("alone", "anew"):
            return ask("subject", None if first.kind == "anew" else found)
        if first.kind == "text":
            return ask("words", text=first.text)
        if first.kind == "box" and not first.label:
            assert found is not None
            return _left(found - ask("clicks", None, box=first.at))
        box = first.at if first.kind == "box" else None
        points = [(*step.at, step.label) for step in _lasting(steps)]
        return ask("clicks", points=points or None, box=box)


def _changed(found: SubjectMask, asked: SubjectMask, label: int) -> SubjectMask:
    """What a click makes of what was found: it does what it says and no more."""
    return _left(asked | found if label else asked & found)


def _holds(step: Step, found: SubjectMask) -> bool:
    """Whether the place of a click has become what it says."""
    (height, width), (rows, columns) = found.size, found.native.shape
    x, y = step.at
    row, column = int(y / height * rows), int(x / width * columns)
    return bool(found.native[row, column] >= 0.5) == bool(step.label)


def _left(found: SubjectMask) -> SubjectMask:
    if not (found.native >= 0.5).any():
        raise InputError(NOTHING_LEFT)
    return found


def _acts(steps: Sequence[Step]) -> list[tuple[int, int, int]]:
    """Where the subject begins, where the act begins and where it ends, for each act: one step, or
    several that are asked at once."""
    acts: list[tuple[int, int, int]] = []
    begins = 0
    for i, step in enumerate(steps):
        if i and step.together:
            acts[-1] = (*acts[-1][:2], i + 1)
            continue
        before = steps[i - 1] if i else step
        leads = before.kind == "point" or (before.kind == "box" and before.label == 1)
        if not (i and leads and step.kind == "point"):
            begins = i
        acts.append((begins, i, i + 1))
    return acts


def _lasting(steps: Sequence[Step]) -> list[Step]:
    """The points, without those that a later one in the same place contradicts."""
    points = [step for step in steps if step.kind == "point"]
    return [
        point
        for i, point in enumerate(points)
        if not any(
            later.label != point.label and dist(later.at, point.at) <= NEAR
            for later in points[i + 1 :]
        )
    ]


def check_models(chosen: Any) -> Models:
    """The network of each of `WAYS`, from one for all of them, a mapping or None.

    Raises SettingError for anything else.
    """
    given = chosen if isinstance(chosen, Mapping) else dict.fromkeys(WAYS, chosen)
    for way, name in given.items():
        if way not in WAYS or not (name is None or isinstance(name, str | PathLike)):
            raise SettingError(
                f"subject_model {way!r}: {name!r}: give a name, Hub id or path, or one for each of"
                f" {', '.join(map(repr, WAYS))}"
            )
    return {way: None if given.get(way) is None else fspath(given[way]) for way in WAYS}
