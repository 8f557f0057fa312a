"""A real ComfyUI over time: progress, interrupt, caching, memory given back, memory not growing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mematte_plugin.network import VARIANTS, MEMatte
from mematte_plugin.weights.save import save_network
from tests.comfyui.graphs import Node, Sketch, kept
from tests.comfyui.pictures import photo, trimap
from tests.comfyui.server import Run, Server, skip_without_checkout
from tests.patience import until

pytestmark = pytest.mark.comfyui
skip_without_checkout()


def matting(
    sketch: Sketch, size: tuple[int, int], count: int = 1, model: str = "mematte-tiny"
) -> tuple[Node, Path]:
    """The node, and where alpha and report will be."""
    node = sketch.add(
        "MEMatteMatting",
        model=sketch.model(model),
        image=sketch.image(photo(*size, count=count)),
        trimap=sketch.mask(trimap(*size)),
    )
    return node, sketch.keep(alpha=node[0], report=node[3])


# ---- progress and interrupt ----------------------------------------------------------------------


def test_progress_goes_up_between_and_inside_frames(server: Server, sketch: Sketch) -> None:
    node, _ = matting(sketch, (256, 256), count=3)
    with server.listening() as log:
        server.run(sketch.graph)
        log.until("executing", node=None)
    bar = [m for m in log.of("progress") if m["node"] == node.id]
    shares = [m["value"] / m["max"] for m in bar]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    # More than the borders of frames: something in each of them.
    assert all(any(i / 3 < share < (i + 1) / 3 for share in shares) for i in range(3))


@pytest.mark.parametrize(
    ("size", "count", "after"),
    [((512, 512), 60, 3.0), ((2048, 2048), 1, 1.5), ((2048, 2048), 1, 4.0)],
    ids=["between frames", "in a large frame", "later in it"],
)
def test_interrupt_within_a_second(
    server: Server, sketch: Sketch, size: tuple[int, int], count: int, after: float
) -> None:
    matting(other := Sketch(sketch.folder), (64, 64))
    server.run(other.graph)
    node, path = matting(sketch, size, count)
    prompt = server.submit(sketch.graph)
    until(lambda: prompt in server.running())
    time.sleep(after)  # somewhere in the middle
    asked = time.time()
    server.interrupt()
    run = Run(sketch.graph, server.wait(prompt))
    took = run.messages["execution_interrupted"]["timestamp"] / 1000 - asked
    assert run.messages["execution_interrupted"]["node_id"] == node.id
    assert took < 1, f"{took:.2f} s"
    print(f"interrupted after {took:.2f} s")  # noqa: T201
    assert run.error is None  # no fault: the user wanted it
    assert not path.exists()
    _, path = matting(third := Sketch(sketch.folder), (64, 80))
    assert server.run(third.graph).error is None
    assert kept(path)["alpha"].shape == (1, 64, 80)


# ---- caching -------------------------------------------------------------------------------------


def test_a_second_run_executes_nothing(server: Server, sketch: Sketch) -> None:
    picture, three = sketch.image(photo(96, 96)), sketch.mask(trimap(96, 96))
    model = sketch.model()
    cut = sketch.add("MEMatteMatting", model=model, image=picture, trimap=three)
    band = sketch.add(
        "MEMatteTrimapFromMask",
        mask=three,
        unknown_inside=2.0,
        unknown_outside=4.0,
        units="px",
        keep_soft=True,
    )
    quick = sketch.add("MEMatteMaskToAlpha", image=picture, mask=three)
    clean = sketch.add("MEMatteForeground", image=picture, alpha=cut)
    maps = sketch.add("MEMatteRouting", model=model, image=picture, trimap=band)
    over = sketch.add("MEMatteComposite", foreground=clean, alpha=quick, color="teal")
    sketch.keep(image=over, maps=maps, preview=band[1])
    first, second = server.run(sketch.graph), server.run(sketch.graph)
    assert first.error is None
    assert not {cut.id, band.id, quick.id, clean.id, maps.id, over.id} & first.cached
    assert second.cached == set(sketch.graph)


def test_changing_the_retention_keeps_the_model(server: Server, sketch: Sketch) -> None:
    node, _ = matting(sketch, (96, 96))
    server.run(sketch.graph)
    sketch.graph[node.id]["inputs"]["retention"] = 0.5
    run = server.run(sketch.graph)
    loader = next(n for n, d in sketch.graph.items() if d["class_type"] == "MEMatteLoadModel")
    assert loader in run.cached
    assert node.id not in run.cached


# ---- memory --------------------------------------------------------------------------------------


def test_free_gives_the_memory_back(server: Server, sketch: Sketch) -> None:
    """A model of 117 MB and results of as much: after /free the process is as it was before."""
    network = MEMatte(VARIANTS["small"])
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    folder = server.base / "models" / "mematte"
    save_network(network, folder / "random-small")

    def run() -> None:
        _, path = matting(one := Sketch(sketch.folder), (480, 480), count=3, model="random-small")
        result = server.run(one.graph)
        assert result.error is None, result.error
        kept(path)

    for _ in range(2):  # what libraries load and keep
        run()
        before = freed(server)
    run()
    held = server.rss()
    after = freed(server)
    print(f"before {before >> 20}, held {held >> 20}, after {after >> 20} MiB")  # noqa: T201
    assert held - before > 0.9 * weights
    assert after - before < 8e6


def freed(server: Server) -> int:
    """Bytes of the process once it has given back what it can.

    Asked more than once: while ComfyUI collects garbage after a graph it does not hear it.
    """
    lowest = server.rss()
    for _ in range(5):
        server.free()
        time.sleep(0.5)
        lowest = min(lowest, server.rss())
    return lowest


def test_fifty_runs_of_mixed_sizes_do_not_grow(server: Server, sketch: Sketch) -> None:
    rng = np.random.default_rng(0)
    sizes: list[Any] = [tuple(int(n) for n in rng.integers(40, 481, 2)) for _ in range(10)]

    def run(i: int) -> int:
        height, width = sizes[i % len(sizes)]
        _, path = matting(one := Sketch(sketch.folder), (height, width))
        assert server.run(one.graph).error is None
        path.unlink()
        return server.rss()

    for i in range(20):
        run(i)
    seen = [run(i) for i in range(50)]
    slope = float(np.polyfit(np.arange(len(seen)), seen, 1)[0])
    print(f"{slope / 1e3:.1f} kB a run, from {seen[0] >> 20} to {seen[-1] >> 20} MiB")  # noqa: T201
    assert slope < 200e3
    assert max(seen[-10:]) - max(seen[:10]) < 10e6


def test_frames_cost_no_more_than_their_outputs(server: Server, sketch: Sketch) -> None:
    """What a run needs beyond its outputs is the same for 2 frames and for 20."""
    size = (480, 480)
    pixels = size[0] * size[1]

    def peak(count: int) -> int:
        base = freed(server)
        one = Sketch(sketch.folder)
        matting(one, size, count)
        prompt, highest = server.submit(one.graph), 0
        while not (history := server.get(f"/history/{prompt}")):
            highest = max(highest, server.rss())
            time.sleep(0.01)
        assert history[prompt]["status"]["status_str"] == "success"
        return highest - base

    peak(2)
    few, many = peak(2), peak(20)
    per_frame = pixels * 4 * (3 + 1 + 1 + 3 + 4)  # image, trimap, alpha, foreground, cut-out
    print(f"2 frames {few >> 20}, 20 frames {many >> 20} MiB")  # noqa: T201
    assert many - few < 18 * per_frame * 1.25 + 16e6
