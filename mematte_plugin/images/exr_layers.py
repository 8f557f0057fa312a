"""Which channels of an OpenEXR file are the picture: parts, layers and their usual names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..errors import InputError
from .decoded import Role

Address = tuple[int, str]
"""Number of the part, and the channel's whole name in it."""

_MAIN = "main"
"""What the layer without a name is called."""
_COLOURS = {"red": "r", "green": "g", "blue": "b", "alpha": "a"}
_SINGLE = ("a", "y")
"""Channels that are an opacity or a grey picture by their name."""
_LISTED = 12


@dataclass(frozen=True)
class Group:
    """The channels of one layer of one part."""

    part: int
    """Number of the part."""
    names: tuple[str, ...]
    """What the layer may be called, the first one in messages; empty if it has no name."""
    channels: Mapping[str, str]
    """Whole channel name by the last piece of it in lower case; red is r, and so on."""

    def __str__(self) -> str:
        ends = sorted(self.channels, key=lambda end: ("rgbayz".find(end) % 99, end))
        ends = [self.channels[end].rpartition(".")[2] for end in ends]
        return f"{self.names[0] if self.names else _MAIN} ({', '.join(ends)})"

    @property
    def plain(self) -> bool:
        """Its channels have no layer in front: the picture itself, if others are its parts."""
        return all("." not in channel for channel in self.channels.values())

    @property
    def colour(self) -> tuple[Address, ...]:
        """R, G, B and A if there is one; empty for a layer without colour."""
        if not {"r", "g", "b"} <= set(self.channels):
            return ()
        return self.addresses("rgba")

    @property
    def luminance(self) -> tuple[Address, ...]:
        """Y, with RY and BY if there is colour; A after a grey picture."""
        if "y" not in self.channels or self.colour:
            return ()
        chroma = ("ry", "by") if {"ry", "by"} <= set(self.channels) else ()
        return self.addresses(("y", *chroma, "a"))

    @property
    def single(self) -> tuple[Address, ...]:
        """Its opacity, or else its grey picture."""
        return self.addresses(_SINGLE)[:1]

    def addresses(self, ends: Iterable[str]) -> tuple[Address, ...]:
        """Those of these channels that there are."""
        return tuple((self.part, self.channels[end]) for end in ends if end in self.channels)


def groups_of(parts: Iterable[tuple[str, Iterable[str]]]) -> list[Group]:
    """The layers of a file, from the name of every part ("" for none) and its channels' names."""
    listed = [(name, list(channels)) for name, channels in parts]
    groups = []
    for number, (part, channels) in enumerate(listed):
        inside: dict[str, dict[str, str]] = {}
        for channel in channels:
            layer, _, end = channel.rpartition(".")
            end = _COLOURS.get(end.lower(), end.lower())
            inside.setdefault(layer, {}).setdefault(end, channel)
        for layer, ends in inside.items():
            if "y" in ends and ("x" in ends or "z" in ends) and len(ends) <= len("xyza"):
                ends["of xyz"] = ends.pop("y")  # a normal or a position, not luminance
            groups.append(Group(number, _names(part, layer, several=len(listed) > 1), ends))
    return groups


def _names(part: str, layer: str, *, several: bool) -> tuple[str, ...]:
    if several and part and layer and part != layer:
        return (f"{part}.{layer}", layer, part)
    name = layer or (part if several else "")
    return (name,) if name else ()


def choose(groups: list[Group], role: Role, layer: str | None, name: str) -> tuple[Address, ...]:
    """The channels to read: (R, G, B[, A]), (Y[, RY, BY][, A]) or a single one.

    Raises InputError, listing the layers, if the role alone does not tell.
    """
    if layer is not None:
        return _named(groups, role, layer, name)
    if role in ("photo", "background"):
        return _photo(groups, role, name)
    return _mask(groups, role, name)


