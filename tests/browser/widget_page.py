"""The widgets on a notebook's page: what one clicks, paints and reads there.

Parts of `MatteWidget` are found by their `data-mematte`, those of `MattePanel` by what they say.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tests.browser.jupyter_page import DONE, Notebook

if TYPE_CHECKING:
    from playwright.sync_api import Locator

Point = tuple[float, float]
"""Across and down, in parts of the photo's width and height."""


@dataclass
class Painter:
    """One view of a `MatteWidget`, in the output of a cell."""

    book: Notebook
    root: Locator
    shape: float = 1.0
    """The photo's width by its height."""

    def part(self, name: str) -> Locator:
        return self.root.locator(f'[data-mematte="{name}"]')

    def wait(self) -> Painter:
        """Until it is there; itself."""
        self.part("canvas").wait_for(timeout=DONE)
        self.book.page.wait_for_timeout(300)  # until it has found its size
        return self

    def press(self, name: str) -> None:
        self.part(name).click(timeout=DONE)

    def place(self, point: Point) -> Point:
        """Where a point of the photo is on the page, while all of it is seen."""
        box = self.part("canvas").bounding_box()
        assert box is not None
        width = min(box["width"], box["height"] * self.shape)
        height = width / self.shape
        left = box["x"] + (box["width"] - width) / 2
        top = box["y"] + (box["height"] - height) / 2
        return left + point[0] * width, top + point[1] * height

    def stroke(self, points: Sequence[Point], brush: str = "", size: int = 0) -> None:
        """Paint with the mouse. brush: "foreground" and so on; size: in pixels of the proxy."""
        if brush:
            self.press(f"brush-{brush}")
        if size:
            self.part("size").fill(str(size))
        self.part("canvas").scroll_into_view_if_needed()
        mouse = self.book.page.mouse
        mouse.move(*self.place(points[0]))
        mouse.down()
        for point in points[1:]:
            mouse.move(*self.place(point), steps=8)
        mouse.up()

    def point(self, point: Point, *, alt: bool = False, touch: bool = False) -> None:
        """Click on the photo, or tap it."""
        page = self.book.page
        self.part("canvas").scroll_into_view_if_needed()
        if touch:
            page.touchscreen.tap(*self.place(point))
            return
        if alt:
            page.keyboard.down("Alt")
        page.mouse.click(*self.place(point))
        if alt:
            page.keyboard.up("Alt")

    def colour(self, point: Point) -> np.ndarray:
        """What is seen at a point: (3,) of 0 to 255, the mean over a few pixels."""
        self.part("canvas").scroll_into_view_if_needed()
        self.book.page.mouse.move(2, 2)  # the brush's ring away
        self.book.page.wait_for_timeout(200)
        x, y = self.place(point)
        clip = {"x": x - 3, "y": y - 3, "width": 6, "height": 6}
        with Image.open(io.BytesIO(self.book.page.screenshot(clip=clip))) as shot:
            return np.asarray(shot.convert("RGB")).mean((0, 1))

    def says(self, text: str, timeout: float = DONE) -> None:
        """Wait until the message holds a text."""
        shown = self.root.locator('[data-mematte="message"]', has_text=text)
        shown.wait_for(timeout=timeout)

    def ends(self, status: str = "done") -> None:
        """Wait for a status."""
        page, root = self.book.page, self.root.element_handle()
        script = "([root, status]) => root.dataset.status === status"
        page.wait_for_function(script, arg=[root, status], timeout=DONE)


@dataclass
class PanelView:
    """One view of a `MattePanel`."""

    book: Notebook
    root: Locator

    def button(self, text: str) -> Locator:
        return self.root.get_by_role("button", name=text)

    def upload(self, role: str, file: Path) -> None:
        """Choose a file with the button of a role: photo, trimap or mask."""
        with self.book.page.expect_file_chooser() as caught:
            self.button(role.capitalize()).first.click()
        caught.value.set_files(file)

    def says(self, text: str, timeout: float = DONE) -> None:
        """Wait until the message holds a text."""
        self.root.get_by_role("status").filter(has_text=text).wait_for(timeout=timeout)

    def picture(self) -> np.ndarray:
        """The picture of the view, (h, w, 3)."""
        script = """async (image) => {
          const data = await (await fetch(image.src)).arrayBuffer()
          return [...new Uint8Array(data)]
        }"""
        data = bytes(self.root.locator("img").first.evaluate(script))
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(picture.convert("RGB"))
