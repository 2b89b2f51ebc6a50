"""Every system on a tiny network, and images for it."""

from dataclasses import fields

import torch

from fgsbir.data.sample import PhotoBatch, SketchBatch
from fgsbir.models.backbone import Backbone
from fgsbir.models.sketch_a_net import SketchANet
from fgsbir.models.stroke_transformer import StrokeTransformer
from fgsbir.systems import SYSTEMS, BSiamese, RawPixels, Swire, TripletAttnSN, TripletSN
from fgsbir.systems.node_system import NodeSettings

NODE_SYSTEMS = ("proposed", "b_localised_coattn", "without_localised_coattn", "explicit_hierarchy", "b_graph_hierarchy")
NODE_SETTINGS = {field.name for field in fields(NodeSettings)}


def make(name, **settings):
    """A system in evaluation mode; settings of its nodes stand among its own."""
    torch.manual_seed(0)
    if name == "raw_pixels":
        return RawPixels(16).eval()
    if name == "b_siamese":
        return BSiamese(Backbone("test_efficientnet", 3), **settings).eval()
    if name in ("triplet_sn", "triplet_attn_sn"):
        kind = TripletSN if name == "triplet_sn" else TripletAttnSN
        return kind(SketchANet(), **{"crop": 1.0, **settings}).eval()
    if name == "b_gated_siamese":
        return SYSTEMS[name](Backbone("test_efficientnet", 2), **{"columns": 6, **settings}).eval()
    if name in NODE_SYSTEMS:
        shared = {key: settings.pop(key) for key in NODE_SETTINGS & settings.keys()}
        nodes = NodeSettings(**{"dim": 16, "hidden": 8, "region_grid": 3, **shared})
        return SYSTEMS[name](Backbone("test_efficientnet", 2), nodes, **settings).eval()
    if name in ("sketchbert_variant", "sketchformer_variant"):
        strokes = StrokeTransformer(16, heads=2, feedforward=16, coordinates="normalised")
        return SYSTEMS[name](Backbone("test_efficientnet", 3), strokes, **settings).eval()
    if name == "layout_siamese":
        return SYSTEMS[name](Backbone("test_efficientnet", 3, region_level=2), **settings).eval()
    assert name == "swire"
    return Swire(Backbone("test_efficientnet", 3), **settings).eval()


def pictures(counts, room, seed, side=48):
    """Random images with the given numbers of boxes."""
    torch.manual_seed(seed)
    mask = torch.arange(room) < torch.tensor(counts)[:, None]
    corner = torch.rand(len(counts), room, 2) * 0.6
    boxes = torch.cat([corner, corner + 0.1 + 0.3 * torch.rand(len(counts), room, 2)], 2) * mask[..., None]
    image = torch.randint(0, 256, (len(counts), 3, side, side), dtype=torch.uint8)
    return image, boxes, mask


def pen_paths(lengths, room):
    """Random paths of the pen with the given numbers of points."""
    real = torch.arange(room) < torch.tensor(lengths)[:, None]
    pen = (torch.rand(len(lengths), room, 1) < 0.3).float()
    return torch.cat([torch.rand(len(lengths), room, 2), pen], 2) * real[..., None], torch.tensor(lengths)


def sketches_of(counts, seed=1):
    position = torch.arange(len(counts))
    shown = pictures(counts, 6, seed)
    return SketchBatch(*shown, *pen_paths([3 * count for count in counts], 20), position, position)


def photos_of(counts, seed=2):
    return PhotoBatch(*pictures(counts, 7, seed), torch.arange(len(counts)))
