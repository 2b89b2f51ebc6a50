"""An embedded dataset: chairs, shoes and app screens with sketches, drawn by procedure, nothing to download."""

from fgsbir.data.procedural.generate import Category, Instance, generate, view_hierarchy, visible_scene
from fgsbir.data.procedural.parts import Part

__all__ = ["Category", "Instance", "Part", "generate", "view_hierarchy", "visible_scene"]
