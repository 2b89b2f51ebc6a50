"""Cross-modal hierarchical fine-grained sketch-based image retrieval."""

__version__ = "0.1.0"
