"""What happens to a result: it is shown, its edge is shaped, its background changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from mematte_plugin import Edge, InputError

from .edges import GONE, edge_from, reshape
from .job import Result
from .models import chosen
from .page_state import LIGHT, SHAPING, Changes, Page, file_in
from .pictures import background_of, on_background, show_photo
from .wording import READY, hint, report_table


class ResultEvents:
    """The edge, the background and the colours of a result, and the choice of the model.

    `look` in the methods: the values of the controls of how a result looks.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        right, result = page.right, page.result
        self.look = [right.kind, right.colour, right.picture, right.clean, *right.edge_controls]
        """The controls of background, colours and edge."""
        files = [result, right.cutout_file, right.alpha_file, right.tiff_file, right.report]
        pair = [right.slider, right.edges]
        shaped = [*files, *pair, right.alpha, right.trimap]
        self.outputs = [*page.no_result_outputs, *shaped[1:], right.routing]
        """The components that `show` changes."""
        sliders = (right.black, right.white, right.choke, right.feather)
        gr.on(
            [
                *(slider.release for slider in sliders),
                *(slider.input for slider in sliders),
                *(right.despill.input, right.crop.input, right.margin.submit, right.margin.blur),
            ],
            self.shape,
            [result, *self.look],
            shaped,
            show_progress_on=[right.slider],
            trigger_mode="always_last",
            **SHAPING,
        )
        quiet: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
        right.clean.input(self.change_colours, [result, *self.look], files, **quiet, **SHAPING)
        gr.on(
            [right.kind.input, right.colour.change, right.picture.change, right.clean.input],
            self.change_background,
            [result, *self.look],
            [right.colour, right.picture, *pair],
            **quiet,
            **LIGHT,
        )
        right.picture.upload(
            self.take_background, right.picture, right.picture, show_progress="minimal", **LIGHT
        )
        page.left.model.change(
            lambda name: hint(chosen(name, page.settings).note),
            page.left.model,
            page.left.model_note,
            **quiet,
            **LIGHT,
        )

    def show(self, result: Result, look: Sequence[Any]) -> Changes:
        """Show a new result."""
        assert result.pictures is not None  # asked for
        routing = [(str(path), caption) for path, caption in result.pictures.routing]
        return {
            **self.page.no_result(READY),
            self.page.right.stage: gr.update(visible=False),
            self.page.right.results: gr.update(visible=True),
            self.page.right.routing: routing,
            **self._shaped(result, look),
        }

    def shape(self, result: Result | None, *look: Any) -> Changes:
        """Shape the edge again, without running the network."""
        if result is None or _edge(look) == result.edge:  # two events for one move
            return {self.page.result: result}
        return self._shaped(result, look)

    def change_colours(self, result: Result | None, *look: Any) -> Changes:
        """Write the files with the subject's or the photo's colours.

        Their pictures change at once, in `change_background`.
        """
        return {self.page.result: result} if result is None else self._files(result, look)

    def take_background(self, value: Any) -> Iterator[Any]:
        """Show an uploaded background as a small JPEG: browsers cannot show TIFF and EXR."""
        picture = file_in(value)
        try:
            yield None if picture is None else str(show_photo(picture, self.page.settings).proxy)
        except Exception:
            yield None
            raise

    def change_background(self, result: Result | None, *look: Any) -> Changes:
        """Show the controls of the chosen background, and the result on it."""
        changes: Changes = {
            self.page.right.colour: gr.update(visible=look[0] == "colour"),
            self.page.right.picture: gr.update(visible=look[0] == "picture"),
        }
        return changes if result is None else {**changes, **self._pair(result, look)}

    def _shaped(self, result: Result, look: Sequence[Any]) -> Changes:
        files = self._files(result, look)
        made: Result = files[self.page.result]
        assert made.pictures is not None
        return {
            **files,
            **self._pair(made, look),
            self.page.right.alpha: str(made.pictures.alpha),
            self.page.right.trimap: str(made.pictures.trimap),
        }

    def _files(self, result: Result, look: Sequence[Any]) -> Changes:
        """The result with the edge that the controls ask for; notes about it are shown."""
        made = reshape(result, _edge(look), self.page.settings)
        if made is not result:
            for note in made.notes:
                gr.Info(note)
        return {
            self.page.result: made,
            self.page.right.cutout_file: str(made.cutout),
            self.page.right.alpha_file: str(made.alpha),
            self.page.right.tiff_file: str(made.tiff),
            self.page.right.report: report_table(made.report),
        }

    def _pair(self, result: Result, look: Sequence[Any]) -> Changes:
        """The result on its background: next to the photo, and in the photo's and its own
        colours."""
        assert result.pictures is not None
        pictures, (kind, colour, picture, clean) = result.pictures, look[:4]
        if not pictures.photo.exists():
            raise InputError(GONE)
        background = background_of(kind, colour, file_in(picture), self.page.settings)
        own = str(on_background(pictures.cutout, background))
        tinted = str(on_background(pictures.tinted, background))
        return {
            self.page.right.slider: (str(pictures.photo), own if clean else tinted),
            self.page.right.edges: (tinted, own),
        }


def _edge(look: Sequence[Any]) -> Edge:
    clean, *controls = look[3:]
    return edge_from(controls, "foreground" if clean else "photo")
