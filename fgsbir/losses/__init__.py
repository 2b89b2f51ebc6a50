"""Training losses over the pairs of a batch."""

from fgsbir.losses.base import Matcher, PairLoss
from fgsbir.losses.contrastive import ContrastiveLoss
from fgsbir.losses.info_nce import InfoNCELoss
from fgsbir.losses.triplet import JudgedTripletLoss, RandomNegativeLoss, TripletLoss

__all__ = [
    "ContrastiveLoss",
    "InfoNCELoss",
    "JudgedTripletLoss",
    "Matcher",
    "PairLoss",
    "RandomNegativeLoss",
    "TripletLoss",
]
