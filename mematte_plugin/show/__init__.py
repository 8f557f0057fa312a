"""Pictures that show a result: composites, overlays, routing maps, contact sheets."""
