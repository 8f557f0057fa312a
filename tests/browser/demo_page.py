"""The demo's page in headless Chromium: what a user does and sees.

Controls are found by their `elem_id` in `gradio_app/layout.py`.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import numpy as np
from PIL import Image

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Request

DONE = 1000 * PATIENCE
"""Milliseconds, in the page, until something is there."""
FILES = ("cutout", "alpha", "tiff")
"""What can be downloaded."""
# Parts of the page that stick out to the right, by tag, id and classes.
STICKS_OUT = """() => {
  const width = document.documentElement.clientWidth
  const seen = [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility())
  const clipped = (e) => {
    for (let p = e.parentElement; p; p = p.parentElement) {
      const style = getComputedStyle(p)
      if (style.overflowX !== "visible" && p.getBoundingClientRect().right <= width + 1) return true
    }
    return false
  }
  const out = seen.filter((e) => e.getBoundingClientRect().right > width + 1 && !clipped(e))
  return [document.documentElement.scrollWidth - width,
          ...out.map((e) => `${e.tagName} #${e.id} .${e.className}`)]
}"""
# A picture's pixels as the browser shows them: width, height and whether there are any.
LOADED = """(element) => {
  const pictures = [...element.querySelectorAll("img")]
  return pictures.length > 0 && pictures.every((p) => p.complete && p.naturalWidth > 0)
}"""
COPY = """async (text) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
  const blob = new Blob([bytes], {type: "image/png"})
  await navigator.clipboard.write([new ClipboardItem({"image/png": blob})])
}"""
# Colours as WCAG sees them: of what is behind an element, and how light one is, 0 to 1.
COLOURS = """
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true})
  const rgba = (text) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1)
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data
    return [r, g, b, a / 255]
  }
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]))
  const behind = (e) => {
    if (!e) return [255, 255, 255]
    const own = rgba(getComputedStyle(e).backgroundColor)
    return own[3] === 1 ? own.slice(0, 3) : over(own, behind(e.parentElement))
  }
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
"""
FAINT_TEXT = """
  const found = []
  for (const e of document.querySelectorAll("body *")) {
    const parts = [...e.childNodes].filter((n) => n.nodeType === 3)
    const text = parts.map((n) => n.data.trim()).join("")
    const style = getComputedStyle(e)
    const box = e.getBoundingClientRect()
    const shown = e.checkVisibility({opacityProperty: true, visibilityProperty: true})
    if (!/[\\p{L}\\p{N}]/u.test(text) || !shown || e.closest("[disabled], svg")) continue
    if (box.width < 2 || box.height < 2) continue
    let pictured = false
    for (let p = e; p; p = p.parentElement)
      if (getComputedStyle(p).backgroundImage !== "none") pictured = true
    if (pictured) continue
    const ground = behind(e)
    const own = light(over(rgba(style.color), ground)), other = light(ground)
    const contrast = (Math.max(own, other) + 0.05) / (Math.min(own, other) + 0.05)
    const size = parseFloat(style.fontSize)
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700)
    if (contrast < (large ? 3 : 4.5)) found.push(`${contrast.toFixed(2)} ${text.slice(0, 40)}`)
  }
  return found
