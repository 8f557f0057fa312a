"""The notebooks are clean files that a reader finds; nbmake (`--nbmake notebooks`) runs them."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import mematte_plugin

nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
NAMES = [path.name for path in sorted(FOLDER.glob("*.ipynb"))]
HOME = re.compile(r"(/home|/root|/Users|/tmp|/work|/opt|[A-Z]:\\)\b")
"""How paths begin that are those of one machine."""


@pytest.fixture(params=NAMES)
def notebook(request: pytest.FixtureRequest) -> Any:
    """Each notebook, read without being brought up to date."""
    return nbformat.read(FOLDER / request.param, as_version=nbformat.NO_CONVERT)


def code_of(notebook: Any) -> str:
    """All code, without IPython's own commands."""
    cells = (cell.source for cell in notebook.cells if cell.cell_type == "code")
    return "\n".join(line for cell in cells for line in cell.splitlines() if line[:1] not in "%!")


def test_all_of_them_are_there() -> None:
    assert {name.removesuffix(".ipynb") for name in NAMES} == {
        "quickstart",
        "trimaps",
        "subject",
        "memory_and_retention",
        "batch_and_video",
        "train_your_own",
        "weights_from_the_hub",
    }


def test_it_is_a_valid_notebook_that_any_jupyter_opens(notebook: Any) -> None:
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"


def test_it_holds_no_outputs_and_no_traces_of_a_run(notebook: Any) -> None:
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert not cell.metadata, cell.id
        if cell.cell_type == "code":
            assert not cell.outputs, cell.id
            assert cell.execution_count is None, cell.id


def test_cells_have_telling_names(notebook: Any) -> None:
    # Stable ones: random names would change with every save.
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z-]*", name) for name in ids)


def test_it_begins_with_how_to_install(notebook: Any) -> None:
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert re.search(r'pip install "mematte-plugin\[jupyter[\],]', first.source)


def test_every_code_cell_is_explained_before_it(notebook: Any) -> None:
    for before, cell in zip(notebook.cells, notebook.cells[1:], strict=False):
        if cell.cell_type == "code":
            assert before.cell_type == "markdown", f"{cell.id} follows {before.id}"
            assert before.source.strip(), before.id


def test_no_path_of_one_machine(notebook: Any) -> None:
    for cell in notebook.cells:
        assert not HOME.search(cell.source), cell.id


def test_it_uses_public_names_only(notebook: Any) -> None:
    for node in ast.walk(ast.parse(code_of(notebook))):
        if isinstance(node, ast.ImportFrom) and node.module == "mematte_plugin":
            assert {alias.name for alias in node.names} <= set(mematte_plugin.__all__)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mematte_plugin"):
            assert node.module == "mematte_plugin.widget"
            public = import_module(node.module).__all__
            assert {alias.name for alias in node.names} <= set(public)
        elif isinstance(node, ast.Import):
            assert not [a.name for a in node.names if a.name.startswith("mematte_plugin.")]


def test_what_it_links_to_is_there(notebook: Any) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\((?!https?:)([^)#]+)", cell.source):
                assert (FOLDER / target).is_file(), f"{cell.id}: {target}"


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_links_to_it(name: str) -> None:
    assert f"(notebooks/{name})" in (ROOT / "README.md").read_text(encoding="utf-8")
