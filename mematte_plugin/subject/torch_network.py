"""Networks in transformers' formats that find subjects: loaded from files alone, run on a device.

transformers would go to the network by itself, write to the log and show progress bars; here it
gets a configuration and tensors that are already in memory, and is kept quiet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from ..errors import MEMatteError, SettingError, WeightsError, first_line, warn_user
from ..locks import ForkSafeLock
from ..memory.exhaustion import is_out_of_memory, release
from ..memory.free import cpu_count, lost_card_is_named, ran_out, resolve_device
from ..progress import Progress
from ..torch_state import own_state
from ..weights.files import CONFIG, read_json
from ..weights.read import read_tensors
from ..weights.subjects import SubjectFiles
from .extra import needed
from .found import STAGE

COMPUTING = ForkSafeLock()
"""Held while a network is loaded or runs: what is set meanwhile belongs to the whole process, and
of two at a time the later would restore what the earlier had set. Whoever keeps what a network saw
guards it with this, too."""
CODE = ("attn_implementation", "experts_implementation", "auto_map", "quantization_config")
"""What the names of entries of config.json begin with that may name code on the Hub."""
SILENT = 100
"""A level of logging above all others."""

T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """A network of transformers.

    model: its class.
    config: the class of its configuration.
    within: the entry of config.json that describes it; "" for the whole.
    parts: the entries to use; all without them.
    """

    model: str
    config: str
    within: str = ""
    parts: tuple[str, ...] = ()


def model_type(files: SubjectFiles) -> str:
    """What config.json calls the network."""
    return str(read_json(files.folder / CONFIG).get("model_type", ""))


class TorchNetwork:
    """A network on a device, in float32.

    name: what messages call it.
    device: where it computes. With "auto" the CPU takes over once a card has run out of memory.
    """

    def __init__(
        self,
        files: SubjectFiles,
        kind: Kind,
        device: str | torch.device,
        progress: Progress | None = None,
    ) -> None:
        if progress is not None:
            progress(0, 1, STAGE)  # loading takes seconds
        self.name = files.name
        self.device = resolve_device(device)
        self._auto = str(device) == "auto"
        exact = own_state(self.device, inference=False, threads=cpu_count())
        try:
            with COMPUTING, exact, _quiet(), _without_bars(), _float32():
                self._network = _load(files, kind)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise self._no_memory("the weights", first_line(error)[:120]) from error
        self.config = self._network.config
        self.run(lambda network: None, "the weights")  # on the device

    def run(
        self,
        call: Callable[[Any], T],
        what: str,
        *,
        progress: Progress | None = None,
        part: str = "",
    ) -> T:
        """What `call` makes of the network, which is on the device.

        what: the photo's name, for messages.
        progress: called before each block of the network; what it raises ends the run.
        part: the name of the part that computes; "" for the whole network.
        """
        ticks = _Ticks(progress)
        with COMPUTING:
            while True:
                try:
                    exact = own_state(self.device, threads=cpu_count())
                    with lost_card_is_named(self.device, what), exact, _quiet(), _float32():
                        self._place()
                        with ticks.within(self._network.get_submodule(part)):
                            return call(self._network)
                except Exception as error:
                    if error is ticks.raised or isinstance(error, MEMatteError):
                        raise
                    reason = first_line(error)[:120]
                    if not self._lacks(error):
                        raise WeightsError(
                            f"{self.name}: the network failed ({reason}); take its {CONFIG} and its"
                            " weights from the same place, or use another model"
                        ) from error
                # Outside of the except: its frames hold what is to be freed.
                self._step_down(what, reason)

    def _lacks(self, error: Exception) -> bool:
        """Whether the device has no memory left, or lacks an operation, as Apple's do."""
        lacking = isinstance(error, NotImplementedError) and self.device.type != "cpu"
        return lacking or ran_out(error, self.device)

    def _place(self) -> None:
        if next(self._network.parameters()).device != torch.empty(0, device=self.device).device:
            with torch.inference_mode(False):
                self._network.to(self.device)

    def _step_down(self, what: str, reason: str) -> None:
        if self.device.type == "cpu":
            release(self.device)
            raise self._no_memory(what, reason)
        if not self._auto:
            release(self.device)
            raise SettingError(
                f"device {str(self.device)!r} has no room for {self.name} or cannot compute it"
                f" ({reason}); use device cpu"
            )
        warn_user(
            f"{self.device} has no room for {self.name} or cannot compute it ({reason}); the CPU is"
            " used, which is slower"
        )
        full, self.device = self.device, torch.device("cpu")
        self._network.to("cpu")
        release(full)

    def _no_memory(self, what: str, reason: str) -> MEMatteError:
        return MEMatteError(
            f"{what}: no memory for finding the subject with {self.name} ({reason}); close other"
            " programs, or give a mask or a trimap"
        )