"""


@dataclass
class Demo:
    """The page, opened."""

    page: Page
    address: str
    """Of the server, without a slash at the end."""
    outside: list[str] = field(default_factory=list)
    """Requests to anybody else."""
    layers: list[str] = field(default_factory=list)
    """Addresses of the painted layers that were sent."""
    faults: list[str] = field(default_factory=list)
    """Errors on the console, exceptions and answers that are errors."""

    def watch(self) -> None:
        """Collect requests and complaints from now on."""
        own = urlparse(self.address).netloc

        def asked(url: str) -> None:
            parts = urlparse(url)
            if parts.scheme not in ("data", "blob", "about") and parts.netloc != own:
                self.outside.append(url)

        self.page.on("request", lambda request: asked(request.url))
        self.page.on("request", self._find_layers)
        self.page.on("websocket", lambda socket: asked(socket.url))
        self.page.on(
            "console",
            lambda m: m.type == "error" and self.faults.append(f"console: {m.text} {m.location}"),
        )
        self.page.on("pageerror", lambda e: self.faults.append(f"page: {e} {e.stack}"))
        self.page.on(
            "response", lambda r: r.status >= 400 and self.faults.append(f"{r.status} {r.url}")
        )

    def _find_layers(self, request: Request) -> None:
        if request.url.split("?")[0].endswith("/queue/join"):
            values = json.loads(request.post_data or "{}").get("data", [])
            found = [one for one in values if isinstance(one, dict) and one.get("layers")]
            self.layers.extend(layer["url"] for one in found for layer in one["layers"])

    def part(self, name: str) -> Locator:
        """A control by its id."""
        return self.page.locator(f"#{name}")

    def upload(self, name: str, file: Path) -> None:
        """Choose a file for a control, as with the file dialogue."""
        self.part(name).locator("input[type=file]").first.set_input_files(file)

    def take(self, photo: Path) -> None:
        """Choose the photo and wait until it is taken in."""
        self.upload("photo", photo)
        self.part("photo-info").get_by_text(photo.name).wait_for(timeout=DONE)

    def choose(self, way: str) -> None:
        """paint, mask or trimap."""
        self.part("way").locator(f"input[value={way}]").check(force=True)
        self.part({"paint": "painter", "find": "found"}.get(way, way)).wait_for(timeout=DONE)

    def guide(self, way: str, file: Path) -> None:
        """Hand in a mask or trimap and wait until its preview shows."""
        self.choose(way)
        self.upload(way, file)
        self.wait_for_picture("trimap-preview")

    def cut(self) -> None:
        """Press Cut and wait for the result."""
        self.part("cut").click()
        self.wait_for_result()

    def wait_for_result(self) -> None:
        """Until a result is shown with its first picture."""
        self.part("results").wait_for(timeout=DONE)
        self.wait_for_picture("result-slider")

    def wait_for_picture(self, name: str) -> None:
        """Until a control shows its pictures."""
        shown = self.part(name)
        shown.locator("img").first.wait_for(timeout=DONE)
        self.page.wait_for_function(LOADED, arg=shown.element_handle(), timeout=DONE)

    def download(self, folder: Path, files: Sequence[str] = FILES) -> dict[str, Path]:
        """Press the download buttons; the files under the names that the browser gives them."""
        found = {}
        for name in files:
            with self.page.expect_download(timeout=DONE) as caught:
                self.part(f"download-{name}").click()
            found[name] = folder / caught.value.suggested_filename
            caught.value.save_as(found[name])
        return found

    def brush(self, number: int) -> None:
        """Take the brush of the number that the legend gives it, from 0."""
        tool = self.part("painter").get_by_label("Color", exact=True)
        tool.click()
        self.page.locator("#painter button.color").nth(number).click()
        tool.click()  # away with the choice of colours, which covers the picture

    def stroke(self, points: Sequence[tuple[float, float]], size: tuple[int, int]) -> None:
        """Paint with the mouse through points, in parts of the picture's width and height.

        size: (width, height) of the picture that is painted on, in its own pixels.
        """
        painter = self.part("painter")
        painter.scroll_into_view_if_needed()
        box = painter.locator("canvas").first.bounding_box()
        assert box is not None
        zoom = float(painter.get_by_text(re.compile(r"^\d+%$")).inner_text().rstrip("%")) / 100
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        places = [
            tuple(m + (p - 0.5) * s * zoom for m, p, s in zip(middle, point, size, strict=True))
            for point in points
        ]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=8)
        self.page.mouse.up()
        self.page.wait_for_timeout(300)  # until the stroke has become part of the layer

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where on the screen a part of the width and height of the photo to click on is."""
        shot = self.part("canvas").locator(".shot")
        shot.wait_for(timeout=DONE)
        shot.evaluate("shot => shot.scrollIntoView({block: 'center'})")
        self.page.wait_for_timeout(200)
        box = shot.bounding_box()
        assert box is not None
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def click_photo(self, x: float, y: float, **options: Any) -> None:
        """Click on a part of the photo's width and height with the mouse."""
        self.page.mouse.click(*self.place(x, y), **options)

    def wait_for_clicks(self, *kinds: str) -> None:
        """Until these clicks are on the photo ("in", "out") and their cut-out is there."""
        dots = self.part("canvas").locator(".shot i:not(.cross)")
        names = "dots => dots.map((dot) => dot.className)"
        until(lambda: dots.evaluate_all(names) == [*kinds], self.page)
        self.part("found").get_by_text("sure").wait_for(timeout=DONE)
        self.wait_for_result()

    def layer(self) -> np.ndarray:
        """The mask over the photo, (h, w, 4)."""
        shown = self.part("canvas").locator(".found")
        shown.wait_for(timeout=DONE)
        address = shown.get_attribute("src")
        with Image.open(
            io.BytesIO(self.page.request.get(f"{self.address}/{address}").body())
        ) as picture:
            return np.asarray(picture)

    def painted(self) -> bytes:
        """The layer of the painting that was sent last, a PNG."""
        assert self.layers, "no painting was sent"
        return self.page.request.get(self.layers[-1]).body()

    def toast(self) -> str:
        """The text of the message that comes up, which is then put away."""
        shown = self.page.get_by_test_id("toast-body")
        shown.wait_for(timeout=DONE)
        shown_texts = self.page.get_by_test_id("toast-text").all_inner_texts()
        assert len(shown_texts) == 1, shown_texts
        self.page.get_by_test_id("toast-close").click()
        shown.wait_for(state="detached", timeout=DONE)
        return shown_texts[0]

    def open_tab(self, title: str) -> None:
        """Show one of the result's tabs; on a narrow page it may be in the menu next to them."""
        tab = self.page.get_by_role("tab", name=title, exact=True).locator("visible=true")
        if not tab.count():
            self.page.locator(".overflow-menu > button").click()
            self.page.locator(".overflow-dropdown").get_by_text(title, exact=True).click()
        else:
            tab.first.click()

    def pick(self, name: str, value: str) -> None:
        """Choose one of several with a round button."""
        self.part(name).locator(f"input[value={value}]").check(force=True)

    def after(self, name: str) -> np.ndarray:
        """The right picture of a slider, (h, w, 3)."""
        address = self.part(name).locator("img").last.get_attribute("src")
        assert address is not None
        with Image.open(io.BytesIO(self.page.request.get(address).body())) as picture:
            return np.asarray(picture.convert("RGB"))

    def change(self, name: str, act: Callable[[], object]) -> None:
        """Do something and wait until a slider has another right picture."""
        picture = self.part(name).locator("img").last
        before = picture.get_attribute("src")
        act()
        until(lambda: picture.get_attribute("src") != before, self.page)
        self.wait_for_picture(name)

    def copy(self, png: bytes) -> None:
        """Put a picture on the clipboard."""
        self.page.evaluate(COPY, base64.b64encode(png).decode())

    def is_dark(self) -> bool:
        """Whether the page is dark."""
        return bool(
            self.page.evaluate(f"() => {{ {COLOURS}; return light(behind(document.body)) < 0.2 }}")
        )

    def unreadable(self) -> list[str]:
        """Text in view whose contrast with what is behind it is below 4.5 (3 where large)."""
        return list(self.page.evaluate(f"() => {{ {COLOURS}; {FAINT_TEXT} }}"))

    def sticks_out(self) -> list[Any]:
        """[pixels by which the page is too wide, and what is, if anything]."""
        return list(self.page.evaluate(STICKS_OUT))


@contextmanager
def demo_page(
    browser: Browser, address: str, *, width: int = 1280, height: int = 1000, **options: Any
) -> Iterator[Demo]:
    """The page of a server, ready. Options are those of Playwright's new_context."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    try:
        shown = Demo(context.new_page(), address)
        shown.watch()
        shown.page.goto(f"{address}/")
        shown.part("cut").wait_for(timeout=DONE)
        yield shown
    finally:
        context.close()


def until(condition: Callable[[], bool], page: Page, seconds: float = PATIENCE) -> None:
    """Wait for something that is not of the page."""
    for _ in range(int(seconds * 10)):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not come")
