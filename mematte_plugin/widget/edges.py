"""What is done to a widget's finished mattes; the network does not run again for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import traitlets

from ..foreground.edges import MOST_CHOKE, MOST_FEATHER, Edge
from ..matte import Matte
from .options import Options


class Edges(Options):
    """A photo, its trimap, how it is to be cut, and the edge that its mattes get."""

    levels_black = traitlets.Float(0.0, min=0.0, max=1.0, help="alpha up to here becomes 0").tag(
        sync=True
    )
    levels_white = traitlets.Float(1.0, min=0.0, max=1.0, help="alpha from here on becomes 1").tag(
        sync=True
    )
    choke = traitlets.Float(
        0.0, min=-MOST_CHOKE, max=MOST_CHOKE, help="pixels of the photo, inward"
    ).tag(sync=True)
    feather = traitlets.Float(0.0, min=0.0, max=MOST_FEATHER, help="pixels of the photo").tag(
        sync=True
    )
    despill = traitlets.Unicode("off", help='"auto", "off", or a screen\'s colour').tag(sync=True)
    colors = traitlets.Enum(("foreground", "photo"), "foreground", help="what lies under the alpha")

    @traitlets.validate("levels_black", "levels_white", "despill")
    def _valid_edge(self, proposal: Any) -> Any:
        with self._reporting():
            self._edge(**{proposal["trait"].name: proposal["value"]})
        return proposal["value"]

    def _edge(self, **changed: Any) -> Edge:
        """Raises SettingError where the traits contradict each other."""
        values = {name: getattr(self, name) for name in EDGES} | changed
        levels = (values.pop("levels_black"), values.pop("levels_white"))
        return Edge(levels=None if levels == (0.0, 1.0) else levels, **values)

    def _shaped(self, matte: Matte, edge: Edge) -> Matte:
        """A matte of the photo, or of its proxy, with that edge."""
        scale = matte.photo.size[1] / self.photo.size[1]
        return matte.with_edge(
            replace(edge, choke=edge.choke * scale, feather=edge.feather * scale)
        )


EDGES = ("levels_black", "levels_white", "choke", "feather", "despill", "colors")
"""The traits."""