def _load(files: SubjectFiles, kind: Kind) -> Any:
    config = _config(files, kind)
    tensors, _ = read_tensors(files.weights)
    assert isinstance(tensors, dict)
    # Copies: safetensors are mapped from the file, which may change or be deleted.
    for key, tensor in tensors.items():
        dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
        tensors[key] = tensor.to(dtype, copy=True)
    source = str(files.weights)
    try:
        network, told = _class(kind.model).from_pretrained(
            None,
            config=config,
            state_dict=tensors,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told below
        )
    except Exception as error:  # whatever comes of values that no network can have
        if isinstance(error, MEMatteError) or is_out_of_memory(error):
            raise
        raise _no_network(source, error) from error
    wrong = sorted(told["missing_keys"]) + sorted(key for key, *_ in told["mismatched_keys"])
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise WeightsError(
            f"{source} does not fit its {CONFIG}: {', '.join(wrong[:3])}{more} missing or of"
            " another shape; take both files from the same place"
        )
    return network.eval().requires_grad_(False)


def _config(files: SubjectFiles, kind: Kind) -> Any:
    path = files.folder / CONFIG
    values = read_json(path)
    if values.get("quantization_config"):
        raise WeightsError(
            f"{path}: the weights are quantised, which this package cannot use; take the"
            " unquantised ones"
        )
    if kind.within:
        inner = values.get(kind.within)
        values = inner if isinstance(inner, dict) else {}
    if kind.parts:
        values = {part: values[part] for part in kind.parts if part in values}
    values.pop("model_type", None)
    config = _class(kind.config)
    try:
        return config.from_dict(_without_code(values))
    except Exception as error:  # whatever its checks raise for values that no network can have
        raise _no_network(str(path), error) from error


def _without_code(values: Any) -> Any:
    """Without entries for which transformers would fetch code or change how it loads."""
    if isinstance(values, list):
        return [_without_code(value) for value in values]
    if not isinstance(values, dict):
        return values
    return {
        key: _without_code(value)
        for key, value in values.items()
        if not key.lstrip("_").startswith(CODE)
    }


def _no_network(source: str, error: BaseException) -> WeightsError:
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return WeightsError(
        f"{source}: its configuration describes no possible network ({reason}); take the"
        f" {CONFIG} that came with the weights"
    )


def _class(name: str) -> Any:
    transformers = needed("transformers")
    try:
        return getattr(transformers, name)
    except (AttributeError, ImportError, RuntimeError) as error:
        cause = _first_cause(error)
        reason = first_line(cause)[:200]
        remedy = "run pip install --upgrade transformers"
        # It is not needed, but loaded if it is there.
        if "torchvision" in reason and not isinstance(cause, ModuleNotFoundError):
            remedy = "torchvision does not fit torch: install both anew, or uninstall torchvision"
        raise SettingError(
            f"finding the subject needs {name} of transformers, which {transformers.__version__}"
            f" cannot load here ({reason}); {remedy}"
        ) from error


def _first_cause(error: BaseException) -> BaseException:
    """What led to an error that tells less."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers writes nothing to the log."""
    logs = needed("transformers").utils.logging
    level = logs.get_verbosity()
    logs.set_verbosity(SILENT)
    try:
        yield
    finally:
        logs.set_verbosity(level)


@contextmanager
def _without_bars() -> Iterator[None]:
    """transformers shows no progress bars, which it switches together with huggingface_hub's."""
    logs = needed("transformers").utils.logging
    if not logs.is_progress_bar_enabled():
        yield
        return
    hub = needed("huggingface_hub.utils")
    disabled = hub.are_progress_bars_disabled()
    logs.disable_progress_bar()
    try:
        yield
    finally:
        logs.enable_progress_bar()
        if disabled:
            hub.disable_progress_bars()


@contextmanager
def _float32() -> Iterator[None]:
    """transformers leaves dtypes to torch's default, which a host program may have changed."""
    host = torch.get_default_dtype()
    if host == torch.float32:
        yield
        return
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(host)


class _Ticks:
    """Calls progress before each block of a part of a network.

    raised: what progress raised, which ends the run.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self.raised: BaseException | None = None

    def _tell(self, done: int, total: int) -> None:
        if self._progress is None:
            return
        try:
            self._progress(done, total, STAGE)
        except BaseException as error:
            self.raised = error
            raise

    @contextmanager
    def within(self, part: torch.nn.Module) -> Iterator[None]:
        """While the part computes, and once after it."""
        lists = [module for module in part.modules() if isinstance(module, torch.nn.ModuleList)]
        blocks = [block for modules in lists for block in modules]
        done = 0

        def tick(*_: Any) -> None:
            nonlocal done
            self._tell(min(done, len(blocks)), len(blocks) + 1)
            done += 1

        tick()
        hooks = [block.register_forward_pre_hook(tick) for block in blocks]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
        self._tell(1, 1)
