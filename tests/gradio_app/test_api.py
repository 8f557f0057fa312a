"""The endpoints with a real server and real clients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("gradio")

import httpx
import psutil
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from gradio_client.utils import Status
from PIL import Image

from gradio_app.guard import ENDPOINTS
from mematte_plugin import collect_notes, cut, find_subject, from_mask, plan_memory
from tests.gradio_app.harness import MASK, PHOTO, TRIMAP, Service, picture, pixels
from tests.patience import PATIENCE, until

if TYPE_CHECKING:
    from gradio_client.client import Job

    from gradio_app.settings import Settings


@pytest.fixture
def client(service: Service, tmp_path: Path) -> Client:
    return service.client(tmp_path / "downloads")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A photo and a trimap that take their time."""
    folder = tmp_path_factory.mktemp("large")
    return (
        picture(folder / "large.png", 1800, 1800),
        picture(folder / "unknown.png", 1800, 1800, "trimap"),
    )


def begin(client: Client, files: tuple[Path, Path]) -> Job:
    """A job that is being computed."""
    job = client.submit(*(handle_file(str(path)) for path in files), api_name="/matte")
    until(lambda: job.status().progress_data or job.done())
    assert not job.done(), job.result()
    return job


# ---- answers -------------------------------------------------------------------------------------


def test_matte_is_what_the_package_computes(client: Client, tmp_path: Path) -> None:
    cutout, alpha, report = client.predict(
        image=handle_file(str(PHOTO)), trimap=handle_file(str(TRIMAP)), api_name="/matte"
    )
    matte = cut(PHOTO, TRIMAP)
    matte.save(tmp_path / "cutout.png", kind="cutout")
    matte.save(tmp_path / "alpha.png", kind="alpha", bits=16)
    assert (Path(cutout).name, Path(alpha).name) == ("astronaut_cutout.png", "astronaut_alpha.png")
    for found, expected in ((cutout, "cutout.png"), (alpha, "alpha.png")):
        assert np.array_equal(pixels(found), pixels(tmp_path / expected))
    assert report["photo"] == "astronaut.jpg"
    assert report["plan"]["predicted_peak"] > 0
    assert report["notes"] == []


def test_trimap_is_the_packages(client: Client) -> None:
    made = client.predict(handle_file(str(MASK)), 1, 3, api_name="/trimap")
    assert Path(made).name == "astronaut_mask_trimap.png"
    assert np.array_equal(pixels(made), from_mask(MASK, inside=1, outside=3))


def test_matte_with_another_edge(client: Client, tmp_path: Path) -> None:
    cutout, _, report = client.predict(
        image=handle_file(str(PHOTO)),
        trimap=handle_file(str(TRIMAP)),
        choke=0.5,
        levels_black=0.05,
        colors="photo",
        crop=True,
        margin=3,
        api_name="/matte",
    )
    matte = cut(PHOTO, TRIMAP, levels=(0.05, 1), choke=0.5, colors="photo", crop=True, margin=3)
    matte.save(tmp_path / "cutout.png")
    assert np.array_equal(pixels(cutout), pixels(tmp_path / "cutout.png"))
    assert matte.crop is not None
    assert report["crop"] == matte.crop.to_dict()


def test_plan_is_the_packages(client: Client) -> None:
    plan = client.predict(width=7680, height=4320, budget_gb=2, api_name="/plan")
    expected = plan_memory((4320, 7680), "mematte-tiny", "2GB").to_dict()
    assert plan["predicted_peak"] == expected["predicted_peak"]
    assert plan["steps"] == list(expected["steps"])
    assert "7680×4320" in plan["summary"]


def test_an_upload_by_path_and_by_address_is_enough(service: Service) -> None:
    photo, trimap = service.upload(PHOTO), service.upload(TRIMAP)
    event, files = service.call("matte", [photo, trimap, "mematte-tiny", 0.5, 1])
    assert event == "complete"
    # A result goes on as the next job's file, by the address that it has.
    event, _ = service.call("trimap", [files[1]["url"], 2, 4])
    assert event == "complete"
    assert httpx.get(files[0]["url"]).content[:4] == b"\x89PNG"


def test_exactly_these_endpoints_are_offered_and_described(service: Service) -> None:
    info = httpx.get(f"{service.url}/gradio_api/info").json()
    assert set(info["named_endpoints"]) == {f"/{name}" for name in ENDPOINTS}
    assert info["unnamed_endpoints"] == {}
    for name in ENDPOINTS:
        described = info["named_endpoints"][f"/{name}"]
        assert described["description"]
        assert all(parameter["parameter_name"] for parameter in described["parameters"])
    matte = info["named_endpoints"]["/matte"]
    required = [p["parameter_name"] for p in matte["parameters"] if not p["parameter_has_default"]]
    assert required == ["image"]
    model = next(p for p in matte["parameters"] if p["parameter_name"] == "model")
    assert "mematte-tiny" in str(model["type"])  # all are listed
    assert [one["label"] for one in matte["returns"]] == ["cut-out", "alpha", "report"]


