"""The peak of a run, in fresh processes, where nothing else allocates."""

import json
import sys
import threading
import time

import pytest
import torch

from mematte_plugin.memory.meter import PeakMeter

from .processes import run_python

START = """
import functools, json, pathlib, sys, tempfile, threading, time
import numpy as np
from mematte_plugin.memory import meter
from mematte_plugin.memory.meter import PeakMeter

def use(megabytes, seconds=0):
    array = np.ones(megabytes * 10**6, np.uint8)
    time.sleep(seconds)

def metered(*args):
    with PeakMeter("cpu") as run:
        use(*args)
    return run.peak / 1e6
"""


def peaks(code):
    return json.loads(run_python(START + code))


def test_each_run_has_its_own_peak():
    first, second, third = peaks("print(json.dumps([metered(200), metered(3), metered(200)]))")
    assert 195 < first < 230
    assert second < 20
    assert 195 < third < 230


def test_the_peak_so_far_can_be_read_inside():
    before, early, late, after = peaks(
        "run = PeakMeter('cpu'); before = run.peak\n"
        "with run:\n"
        "    use(50); early = run.peak / 1e6\n"
        "    use(150); late = run.peak / 1e6\n"
        "use(300)\n"
        "print(json.dumps([before, early, late, run.peak / 1e6]))"
    )
    assert before is None
    assert 48 < early < 70
    assert 145 < late < 180
    assert after == pytest.approx(late, abs=5)


def test_meters_inside_one_another_measure_right():
    outer, inner, early = peaks(
        "with PeakMeter('cpu') as outer:\n"
        "    use(300)\n"
        "    held = np.ones(40 * 10**6, np.uint8)\n"
        "    with PeakMeter('cpu') as inner:\n"
        "        use(100)\n"
        "    use(20)\n"
        "with PeakMeter('cpu') as early:\n"  # ends before one that began later
        "    late = PeakMeter('cpu').__enter__()\n"
        "    use(60)\n"
        "use(90); late.__exit__(None, None, None)\n"
        "assert 85e6 < late.peak < 120e6, late.peak\n"
        "print(json.dumps([outer.peak / 1e6, inner.peak / 1e6, early.peak / 1e6]))"
    )
    assert 295 < outer < 330
    assert 95 < inner < 120
    assert 55 < early < 80


def test_an_error_passes_through_and_is_metered():
    peak = peaks(
        "try:\n"
        "    with PeakMeter('cpu') as run:\n"
        "        use(100)\n"
        "        raise ValueError\n"
        "except ValueError:\n"
        "    assert not meter.run_has_ended()\n"
        "    print(json.dumps(run.peak / 1e6))"
    )
    assert 95 < peak < 120


@pytest.mark.parametrize("refusal", ["no proc", "not writable", "does nothing"])
def test_where_the_system_keeps_no_peak_it_is_sampled(refusal):
    if refusal != "no proc" and sys.platform != "linux":
        pytest.skip("files of Linux")
    first, second = peaks(
        "root = pathlib.Path(tempfile.mkdtemp())\n"
        f"refusal = {refusal!r}\n"
        "if refusal != 'no proc':\n"
        "    (root / 'proc/self').mkdir(parents=True)\n"
        "    (root / 'proc/self/status').write_text('VmRSS: 9 kB\\nVmHWM: 900000000 kB\\n')\n"
        "if refusal == 'not writable':\n"
        "    (root / 'proc/self/clear_refs').mkdir()\n"
        "meter._COUNTERS['cpu'] = functools.partial(meter._process_counter, root=root)\n"
        "found = [metered(200, 0.5), metered(3, 0.5)]\n"  # for many samples
        "while threading.active_count() > 1: time.sleep(0.01)\n"
        "print(json.dumps(found))"
    )
    assert 190 < first < 230
    assert second < 20


def test_a_meter_is_opened_once_and_unknown_devices_have_no_peak():
    with PeakMeter("cpu") as run, pytest.raises(RuntimeError, match="already open"):
        run.__enter__()
    with PeakMeter("xpu:0") as run:
        assert run.peak is None
    assert run.peak is None


class Card:
    """The counters of torch's allocator on a card, which is not there."""

    def __init__(self, monkeypatch):
        self.used = self.high = 0
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: self.used)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: self.high)
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", self.reset)

    def reset(self, device=None):
        self.high = self.used

    def use(self, amount):
        self.used += amount
        self.high = max(self.high, self.used)


def test_on_cuda_the_programs_own_peak_stays(monkeypatch):
    card = Card(monkeypatch)
    card.use(500)
    card.use(-400)
    with PeakMeter("cuda:0") as run:
        card.use(50)
        card.use(-50)
    assert card.high == 500
    with PeakMeter("cuda:0") as run:
        card.use(900)
        card.use(-900)
    assert (card.high, run.peak) == (1000, 900)  # a new peak is measured exactly


def test_on_cuda_a_run_below_an_earlier_peak_is_sampled(monkeypatch):
    card = Card(monkeypatch)
    card.use(500)
    card.use(-400)
    before = threading.active_count()
    with PeakMeter("cuda:0") as run:
        card.use(50)
        until = time.monotonic() + 20
        while run._top < 150 and time.monotonic() < until:
            time.sleep(0.005)
        card.use(-50)
    assert run.peak == 50
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.005)


def test_on_cuda_who_resets_the_peak_takes_nothing_from_what_follows(monkeypatch):
    card = Card(monkeypatch)
    card.use(500)
    card.use(-400)
    with PeakMeter("cuda:0") as run:
        card.reset()
        card.use(70)
        card.use(-70)
    assert run.peak == 70
