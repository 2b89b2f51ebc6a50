"""The smallest configuration that does everything."""

TINY = {
    "model": {
        "class_path": "fgsbir.systems.b_siamese.BSiamese",
        "init_args": {
            "backbone": {
                "class_path": "fgsbir.models.backbone.Backbone",
                "init_args": {"name": "test_efficientnet", "level": 3, "weights": "none"},
            },
            "optimisation": {"lr": 1.0e-3},
        },
    },
    "data": {
        "source": {
            "class_path": "fgsbir.data.datasets.Embedded",
            "init_args": {"train": 6, "val": 3, "test": 4, "sketches_per_photo": 2, "size": 64},
        },
        "rendering": {"image_size": 64, "num_regions": 5, "max_strokes": 6},
        "augmentation": {"flip": 0.5, "sketch_affine": 0.5, "photo_affine": 0.5, "stroke_dropout": 0.1},
        "batch_size": 4,
        "num_workers": 0,
    },
    "trainer": {
        "max_epochs": 2,
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    },
}

PROPOSED = {
    "class_path": "fgsbir.systems.proposed.Proposed",
    "init_args": {**TINY["model"]["init_args"], "nodes": {"dim": 16, "hidden": 8}},
}

EMA = {"class_path": "lightning.pytorch.callbacks.EMAWeightAveraging", "init_args": {"decay": 0.9}}