# ---- finding -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"points": [[256, 200], [40, 40, 0]]},
        {"box": [100, 20, 480, 500]},
        {"points": [[256, 200]], "box": [100, 20, 480, 500]},
    ],
    ids=["nothing", "points", "box", "both"],
)
def test_subject_is_what_the_package_finds(
    client: Client, settings: Settings, asked: dict[str, Any]
) -> None:
    mask, facts = client.predict(image=handle_file(str(PHOTO)), **asked, api_name="/subject")
    model = settings.clicks_model if asked else settings.subject_model
    found = find_subject(PHOTO, **asked, model=model, device="cpu")
    assert Path(mask).name == "astronaut_mask.png"
    assert np.abs(pixels(mask) / 65535 - found.mask).max() < 1e-4
    assert facts == {**found.facts(), "model": facts["model"]}
    assert "/" not in facts["model"]


def test_matte_takes_a_soft_mask_of_any_size(client: Client, tmp_path: Path) -> None:
    soft = tmp_path / "soft.png"
    with Image.open(MASK) as mask:
        mask.convert("L").resize((128, 128), Image.Resampling.BILINEAR).save(soft)
    _, alpha, report = client.predict(
        image=handle_file(str(PHOTO)), alpha=handle_file(str(soft)), api_name="/matte"
    )
    with collect_notes():
        matte = cut(PHOTO, alpha=soft)
    assert np.array_equal(pixels(alpha), np.rint(matte.alpha * 65535))
    assert report["subject"] is None


def test_matte_finds_the_subject(client: Client, settings: Settings) -> None:
    _, alpha, report = client.predict(
        image=handle_file(str(PHOTO)), points=[[256, 200]], api_name="/matte"
    )
    with collect_notes():
        matte = cut(PHOTO, points=[[256, 200]], subject_model=settings.clicks_model)
    assert matte.subject is not None
    assert np.array_equal(pixels(alpha), np.rint(matte.alpha * 65535))
    assert report["subject"]["source"] == "points"
    assert report["subject"]["confidence"] == matte.subject.facts()["confidence"]


# ---- progress, cancelling, leaving ---------------------------------------------------------------


@pytest.mark.slow
def test_progress_moves_and_a_cancelled_job_leaves_nothing(
    service: Service, client: Client, large: tuple[Path, Path]
) -> None:
    before = service.jobs
    job = begin(client, large)
    steps: set[Any] = set()

    def moved() -> bool:
        steps.update((unit.desc, unit.index) for unit in job.status().progress_data or [])
        return len(steps) > 2 or job.done()

    until(moved)
    job.cancel()
    assert len(steps) > 2
    small = client.predict(handle_file(str(PHOTO)), handle_file(str(TRIMAP)), api_name="/matte")
    assert Path(small[0]).is_file()
    assert {path.name.partition("_")[0] for path in service.jobs - before} == {"astronaut"}


def test_a_job_whose_client_has_gone_ends(service: Service, large: tuple[Path, Path]) -> None:
    before = service.jobs
    photo, trimap = (service.upload(path) for path in large)
    event = service.start("matte", [photo, trimap, None, 0, 0]).json()["event_id"]
    address = f"{service.url}/gradio_api/call/matte/{event}"
    with httpx.stream("GET", address, timeout=PATIENCE) as listening:
        next(listening.iter_lines())  # it runs
    event, _ = service.call("matte", [service.upload(PHOTO), service.upload(TRIMAP), None, 0, 0])
    assert event == "complete"
    assert {path.name.partition("_")[0] for path in service.jobs - before} == {"astronaut"}


def test_a_full_queue_says_so_and_those_who_wait_know_their_place(
    service: Service, client: Client, tmp_path: Path, large: tuple[Path, Path]
) -> None:
    running = begin(client, large)
    files = [handle_file(str(path)) for path in (PHOTO, TRIMAP)]
    waiting = [client.submit(*files, api_name="/matte") for _ in range(2)]  # queue_size of them
    until(lambda: all(job.status().code == Status.IN_QUEUE for job in waiting))
    assert {job.status().rank for job in waiting} == {0, 1}
    other = service.client(tmp_path / "other")
    with pytest.raises(Exception, match=r"[Qq]ueue is full"):
        other.predict(*files, api_name="/matte")
    running.cancel()
    for job in waiting:
        assert Path(job.result(PATIENCE)[0]).is_file()


def test_an_error_is_the_packages_own_words(client: Client) -> None:
    with pytest.raises(AppError, match="leaves nothing unknown") as caught:
        client.predict(handle_file(str(PHOTO)), handle_file(str(MASK)), api_name="/matte")
    assert "Traceback" not in str(caught.value)


@pytest.mark.slow
def test_requests_without_a_page_leave_nothing_in_memory(service: Service) -> None:
    """Gradio keeps a copy of the page for each session, and every such request is one."""
    process = psutil.Process(service.server.process.pid)

    def grown(requests: int) -> int:
        before = process.memory_info().rss
        for _ in range(requests):
            assert service.call("plan", [100, 100, None, 0])[0] == "complete"
        return int(process.memory_info().rss) - before

    # With their sessions 7 MB each time; without, only what is still being warmed up.
    assert any(grown(40) < 2e6 for _ in range(8))
