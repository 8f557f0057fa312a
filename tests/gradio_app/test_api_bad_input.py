"""Bad requests get a readable message, and the service goes on."""

from __future__ import annotations

import json
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

import httpx

from tests.gradio_app.harness import MASK, PHOTO, TRIMAP, Service, picture
from tests.patience import PATIENCE

FETCHED = "nothing is fetched here"
UNKNOWN = "not a file that was uploaded here"
NO_FILE = "is not a file; upload it"


@pytest.fixture(scope="module")
def photo(service: Service) -> str:
    return service.upload(PHOTO)


@pytest.fixture(scope="module")
def trimap(service: Service) -> str:
    return service.upload(TRIMAP)


@pytest.fixture
def listener() -> Iterator[tuple[str, list[Any]]]:
    """The address of a server on this machine, and its connections."""
    came: list[Any] = []

    def listen() -> None:
        while True:
            try:
                connection, address = door.accept()
            except OSError:
                return
            came.append(address)
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}/picture.png", came
        door.shutdown(socket.SHUT_RDWR)


@pytest.fixture(autouse=True)
def undisturbed(service: Service) -> Iterator[None]:
    """No test leaves a result or a traceback behind; the next one finds that the service works."""
    before, said = service.jobs, len(service.server.lines)
    yield
    assert service.jobs == before
    assert "Traceback" not in "".join(service.server.lines[said:])


# ---- files ---------------------------------------------------------------------------------------


def test_no_address_is_fetched(
    service: Service, trimap: str, listener: tuple[str, list[Any]]
) -> None:
    address, came = listener
    for value in (
        address,
        {"path": address},
        {"path": address.upper()},
        {"path": address, "url": address, "meta": {"_type": "gradio.FileData"}},
    ):
        assert FETCHED in service.error("matte", [value, trimap, None, 0, 0])
    # Without a path, the address is ignored.
    value = {"url": address, "meta": {"_type": "gradio.FileData"}}
    assert NO_FILE in service.error("matte", [value, trimap, None, 0, 0])
    for route in ("gradio_api/file=", "gradio_api/proxy=", "file="):
        answer = httpx.get(f"{service.url}/{route}{address}", follow_redirects=False)
        assert answer.status_code in (400, 403, 404)
    assert came == []


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../../../../../../etc/passwd",
        "{folder}/../../../../../../../../etc/passwd",
        "http://localhost/gradio_api/file=/etc/passwd",
        "/proc/self/environ",
        "{folder}",
        "{folder}/nothing.png",
        "/a\0b",
        "a" * 5000,
        __file__,
    ],
)
def test_no_other_file_of_the_machine_is_read(service: Service, trimap: str, path: str) -> None:
    path = path.format(folder=service.folder)
    value = {"path": path, "is_stream": True, "meta": {"_type": "gradio.FileData"}}
    for given in (path, value):
        message = service.error("matte", [given, trimap, None, 0, 0])
        assert UNKNOWN in message
        assert "passwd" not in message
    if "\0" not in path:
        route = path.replace(" ", "%20")
        answer = httpx.get(f"{service.url}/gradio_api/file={route}")
        assert answer.status_code in (403, 404)


