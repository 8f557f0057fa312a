"""Full-resolution, memory-efficient alpha matting (MEMatte) as a package."""

__version__ = "0.1.0"
