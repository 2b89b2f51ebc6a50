"""The embedded dataset: generated chairs, shoes and app screens with sketches; nothing to download."""

from fgsbir.data.procedural.cache import load_instances
from fgsbir.data.procedural.generate import Category, Instance, generate, view_hierarchy, visible_scene
from fgsbir.data.procedural.parts import Part

__all__ = ["Category", "Instance", "Part", "generate", "load_instances", "view_hierarchy", "visible_scene"]
