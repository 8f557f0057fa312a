"""Which channels of an OpenEXR file are the picture: parts, layers and what people call them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ..errors import InputError
from .decoded import Role

Address = tuple[int, str]
"""Number of the part, and the channel's whole name in it."""

MAIN = "main"
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
    """What the layer may be called, the first one in messages; empty where it has no name."""
    channels: Mapping[str, str] = field(default_factory=dict)
    """Whole channel name by the last piece of it in lower case; red is r, and so on."""

    def __str__(self) -> str:
        ends = sorted(self.channels, key=lambda end: ("rgbayz".find(end) % 99, end))
        ends = [self.channels[end].rpartition(".")[2] for end in ends]
        return f"{self.names[0] if self.names else MAIN} ({', '.join(ends)})"

    @property
    def plain(self) -> bool:
        """Its channels have no layer in front: the picture itself, where others are its parts."""
        return all("." not in channel for channel in self.channels.values())

    @property
    def colour(self) -> tuple[Address, ...]:
        """R, G, B and A where there is one; empty for a layer that is no colour."""
        if not {"r", "g", "b"} <= set(self.channels):
            return ()
        return tuple((self.part, self.channels[end]) for end in "rgba" if end in self.channels)

    @property
    def luminance(self) -> tuple[Address, ...]:
        """Y, with RY and BY where there is colour; A behind a grey picture."""
        if "y" not in self.channels or self.colour:
            return ()
        chroma = ("ry", "by") if {"ry", "by"} <= set(self.channels) else ()
        ends = ("y", *chroma) + (("a",) if "a" in self.channels else ())
        return tuple((self.part, self.channels[end]) for end in ends)


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
                ends["of xyz"] = ends.pop("y")  # a normal or a position, and no luminance
            names = _names(part, layer, several=len(listed) > 1)
            groups.append(Group(number, names, ends))
    return groups


def _names(part: str, layer: str, *, several: bool) -> tuple[str, ...]:
    if not several:
        return (layer,) if layer else ()
    if not part or part == layer:
        return (layer or part,) if layer or part else ()
    return (f"{part}.{layer}", layer, part) if layer else (part,)


def choose(groups: list[Group], role: Role, layer: str | None, name: str) -> tuple[Address, ...]:
    """The channels to read: (R, G, B[, A]), (Y[, RY, BY][, A]) or a single one.

    Raises InputError, listing the layers, where the role alone does not tell.
    """
    if layer is not None:
        return _named(groups, role, layer, name)
    if role in ("photo", "background"):
        return _photo(groups, role, name)
    return _mask(groups, role, name)


def _photo(groups: list[Group], role: Role, name: str) -> tuple[Address, ...]:
    for kind in ("colour", "luminance"):
        found = [group for group in groups if getattr(group, kind)]
        plain = [group for group in found if group.plain]
        if len(plain) == 1:
            found = plain
        if len(found) == 1:
            return tuple(getattr(found[0], kind))
        if found:
            raise InputError(f"{name}: {_several(found, role)}")
    what = {"photo": "a photo", "background": "a background"}.get(role, role)
    remedy = "write the beauty pass"
    if sum(len(group.channels) for group in groups) == 1:
        remedy = "is it the mask, and were the two swapped?"
    raise InputError(
        f"{name}: the EXR has no colour layer (R, G, B) for {what}, it holds"
        f" {_listed(groups)}; {remedy}"
    )


def _mask(groups: list[Group], role: Role, name: str) -> tuple[Address, ...]:
    channels = [(group.part, channel) for group in groups for channel in group.channels.values()]
    if len(channels) == 1:
        return (channels[0],)
    opaque = [group for group in groups if any(end in group.channels for end in _SINGLE)]
    if not opaque:
        opaque = [group for group in groups if group.colour]
    if any(group.plain for group in opaque):  # what else has colours was made on the way to it
        opaque = [group for group in opaque if group.plain or not group.colour]
    if len(opaque) == 1:
        return _of_group(opaque[0])
    if opaque:
        raise InputError(f"{name}: {_several(opaque, role)}")
    raise InputError(
        f"{name}: the EXR's channels do not tell which is the {role}, it holds {_listed(groups)};"
        f" {_remedy(role)}"
    )


def _of_group(group: Group) -> tuple[Address, ...]:
    """Everything that a mask may be in: colours with their alpha, else the alpha, else Y."""
    if group.colour:
        return group.colour
    end = next(end for end in _SINGLE if end in group.channels)
    return ((group.part, group.channels[end]),)


def _named(groups: list[Group], role: Role, layer: str, name: str) -> tuple[Address, ...]:
    group = _by_name(groups, layer)
    if group is not None:
        mask = role in ("mask", "trimap")
        if group.colour or (group.luminance and not mask):
            return group.colour or group.luminance
        if mask and len(group.channels) == 1:
            return ((group.part, next(iter(group.channels.values()))),)
        if mask and any(end in group.channels for end in _SINGLE):
            return _of_group(group)
        what = "several channels; name one of them" if mask else f"no colours for a {role}"
        raise InputError(f"{name}: its layer {group} has {what}")
    single = list(_channels(groups, layer))
    if len(single) == 1 and role in ("mask", "trimap"):
        return (single[0],)
    fault = f"has no layer {layer!r}"
    if single:
        many = "several channels have that name" if len(single) > 1 else f"is no {role}"
        fault = f"{layer!r}: {many}"
    raise InputError(f"{name}: {fault}; it holds {_listed(groups)}")


def _by_name(groups: list[Group], layer: str) -> Group | None:
    """By the whole name, or by its last pieces where only one has them; case does not matter."""
    wanted = layer.lower()
    exact = [g for g in groups if any(wanted == known.lower() for known in g.names)]
    ends = [g for g in groups if any(n.lower().endswith("." + wanted) for n in g.names)]
    plain = [g for g in groups if not g.names and wanted in ("", "rgb", "rgba", MAIN)]
    for found in (exact, ends, plain):
        if len(found) == 1:
            return found[0]
        # A part that holds several layers goes by its name alone where one of them is colour.
        colour = [group for group in found if group.colour]
        if len(colour) == 1:
            return colour[0]
    return None


def _channels(groups: list[Group], wanted: str) -> Iterator[Address]:
    """Channels of that whole name, or, where there is none, of that ending."""
    whole = [
        (group.part, channel)
        for group in groups
        for channel in group.channels.values()
        if wanted.lower()
        in (channel.lower(), *(f"{known}.{channel}".lower() for known in group.names))
    ]
    yield from whole or [
        (group.part, channel)
        for group in groups
        for channel in group.channels.values()
        if channel.lower().endswith("." + wanted.lower())
    ]


def _several(groups: list[Group], role: Role) -> str:
    what = "photos" if role == "photo" else f"{role}s"
    return f"the EXR holds several possible {what}: {_listed(groups)}; {_remedy(role)}"


def _remedy(role: Role) -> str:
    if role == "background":
        return "write that layer alone"
    option = "--layer NAME" if role == "photo" else f"--{role}-layer NAME"
    return f"name one with {option} (in Python: Layer(file, name))"


def _listed(groups: list[Group]) -> str:
    shown = [str(group) for group in groups[:_LISTED]]
    more = len(groups) - len(shown)
    return "; ".join(shown) + (f" and {more} more" if more else "") or "no channels"