def test_links_out_of_the_folder_lead_nowhere(
    service: Service, trimap: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(PHOTO.read_bytes())
    link = service.folder / "link.png"
    link.symlink_to(secret)
    try:
        assert UNKNOWN in service.error("matte", [str(link), trimap, None, 0, 0])
    finally:
        link.unlink()


@pytest.mark.parametrize("path", ["file:///etc/passwd", "data:image/png;base64,AAAA", "ftp://a/b"])
def test_other_addresses_are_refused(service: Service, trimap: str, path: str) -> None:
    assert FETCHED in service.error("matte", [path, trimap, None, 0, 0])


@pytest.mark.parametrize("value", [5, True, [], ["a", "b"], {}, {"name": "a.png"}])
def test_a_value_that_is_not_a_file_is_refused(service: Service, photo: str, value: Any) -> None:
    assert "image: " in service.error("matte", [value, photo, None, 0, 0])
    assert "trimap: " in service.error("matte", [photo, value, None, 0, 0])


@pytest.mark.parametrize("value", [{"path": 5}, {"path": ""}, {"path": None}])
def test_a_missing_path_is_refused(service: Service, trimap: str, value: Any) -> None:
    assert "path is missing" in service.error("matte", [value, trimap, None, 0, 0])


def test_missing_values_are_named(service: Service, photo: str) -> None:
    assert "image: is missing" in service.error("matte", [None, photo, None, 0, 0])
    assert "mask: is missing" in service.error("trimap", [None, 2, 4])
    answer = httpx.post(f"{service.url}/gradio_api/call/v2/matte", json={"trimap": photo})
    assert answer.status_code == 400
    assert "image" in answer.text


# ---- pictures ------------------------------------------------------------------------------------

NOT_PICTURES = {
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "PDF": b"%PDF-1.4\n1 0 obj",
    "zip": b"PK\x03\x04" + bytes(60),
    "empty": b"",
    "not an image": b"hello",
}


@pytest.mark.parametrize("what", NOT_PICTURES)
def test_a_file_that_is_not_a_picture_is_named_by_its_kind(
    service: Service, trimap: str, what: str
) -> None:
    path = service.upload(NOT_PICTURES[what], f"{what}.png")
    message = service.error("matte", [path, trimap, None, 0, 0])
    assert what in message
    assert str(service.folder) not in message
    assert what in service.error("trimap", [path, 2, 4])


def test_a_decompression_bomb_is_refused_by_its_header(service: Service, trimap: str) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", 20000, 15000, 8, 2, 0, 0, 0)  # 300 megapixels
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    path = service.upload(bomb, "bomb.png")
    for endpoint, data in (("matte", [path, trimap, None, 0, 0]), ("trimap", [path, 2, 4])):
        assert "20000×15000" in service.error(endpoint, data)


def test_a_trimap_that_does_not_fit_or_says_nothing(
    service: Service, photo: str, tmp_path: Path
) -> None:
    other = service.upload(picture(tmp_path / "other.png", 60, 90, "trimap"))
    assert "the photo is 512×512" in service.error("matte", [photo, other, None, 0, 0])
    mask = service.upload(MASK)
    assert "leaves nothing unknown" in service.error("matte", [photo, mask, None, 0, 0])
    assert "trimap" in service.error("matte", [photo, photo, None, 0, 0])


# ---- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model", ["/etc/passwd", "../model", "somebody/model", "small", 7, ["mematte-tiny"], "x" * 999]
)
def test_only_offered_models_are_loaded(
    service: Service, photo: str, trimap: str, model: Any
) -> None:
    for endpoint, data in (("matte", [photo, trimap, model, 0, 0]), ("plan", [9, 9, model, 0])):
        assert "is not offered here; choose mematte-tiny" in service.error(endpoint, data)


@pytest.mark.parametrize("value", [-1, 7, "half", True, [1], 1e300])
def test_options_out_of_range_are_named(
    service: Service, photo: str, trimap: str, value: Any
) -> None:
    assert "retention " in service.error("matte", [photo, trimap, None, value, 0])
    if value != 7:
        message = service.error("matte", [photo, trimap, None, 0, value])
        assert message.startswith("memory_budget_gb ")
        assert "budget_gb " in service.error("plan", [9, 9, None, value])
    if value not in (7, 1e300):
        assert "outside " in service.error("trimap", [trimap, 2, value])


@pytest.mark.parametrize("side", [None, 0, -5, 1.5, 1e9, "wide"])
def test_a_plan_is_for_pixels(service: Service, side: Any) -> None:
    assert "width " in service.error("plan", [side, 100, None, 0])
    assert "height " in service.error("plan", [100, side, None, 0])


def test_nan_is_not_a_number(service: Service, photo: str, trimap: str) -> None:
    content = json.dumps({"data": [photo, trimap, None, float("nan"), 0]})
    address = f"{service.url}/gradio_api/call/matte"
    headers = {"content-type": "application/json"}
    started = httpx.post(address, content=content, headers=headers)
    if started.is_success:  # other versions refuse the JSON
        event = started.json()["event_id"]
        assert "is not a number" in httpx.get(f"{address}/{event}", timeout=PATIENCE).text


