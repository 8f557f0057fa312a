"""How much memory there is, how much a run needs, and how to fit the one into the other."""
