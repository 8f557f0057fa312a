"""JupyterLab and Notebook 7 in headless Chromium: a server of its own, a notebook, its cells."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.gradio_app.processes import Server, free_port, serving
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

ROOT = Path(__file__).parents[2]
HOSTS = {"lab": "lab/workspaces/{space}/tree", "notebook": "notebooks"}
"""Where each host opens a notebook."""
DONE = 1000 * PATIENCE
"""Milliseconds, in the page, until something is there."""
# The notebook in the page: the shell's current widget in either host.
PANEL = "const panel = window.jupyterapp.shell.currentWidget, notebook = panel.content"


@dataclass
class Jupyter:
    """A running server that serves both hosts."""

    server: Server
    token: str

    @property
    def folder(self) -> Path:
        """Where the notebooks are."""
        return self.server.folder / "notebooks"

    def ask(self, path: str, method: str = "GET") -> Any:
        """The server's answer to a request; None where it has none."""
        request = urllib.request.Request(
            f"{self.server.address}/api/{path}",
            method=method,
            headers={"Authorization": f"token {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read() or "null")

    def set(self, name: str, **values: Any) -> None:
        """Give pages that are opened from now on other settings of JupyterLab's."""
        folder = self.server.folder / "settings" / "@jupyterlab" / "apputils-extension"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jupyterlab-settings").write_text(json.dumps(values))

    def kernels(self) -> list[str]:
        """The ids of those that run."""
        return [kernel["id"] for kernel in self.ask("kernels")]

    def delete_kernels(self) -> None:
        """End them all: a page's objects in one would be found by the next."""
        for one in self.kernels():
            self.ask(f"kernels/{one}", "DELETE")

    def wait_until_ready(self) -> None:
        """Until it answers; AssertionError where it ends before."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            assert self.server.process.poll() is None, self.server.text
            try:
                self.ask("status")
            except (OSError, urllib.error.HTTPError):
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"no answer after {PATIENCE} s:\n{self.server.text}")


@contextmanager
def jupyter(folder: Path, *, theme: str = "JupyterLab Light") -> Iterator[Jupyter]:
    """A server with JupyterLab and Notebook 7, and settings of its own."""
    port, token = free_port(), uuid.uuid4().hex
    (folder / "notebooks").mkdir()
    command = [
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"),
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder / 'notebooks'}",
        "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
        "--LabApp.news_url=",
    ]
    own = {
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "IPYTHONDIR": folder / "ipython",
        "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYTHONPATH": ROOT,
    }
    environment = {name: str(value) for name, value in own.items()}
    with serving(command, port, folder, **environment) as server:
        running = Jupyter(server, token)
        running.set("notification", fetchNews="false", checkForUpdates=False)  # no dialogs
        running.set("themes", theme=theme)
        running.wait_until_ready()
        try:
            yield running
        finally:
            if server.process.poll() is None:
                running.delete_kernels()


@dataclass
class Notebook:
    """An open notebook."""

    page: Page
    jupyter: Jupyter
    name: str
    """Its path below the server's folder."""
    faults: list[str] = field(default_factory=list)
    """Exceptions in the page; some are the host's own."""
    scratch: int | None = None
    """The cell that `value` uses again and again."""

    @property
    def folder(self) -> Path:
        """Where the notebook is, and its kernel runs."""
        return (self.jupyter.folder / self.name).parent

    def tell(self, script: str, *values: Any) -> Any:
        """What JavaScript with `panel`, `notebook` and `values` gives."""
        return self.page.evaluate(f"async (values) => {{ {PANEL}; {script} }}", list(values))

    def add(self, code: str) -> int:
        """A new last cell; its index."""
        script = """
          const shared = notebook.model.sharedModel
          shared.insertCell(shared.cells.length, {cell_type: "code", source: values[0]})
          return shared.cells.length - 1
        """
        return int(self.tell(script, code))

    def count(self) -> int:
        """How many cells there are."""
        return int(self.tell("return notebook.model.cells.length"))

    def start(self, index: int) -> None:
        """Run a cell without waiting for it."""
        script = """
          notebook.activeCellIndex = values[0]
          notebook.deselectAll()
          window.jupyterapp.commands.execute("notebook:run-cell")
        """
        self.tell(script, index)

    def wait(self, index: int) -> None:
        """Until a started cell has ended."""
        script = """([index, started]) => {
          const panel = window.jupyterapp.shell.currentWidget
          return panel.content.model.cells.get(index).executionState === "idle"
        }"""
        self.page.wait_for_function(script, arg=[index, 0], timeout=DONE)

    def run(self, index: int) -> str:
        """Run a cell to its end; what it printed, its value's text and its error's."""
        self.start(index)
        self.wait(index)
        return self.text(index)

    def do(self, code: str) -> str:
        """Run code in a new last cell; as `run`."""
        return self.run(self.add(code))

    def value(self, expression: str) -> Any:
        """A JSON-ready value in the kernel, by way of a cell that is used again and again."""
        code = f"import json; print(json.dumps({expression}))"
        if self.scratch is None:
            self.scratch = self.add(code)
        else:
            script = "notebook.model.cells.get(values[0]).sharedModel.setSource(values[1])"
            self.tell(script, self.scratch, code)
        printed = self.run(self.scratch)
        try:
            return json.loads(printed)
        except ValueError:
            raise AssertionError(printed) from None

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """A cell's outputs as they stand in the notebook's file."""
        return list(self.tell("return notebook.model.cells.get(values[0]).outputs.toJSON()", index))

    def text(self, index: int) -> str:
        """What a cell printed, its value's text and its error's name and message."""
        found = []
        for one in self.outputs(index):
            kind = one["output_type"]
            if kind == "stream":
                found.append(_joined(one["text"]))
            elif kind == "error":
                found.append(f"{one['ename']}: {one['evalue']}")
            else:
                found.append(_joined(one["data"].get("text/plain", "")))
        return "".join(found)

    def cell(self, index: int) -> Locator:
        """A cell on the page, scrolled to."""
        self.tell(
            "await notebook.scrollToItem(values[0]); notebook.activeCellIndex = values[0]", index
        )
        in_front = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook"
        return self.page.locator(f'{in_front} .jp-Cell[data-windowed-list-index="{index}"]')

    def until(self, expression: str, seconds: float = PATIENCE) -> None:
        """Wait until an expression is true in the kernel."""
        end = time.monotonic() + seconds
        while not self.value(f"bool({expression})"):
            assert time.monotonic() < end, f"it did not come: {expression}"
            self.page.wait_for_timeout(100)

    def interrupt(self) -> None:
        """The stop button."""
        self.tell("await panel.sessionContext.session.kernel.interrupt()")

    def restart(self) -> None:
        """Restart the kernel, as the menu does after its question."""
        self.tell("await panel.sessionContext.restartKernel()")
        self.settle()

    def change_kernel(self) -> None:
        """Another kernel in the place of this one."""
        self.tell("await panel.sessionContext.changeKernel({name: 'python3'})")
        self.settle()

    def open_next_to(self, cells: Sequence[str], name: str) -> Notebook:
        """JupyterLab's page with another new notebook in front, which has a kernel of its own.

        name: its path below the server's folder. `to_front` brings this one back.
        """
        (self.jupyter.folder / name).write_text(json.dumps(_document(cells)))
        other = Notebook(self.page, self.jupyter, name)
        other.to_front()
        return other

    def to_front(self) -> None:
        """Show this notebook's tab."""
        script = "await window.jupyterapp.commands.execute('docmanager:open', {path: values[0]})"
        self.page.evaluate(f"async (values) => {{ {script} }}", [self.name])
        self.page.wait_for_function(
            "name => window.jupyterapp.shell.currentWidget?.context?.path === name",
            arg=self.name,
            timeout=DONE,
        )
        self.settle()

    def reload(self) -> None:
        """Save the notebook and reload the page; the kernel stays."""
        self.tell("await panel.context.save()")
        self.page.reload()
        self.page.locator(".jp-Notebook").first.wait_for(timeout=DONE)
        self.settle()

    def settle(self) -> None:
        """Until the kernel is idle."""
        script = """() => {
          const panel = window.jupyterapp?.shell?.currentWidget
          return panel?.sessionContext?.session?.kernel?.status === "idle"
        }"""
        self.page.wait_for_function(script, timeout=DONE)


@contextmanager
def notebook(
    browser: Browser,
    server: Jupyter,
    host: str,
    cells: Sequence[str],
    *,
    name: str = "",
    width: int = 1280,
    height: int = 1100,
    **options: Any,
) -> Iterator[Notebook]:
    """A new notebook with these code cells, its kernel ready.

    name: its path below the server's folder; by default in a folder of its own.
    Options are those of Playwright's new_context.
    """
    name = name or f"{uuid.uuid4().hex}/notebook.ipynb"  # a folder of its own for what it writes
    (server.folder / name).parent.mkdir(exist_ok=True)
    (server.folder / name).write_text(json.dumps(_document(cells)))
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    try:
        shown = Notebook(context.new_page(), server, name)
        shown.page.on("pageerror", lambda error: shown.faults.append(str(error)))
        place = HOSTS[host].format(space=uuid.uuid4().hex)
        shown.page.goto(f"{server.server.address}/{place}/{name}?token={server.token}")
        shown.page.locator(".jp-Notebook").first.wait_for(timeout=DONE)
        shown.settle()
        yield shown
    finally:
        context.close()
        server.delete_kernels()


def _document(cells: Sequence[str]) -> dict[str, Any]:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{i}",
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": code,
            }
            for i, code in enumerate(cells)
        ],
    }


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