# ---- finding -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "box", "text", "message"),
    [
        ([[600, 10]], None, None, "point (600, 10): lies outside the photo of 512×512"),
        ([[10, 10, 2]], None, None, "its label is 2"),
        ([[10, 10, 1], [10, 10, 0]], None, None, "is given as inside and as outside"),
        ([[10, 10, 0]], None, None, "outside the subject"),
        ("here", None, None, "points 'here'"),
        ({"x": 1}, None, None, "points {'x': 1}"),
        ([["a", "b"]], None, None, "points [['a', 'b']]"),
        ([[1, 1]] * 101, None, None, "points: are 101; give at most 100"),
        (None, [10, 10, 10, 90], None, "has no area"),
        (None, [1, 2, 3], None, "box [1, 2, 3]"),
        (None, [0, 0, 900, 900], None, "reaches outside"),
        (None, None, "  ", "holds no words"),
        (None, None, "dog " * 100, "text: has 400 characters"),
        (None, None, 7, "text 7: "),
        ([[1, 1]], None, "dog", "both points and text are given"),
    ],
)
def test_what_is_no_subject_is_refused(  # noqa: PLR0917
    service: Service, photo: str, points: Any, box: Any, text: Any, message: str
) -> None:
    assert message in service.error("subject", [photo, points, box, text])


def test_two_guides_are_refused(service: Service, photo: str, trimap: str) -> None:
    defaults = [None, 0, 0, 0, 1, 0, 0, "off", "foreground", False, 0]
    for more, names in (
        ([trimap], "trimap and alpha"),
        ([None, [[1, 1]]], "trimap and points"),
        ([None, None, None, "dog"], "trimap and text"),
    ):
        message = service.error("matte", [photo, trimap, *defaults, *more])
        assert message.startswith(f"both {names} are given")


# ---- requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("call/nothing", {"data": []}),
        ("call/v2/nothing", {}),
        ("call/v2/matte", {"image": "a", "trimap": "b", "colour": "c"}),
        ("queue/join", {"data": [], "fn_index": 999, "session_hash": "a"}),
        ("queue/join", {"data": [], "fn_index": -1, "session_hash": "a"}),
        ("call/matte", {"data": "text"}),
        ("call/matte", []),
        ("run/matte", {"data": []}),
    ],
)
def test_nonsensical_requests_are_client_errors(service: Service, route: str, body: Any) -> None:
    answer = httpx.post(f"{service.url}/gradio_api/{route}", json=body)
    assert 400 <= answer.status_code < 500
    assert answer.text
    assert "Traceback" not in answer.text


def test_no_request_bypasses_the_queue(service: Service, photo: str, trimap: str) -> None:
    for route in ("run", "api"):
        address = f"{service.url}/gradio_api/{route}/matte"
        answer = httpx.post(address, json={"data": [photo, trimap, None, 0, 0]})
        assert answer.status_code == 404


@pytest.mark.parametrize("many", [1, 4])
def test_uploads_stop_at_the_limit(service: Service, many: int) -> None:
    size = (21 if many == 1 else 8) * 1_000_000  # 20 MB may be uploaded
    files = [("files", (f"{i}.png", bytes(size))) for i in range(many)]
    answer = httpx.post(f"{service.url}/gradio_api/upload", files=files, timeout=PATIENCE)
    assert answer.status_code == 413
    assert "20" in answer.text


def test_a_body_of_unknown_length_stops_at_the_limit(service: Service) -> None:
    """Neither an upload nor JSON that does not state its length."""
    for route, kind, start in (
        (
            "upload",
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n',
        ),
        ("call/matte", "application/json", b'{"data": ["'),
    ):
        parts = [start] + [b"0" * 1_000_000] * 40
        answer = httpx.post(
            f"{service.url}/gradio_api/{route}",
            content=iter(parts),
            headers={"content-type": kind},
            timeout=PATIENCE,
        )
        assert answer.status_code == 413


@pytest.mark.parametrize("name", ["../../evil.png", "/etc/evil.png", "a/../../evil.png", ".evil"])
def test_uploads_stay_in_the_folder_whatever_their_name(service: Service, name: str) -> None:
    path = Path(service.upload(b"picture", name))
    assert path.resolve().is_relative_to(service.folder)
    assert path.is_file()


@pytest.mark.parametrize(
    "route",
    [
        "gradio_api/process_recording",
        "gradio_api/deep_link?session_hash=a",
        "gradio_api/component_server",
        "monitoring",
    ],
)
def test_unused_features_are_off(service: Service, route: str) -> None:
    assert httpx.get(f"{service.url}/{route}").status_code in (403, 404)
    files = {"video": ("a.mp4", b"film")}
    assert httpx.post(f"{service.url}/{route}", files=files).status_code >= 400
