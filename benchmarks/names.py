"""What the methods are called; no torch, so that the comparing process stays small."""

from __future__ import annotations

from dataclasses import dataclass

from mematte_plugin import SettingError

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
KINDS = ("ours", "model", "forced", "transformers", "official", "closed-form")
VARIANTS = ("tiny", "small", "base")

CPU_METHODS = (
    "ours:small:fp32:0.25",
    "transformers:small:fp32",
    "official:small:fp32:0.25",
    "ours:small:bf16:0.25",
    "ours:small:fp32:1",
    "ours:tiny:fp32:0.25",
    "ours:base:fp32:0.25",
    "closed-form",
)
CUDA_METHODS = (
    "ours:small:fp16:0.25",
    "official:small:fp32:0.25",
    "transformers:small:fp16",
    "ours:small:fp32:0.25",
    "transformers:small:fp32",
    "ours:base:fp16:0.25",
    "ours:small:fp16:1",
    "ours:base:fp32:0.25",
    "official:base:fp32:0.25",
)


@dataclass(frozen=True)
class Method:
    """One line of the tables."""

    kind: str
    """One of `KINDS`."""
    variant: str = ""
    """One of `VARIANTS`; what `load_network` takes for "model" and "forced"; none for
    closed-form."""
    dtype: str = "fp32"
    """A key of `DTYPES`."""
    retention: float | None = None
    """Share of tokens that is kept in each global block (of "model" at most); None: the method does
    not route, or its router decides."""

    @property
    def name(self) -> str:
        """What `parse_method` takes."""
        if self.kind == "closed-form":
            return self.kind
        share = [] if self.retention is None else [f"{self.retention:g}"]
        return ":".join([self.kind, self.variant, self.dtype, *share])

    @property
    def label(self) -> str:
        """For people."""
        if self.kind == "closed-form":
            return "pymatting closed-form"
        who = {"official": "official MEMatte", "transformers": "transformers VitMatte"}
        kept = "" if self.retention is None else f", {self.retention:.0%} kept"
        return f"{who.get(self.kind, self.kind)} {self.variant} {self.dtype}{kept}"


def parse_method(text: str) -> Method:
    """ours:small:fp32:0.25, transformers:small:fp16, model:mematte-tiny:fp32 or closed-form.

    Raises SettingError for anything else.
    """
    kind, *rest = text.strip().split(":")
    if kind not in KINDS:
        raise SettingError(f"method {text!r}: the first word is one of {', '.join(KINDS)}")
    if kind == "closed-form" and not rest:
        return Method(kind)
    routed = kind in ("ours", "official", "forced")
    trained = kind in ("model", "forced")
    if kind == "closed-form" or len(rest) not in ((3,) if routed else (2, 3)):
        variant = "mematte-tiny" if trained else "small"
        pattern = f"{kind}:{variant}:fp32" + (":0.25" if routed else "")
        raise SettingError(f"method {text!r}: write it as {pattern}")
    variant, dtype = rest[:2]
    if not trained and variant not in VARIANTS:
        raise SettingError(f"method {text!r}: the size is one of {', '.join(VARIANTS)}")
    if kind in ("transformers", "official") and variant == "tiny":
        raise SettingError(f"method {text!r}: only ours is there in size tiny")
    if dtype not in DTYPES:
        raise SettingError(f"method {text!r}: the precision is one of {', '.join(DTYPES)}")
    return Method(kind, variant, dtype, _share(rest[2], text) if len(rest) == 3 else None)


def _share(text: str, method: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingError(f"method {method!r}: the kept share is a number from 0 to 1")
    return share
