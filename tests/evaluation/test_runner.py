"""A run reports failures, does the rest, and resumes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mematte_plugin.errors import InputError, MEMatteError, OutputError, SettingError
from mematte_plugin.evaluation.baselines import closed_form
from mematte_plugin.evaluation.cases import cases_of, read
from mematte_plugin.evaluation.layouts import Case, scan
from mematte_plugin.evaluation.methods import Estimate, Method, classical, networks
from mematte_plugin.evaluation.metrics import Errors
from mematte_plugin.evaluation.runner import Failure, Result, ResultCache, kept_shares, run
from mematte_plugin.weights.save import save_network

from ..networks import random_network
from .photographs import HEIGHT, WIDTH, photographs, save


def method(estimate, name: str = "half", **settings: object) -> Method:
    return Method(name, settings, estimate, lambda: None)


def half(_, trimap) -> Estimate:
    return Estimate(np.full(trimap.shape, 0.5, np.float32))


def cases(root: Path, *names: str, **options: object) -> list[Case]:
    return cases_of(scan(photographs(root, *names)), **options)


# ---- cases ---------------------------------------------------------------------------------------


def test_trimaps_made_from_the_alpha_grow_and_never_contradict_it(tmp_path: Path) -> None:
    made = cases(tmp_path, "a", "b", widths=[0, 5, 6.5], limit=1)
    assert [(case.name, case.trimap_name) for case in made] == [
        ("a", "0 px"), ("a", "5 px"), ("a", "6.5 px"),
    ]  # fmt: skip
    inputs = [read(case) for case in made]
    for one in inputs:
        known = one.trimap != 0.5
        assert np.array_equal(one.trimap[known], one.truth[known])
    unknown = [(one.trimap == 0.5).sum() for one in inputs]
    assert unknown == sorted(set(unknown))


def test_without_trimaps_the_error_names_the_option(tmp_path: Path) -> None:
    dataset = scan(photographs(tmp_path, "a", widths=()))
    with pytest.raises(InputError, match="--widths"):
        cases_of(dataset)
    assert cases_of(dataset, [3])


# ---- runs ----------------------------------------------------------------------------------------


def test_broken_pictures_are_named_once_and_the_others_done(tmp_path: Path) -> None:
    made = cases(tmp_path, "cut", "empty", "good", "known", "small", limit=None)
    wide = [case for case in made if case.trimap_name == "6"]
    save(tmp_path / "alpha" / "small.png", np.zeros((8, 9), np.uint8))
    save(tmp_path / "trimap_6" / "known.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    (tmp_path / "image" / "empty.png").write_bytes(b"")
    (tmp_path / "trimap_6" / "cut.png").unlink()
    with pytest.warns(UserWarning, match="no foreground"):
        found = list(run(wide, [method(half), method(half, "other")], cache=ResultCache()))
    results = [one for one in found if isinstance(one, Result)]
    assert [(one.method, one.picture) for one in results] == [("half", "good"), ("other", "good")]
    failures = {one for one in found if isinstance(one, Failure)}
    reasons = {one.what: one.reason for one in failures}
    assert len(failures) == len(reasons) == 4
    assert "cut.png: cannot be read" in reasons["cut (6)"]
    assert "empty.png" in reasons["empty (6)"]
    assert "nothing unknown" in reasons["known (6)"]
    assert f"small.png: is 9×8, but the photograph is {WIDTH}×{HEIGHT}" in reasons["small (6)"]


def test_a_method_that_fails_on_one_picture_or_altogether_stops_no_other(tmp_path: Path) -> None:
    def picky(photo, trimap) -> Estimate:
        if photo.name.endswith("b.png"):
            raise MEMatteError("not this one")
        return half(photo, trimap)

    save_network(random_network(routed=False), tmp_path / "unrouted")
    rows = [
        method(picky, "picky"),
        *networks(str(tmp_path / "unrouted"), retentions=(0.5,)),  # it cannot retain half
        method(half),
    ]
    found = list(run(cases(tmp_path / "data", "a", "b")[:2], rows, cache=ResultCache()))
    done = [(one.method, one.picture) for one in found if isinstance(one, Result)]
    assert done == [("picky", "a"), ("half", "a"), ("half", "b")]
    failures = [(one.what, one.reason) for one in found if isinstance(one, Failure)]
    assert failures[0] == ("picky on b (2)", "not this one")
    assert len(failures) == 2
    assert failures[1][0] == f"{tmp_path / 'unrouted'} @ 0.5"
    assert "no router" in failures[1][1]


def test_known_pixels_count_as_the_trimap_says(tmp_path: Path) -> None:
    made = cases(tmp_path, "a")
    truth = read(made[0]).truth

    def right_where_it_counts(_, trimap) -> Estimate:
        return Estimate(np.where(trimap == 0.5, truth, 0.3))

    (result,) = run(made[:1], [method(right_where_it_counts)], cache=ResultCache())
    assert isinstance(result, Result)
    assert result.errors == Errors(0, 0, 0, 0, 0)


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    made = cases(tmp_path / "data", "a", "b")
    state = tmp_path / "state.jsonl"
    calls: list[str] = []

    def counted(photo, trimap) -> Estimate:
        calls.append(Path(photo.name).stem)
        return half(photo, trimap)

    def again(*rows: Method) -> list[Result | Failure]:
        calls.clear()
        return list(run(made, rows, cache=ResultCache(state)))

    first = next(run(made, [method(counted)], cache=ResultCache(state)))  # and the run is killed
    everything = again(method(counted))
    assert everything[0] == first
    assert calls == ["b", "a", "b"]
    assert again(method(counted)) == everything
    assert calls == []

    again(method(counted, threshold=3))  # another setting is another method
    assert len(calls) == 4
    save(tmp_path / "data" / "alpha" / "a.png", np.full((HEIGHT, WIDTH), 100, np.uint8))
    again(method(counted))  # a changed file is another picture
    assert calls == ["a", "a"]

    state.write_bytes(state.read_bytes()[:-20])  # killed while it wrote
    again(method(counted))
    assert calls == ["a"]
    again(method(counted))
    assert calls == []


def test_a_file_of_something_else_is_not_appended_to(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("my notes\n")
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff\xe0")
    for name in ("notes", "photo"):
        with pytest.raises(InputError, match=f"{name}: .*name another file"):
            ResultCache(tmp_path / name)
    with pytest.raises(OutputError, match="create it first"):
        ResultCache(tmp_path / "none" / "state.jsonl")


def test_alphas_are_saved_also_for_remembered_results(tmp_path: Path) -> None:
    made = cases(tmp_path / "data", "a")[:1]
    cache, folder = ResultCache(tmp_path / "state.jsonl"), tmp_path / "alphas"
    rows = [method(half, "some/model @ 0.5")]
    list(run(made, rows, cache=cache))
    list(run(made, rows, cache=cache, save=folder))
    path = folder / "some_model_@_0.5" / "2" / "a.png"
    with Image.open(path) as image:
        alpha = np.asarray(image)
    trimap = read(made[0]).trimap
    assert alpha.dtype == np.uint8
    assert np.array_equal(alpha, np.rint(np.where(trimap == 0.5, 0.5, trimap) * 255))


# ---- methods -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(save_network(random_network(), tmp_path_factory.mktemp("models") / "routed"))


def test_classical_methods_find_a_plain_subject(tmp_path: Path) -> None:
    (case,) = cases(tmp_path, "a")[:1]
    found = read(case)
    rows = [classical(name) for name in ("closed-form", "knn", "flow", "distance-ratio")]
    results = list(run([case], rows, cache=ResultCache()))
    assert [one.method for one in results if isinstance(one, Result)] == [row.name for row in rows]
    assert all(one.errors.mad < 0.15 for one in results if isinstance(one, Result))
    for row in rows[:2]:  # not a matter of errors alone: fore- and background keep their sides
        alpha = row.estimate(found.photo, found.trimap).alpha
        assert alpha.dtype == np.float32
        assert np.corrcoef(alpha.ravel(), found.truth.ravel())[0, 1] > 0.95
    with pytest.raises(InputError, match="no background"):
        rows[1].estimate(found.photo, np.where(found.trimap == 0, 0.5, found.trimap))


def test_without_pymatting_the_methods_that_need_it_name_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mematte_plugin.evaluation.baselines.find_spec", lambda name: None)
    for name in ("closed-form", "knn"):
        with pytest.raises(SettingError, match=r"pip install .mematte-plugin\[bench\]"):
            classical(name)
    assert classical("flow").name == "flow"


def test_pymatting_does_not_print_into_results(capfd) -> None:
    flat = np.kron(np.random.default_rng(0).integers(0, 4, (5, 5, 3)) / 3, np.ones((8, 8, 1)))
    trimap = np.full((40, 40), 0.5, np.float32)
    trimap[:2], trimap[-2:] = 0, 1
    closed_form(flat, trimap)  # its first preconditioner fails on flat squares
    assert capfd.readouterr().out == ""


def test_shortcuts_that_shorten_nothing_change_nothing(tmp_path: Path, model: str) -> None:
    (case,) = cases(tmp_path, "a")[:1]
    found = read(case)
    whole, smaller, tiles = (
        row.estimate(found.photo, found.trimap).alpha
        for row in networks(model, shortcut=WIDTH, device="cpu")
    )
    assert np.allclose(whole, smaller, atol=1e-5)
    assert np.allclose(whole, tiles, atol=1e-5)


def test_tiles_know_nothing_of_each_other_and_small_copies_are_blurred(
    tmp_path: Path, model: str
) -> None:
    (case,) = cases(tmp_path, "a")[:1]
    found = read(case)
    whole, smaller, tiles = networks(model, shortcut=32, device="cpu")
    other = found.photo.pixels.copy()
    other[:, 32:] = 0
    changed = type(found.photo)(other)
    left = np.s_[:, :32]
    before, after = (tiles.estimate(photo, found.trimap).alpha for photo in (found.photo, changed))
    assert np.array_equal(before[left], after[left])
    before, after = (whole.estimate(photo, found.trimap).alpha for photo in (found.photo, changed))
    assert not np.array_equal(before[left], after[left])
    alpha = smaller.estimate(found.photo, found.trimap).alpha
    assert alpha.shape == found.trimap.shape
    assert not np.allclose(alpha, before, atol=1e-3)


def test_retention_makes_rows_of_their_own(tmp_path: Path, model: str) -> None:
    (case,) = cases(tmp_path, "a")[:1]
    found = read(case)
    free, capped = networks(model, retentions=("auto", 0.125), device="cpu")
    assert (free.name, capped.name) == (model, f"{model} @ 0.125")
    assert free.settings != capped.settings
    kept = [
        [one.overall for one in kept_shares(row.estimate(found.photo, found.trimap), found.trimap)]
        for row in (free, capped)
    ]
    assert len(kept[0]) == 2  # one share for each global block
    assert max(kept[1]) <= 0.125 < max(kept[0])


def test_kept_shares_are_counted_on_and_off_the_unknown_tokens() -> None:
    trimap = np.ones((20, 30))  # 2×2 tokens of 16, of which the right and lower are cut off
    trimap[3, 5] = 0.5
    trimap[19, 29] = 0.5
    keep = np.array([[True, True], [False, False]])
    (shares,) = kept_shares(Estimate(trimap, {3: keep}), trimap)
    assert (shares.block, shares.overall, shares.inside, shares.outside) == (3, 0.5, 0.5, 0.5)
    keep = np.array([[True, False], [False, True]])
    (shares,) = kept_shares(Estimate(trimap, {3: keep}), trimap)
    assert (shares.overall, shares.inside, shares.outside) == (0.5, 1, 0)
    (shares,) = kept_shares(Estimate(trimap, {3: keep}), np.full((20, 30), 0.5))
    assert (shares.inside, shares.outside) == (0.5, None)