def _photo(groups: list[Group], role: Role, name: str) -> tuple[Address, ...]:
    for found in ([g for g in groups if g.colour], [g for g in groups if g.luminance]):
        plain = [group for group in found if group.plain]
        best = plain if len(plain) == 1 else found
        if len(best) == 1:
            return best[0].colour or best[0].luminance
        if found:
            raise InputError(f"{name}: {_several(found, role)}")
    remedy = "write the beauty pass"
    if sum(len(group.channels) for group in groups) == 1:
        remedy = "is it the mask, and were the two swapped?"
    raise InputError(
        f"{name}: the EXR has no colour layer (R, G, B) for a {role}, it holds"
        f" {_listed(groups)}; {remedy}"
    )


def _mask(groups: list[Group], role: Role, name: str) -> tuple[Address, ...]:
    channels = [address for group in groups for address in group.addresses(group.channels)]
    if len(channels) == 1:
        return (channels[0],)
    opaque = [group for group in groups if group.single] or [g for g in groups if g.colour]
    if any(group.plain for group in opaque):  # other colour layers were made on the way to it
        opaque = [group for group in opaque if group.plain or not group.colour]
    if len(opaque) == 1:
        return opaque[0].colour or opaque[0].single
    if opaque:
        raise InputError(f"{name}: {_several(opaque, role)}")
    raise InputError(
        f"{name}: the EXR's channels do not tell which is the {role}, it holds {_listed(groups)};"
        f" {_remedy(role)}"
    )


def _named(groups: list[Group], role: Role, layer: str, name: str) -> tuple[Address, ...]:
    mask = role in ("mask", "trimap")
    group = _by_name(groups, layer)
    if group is not None:
        if mask and not group.colour and len(group.channels) == 1:
            return group.addresses(group.channels)
        found = group.colour or (group.single if mask else group.luminance)
        if found:
            return found
        what = "several channels; name one of them" if mask else f"no colours for a {role}"
        raise InputError(f"{name}: its layer {group} has {what}")
    channels = _channels(groups, layer)
    if len(channels) == 1 and mask:
        return (channels[0],)
    fault = f"has no layer {layer!r}"
    if channels:
        many = "several channels have that name" if len(channels) > 1 else f"is not a {role}"
        fault = f"{layer!r}: {many}"
    raise InputError(f"{name}: {fault}; it holds {_listed(groups)}")


def _by_name(groups: list[Group], layer: str) -> Group | None:
    """By the whole name, or by its last pieces if only one has them; case does not matter."""
    wanted = layer.lower()
    exact = [g for g in groups if any(wanted == known.lower() for known in g.names)]
    ends = [g for g in groups if any(n.lower().endswith("." + wanted) for n in g.names)]
    plain = [g for g in groups if not g.names and wanted in ("", "rgb", "rgba", _MAIN)]
    for found in (exact, ends, plain):
        # A part that holds several layers goes by its name alone if one of them is colour.
        for narrowed in (found, [group for group in found if group.colour]):
            if len(narrowed) == 1:
                return narrowed[0]
    return None


def _channels(groups: list[Group], wanted: str) -> list[Address]:
    """Channels of that whole name, or, if there is none, of that ending."""
    wanted = wanted.lower()
    whole, ending = [], []
    for group in groups:
        for address in group.addresses(group.channels):
            channel = address[1].lower()
            if wanted in (channel, *(f"{known}.{channel}".lower() for known in group.names)):
                whole.append(address)
            elif channel.endswith("." + wanted):
                ending.append(address)
    return whole or ending


def _several(groups: list[Group], role: Role) -> str:
    return f"the EXR holds several possible {role}s: {_listed(groups)}; {_remedy(role)}"


def _remedy(role: Role) -> str:
    if role == "background":
        return "write that layer alone"
    option = "--layer NAME" if role == "photo" else f"--{role}-layer NAME"
    return f"name one with {option} (in Python: Layer(file, name))"


def _listed(groups: list[Group]) -> str:
    shown = [str(group) for group in groups[:_LISTED]]
    more = len(groups) - len(shown)
    return "; ".join(shown) + (f" and {more} more" if more else "") or "no channels"
