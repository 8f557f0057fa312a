"""The options that say where the subject is, other than a trimap and a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SettingError

if TYPE_CHECKING:
    from ..subject.found import SubjectMask
    from ..subject.prompts import Places

Points = Annotated[
    list[str] | None,
    typer.Option(
        "--point",
        metavar="X,Y",
        help="A point in the subject, which is then found: 420,310 in pixels from the top left, or"
        " 0.4,0.6 as shares of width and height. May be given several times.",
        show_default=False,
    ),
]
NotPoints = Annotated[
    list[str] | None,
    typer.Option(
        "--not",
        metavar="X,Y",
        help="A point that is not in the subject. May be given several times.",
        show_default=False,
    ),
]
BoxText = Annotated[
    str | None,
    typer.Option(
        "--box",
        metavar="LEFT,TOP,RIGHT,BOTTOM",
        help="A box around the subject, in pixels or shares.",
    ),
]
Words = Annotated[
    str | None,
    typer.Option(
        "--subject",
        metavar="WORDS",
        help="What the subject is, in English: 'the dog', 'red chair'.",
    ),
]
SubjectModel = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|ID|FILE",
        help="The network that finds the subject: a name from `mematte models list`, a Hugging Face"
        " id, a folder, or an ONNX file. Default: one that fits what is given.",
        show_default=False,
    ),
]


def places_of(
    points: list[str] | None, outside: list[str] | None, box: str | None, words: str | None
) -> Places:
    """--point, --not and --box as the library takes them, once the photo's size is known.

    Raises SettingError for what is not numbers, and with --subject.
    """
    from ..subject.prompts import Places

    labelled = [(text, 1) for text in points or ()] + [(text, 0) for text in outside or ()]
    places = Places(tuple(labelled), box)
    if words is not None and places:
        raise SettingError("--subject: cannot be joined with points or a box; drop one of them")
    return places


def subject_in_words(found: SubjectMask | None) -> list[str]:
    """What was found, for the line about a result."""
    if found is None:
        return []
    return [f"subject found by {found.model} (confidence {found.confidence:.2f})"]
