"""How to train on how much data: a recipe for a few hundred galaxies, for thousands, for 10⁴, for the paper's 10⁵."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from sfnet_core.utils.errors import SFNetError

__all__ = [
    "ALIVE",
    "DECIDED",
    "EVERY_K",
    "GATE_POWER",
    "GONE",
    "NEUTRAL",
    "PICTURES",
    "PICTURES_LIMIT",
    "RECIPES",
    "TAUGHT",
    "TAUGHT_BELOW",
    "TAUGHT_WIDTH",
    "Recipe",
    "choose",
    "known_fields",
]

GATE_POWER = 1.0  # how much less the larger gates count where every k is trained at once

#: What keeps features alive, as fields of a recipe: the pair that did best on an inner split (see benchmarks).
ALIVE = {"start_k": 32, "balance": 0.03}

#: What a taught training does otherwise: gain and sky vary in its pictures already, and their targets with them.
TAUGHT = {"epochs": 20, "gain": 0.0, "sky": 0.0}
PICTURES = 8000  # drawn of the training galaxies of a taught training, about
PICTURES_LIMIT = 4 << 30  # bytes of pictures that a taught training may hold

#: What a training is by itself, where nothing else is asked for (0: never): taught, at this width, with fewer usable
#: labels than this; every k up to this one at once. Measured before it is decided: benchmarks/results.
TAUGHT_WIDTH, TAUGHT_BELOW, EVERY_K = 16, 0, 0


OPTIMISERS = {"adamw": "AdamW", "ranger": "RAdam + Lookahead"}
LOSSES = ("mse", "rmse")  # the mean of squared errors, or the root of each batch's


@dataclass(frozen=True)
class Recipe:
    """Everything about a training that is not data, network or seed.

    ``crop_share``: side of the central crop as a share of the cutout's shorter side, rounded down to a multiple of
    32 px (the trunk's stride), of cutouts under 96 px to one of 16; ``crop`` in px overrides it. ``warm_up``: share of
    the steps in which the rate rises.
    ``gain``, ``sky``: standard deviations of a random log gain (one for all bands, so that colours stay) and of a
    random background (each band, on the 0…1 scale), added in training. Without them one cutout with a strange sky,
    unlike any in a small training set, can be predicted more than 1 dex off: activations have no upper bound. On
    simulated galaxies, which have no artefacts, they gain nothing (benchmarks/results/accuracy.json).

    ``multi_k``: the loss is a mean over gates of 1…``multi_k`` features, which share trunk and head, so that one
    network serves every such k (0: its own k alone; the idea is the multi-TopK loss of Gao et al. 2024, section 5.3).
    ``multi_k_power`` p: in that mean the gate of k features counts in proportion to 1/kᵖ (0: all alike);
    :func:`choose` takes 1, since with all alike one feature alone predicts badly (benchmarks/results/multi_k_observed).
    ``refit_head``: after the last step the head is fitted once more, by least squares (over those gates, where there
    are several; :mod:`sfnet_core.training.head`); :func:`choose` takes it for every recipe but the paper's.

    Against dying features (:mod:`sfnet_core.training.objective`), none by default. ``start_k``: features that the gate
    keeps at the first step, fewer from step to step, down to k after half to four fifths of them (0: k at once).
    ``balance``: how far a rarely kept feature's map is raised before the trunk's last ReLU, per step.

    ``variants``: instead of the training galaxies and their targets, so many pictures drawn of each, and what a
    Gaussian process on photometry by hand, fitted to the training galaxies, says of the pictures
    (:mod:`sfnet_core.training.distillation`; 0: the galaxies themselves).
    """

    name: str
    epochs: int
    batch: int
    rate: float
    weight_decay: float
    optimiser: str
    loss: str
    crop_share: float
    warm_up: float
    gain: float
    sky: float
    crop: int | None = None
    multi_k: int = 0
    multi_k_power: float = 0.0
    refit_head: bool = False
    start_k: int = 0
    balance: float = 0.0
    variants: int = 0

    def gate_shares(self) -> np.ndarray:
        """(multi_k,) what each gate's loss counts for, with sum 1."""
        shares = np.arange(1.0, self.multi_k + 1) ** -self.multi_k_power
        return shares / shares.sum()

    def side(self, height: int, width: int) -> int:
        """Side of the crop in px for cutouts of this size."""
        shorter = min(height, width)
        if self.crop is not None:
            if not 1 <= self.crop <= shorter:
                raise SFNetError(f"A crop of {self.crop} px does not fit cutouts of {height}×{width} px.")
            return self.crop
        if self.crop_share == 1:
            return shorter
        step = 32 if shorter >= 96 else 16  # 32 px would leave half of a cutout of 64 px
        return min(shorter, max(32, int(shorter * self.crop_share) // step * step))

    def sentence(self) -> str:
        """The recipe in words, to be printed."""
        optimiser = OPTIMISERS[self.optimiser]
        return (
            f"recipe “{self.name}”: {self.epochs} epochs of {optimiser}, one cycle to {self.rate:g}, weight decay "
            f"{self.weight_decay:g}, batches of {self.batch}, {self.loss.upper()} on standardised targets, "
            f"turned and mirrored at random{', gain and sky varied' if self.gain or self.sky else ''}"
            f"{f', every k from 1 to {self.multi_k} at once' if self.multi_k else ''}"
            f"{f' (counted as 1/k^{self.multi_k_power:g})' if self.multi_k and self.multi_k_power else ''}"
            f"{', the head fitted once more at the end' if self.refit_head else ''}"
            f"{f', the gate narrowed from {self.start_k} features' if self.start_k else ''}"
            f"{f', rare features raised by {self.balance:g} a step' if self.balance else ''}"
            f"{f', taught by photometry on {self.variants} pictures of each galaxy' if self.variants else ''}"
        )

    def as_dict(self) -> dict:
        """For ``run.json``."""
        return asdict(self)


#: The fields that came later, with the values under which a training is as it was before there were such fields.
NEUTRAL = {field.name: field.default for field in fields(Recipe) if field.default is not MISSING}

#: Fields that 0.1.0 had and that are gone, with the values under which they did nothing.
GONE = {"auxk": 0, "normalise": False}

DECIDED = ("multi_k_power", "refit_head")  # by :func:`choose`, which no argument asks for them


def known_fields(record: dict[str, Any]) -> dict[str, Any]:
    """A recipe as ``run.json`` has it, without the fields that are gone; refused where one of them did something."""
    for name, neutral in GONE.items():
        if record.get(name, neutral) != neutral:
            raise SFNetError(
                f"This training was begun with {name} = {record[name]!r}, which no training has any more: its run "
                "opens and infers, but can't be trained further. Train anew in another folder."
            )
    return {name: value for name, value in record.items() if name not in GONE}


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("few hundred", 60, 32, 3e-3, 0.05, "adamw", "mse", 0.75, 0.25, 0.1, 0.02),
        Recipe("thousands", 40, 32, 3e-3, 0.05, "adamw", "mse", 0.75, 0.25, 0.1, 0.02),
        # of 16,000 galaxies batches of 32 have more RMSE than those of 64, at full width 1 % (docs/howto/alive.md)
        Recipe("tens of thousands", 40, 64, 3e-3, 0.05, "adamw", "mse", 0.75, 0.25, 0.1, 0.02),
        # Wu (2025), section 3, and the defaults of the library used there (fastai: one cycle, ranger)
        Recipe("paper", 20, 64, 0.1, 0.01, "ranger", "rmse", 1.0, 0.25, 0.0, 0.0),
    )
}

_LIMITS = 800, 10_000, 30_000, float("inf")  # each recipe is for fewer training galaxies than this


def choose(
    n: int,
    recipe: str | Recipe | None = None,
    epochs: int | None = None,
    multi_k: int | None = None,
    alive: bool = False,
    taught: bool = False,
    **changes: Any,
) -> Recipe:
    """The recipe of a training.

    Parameters
    ----------
    n : training galaxies
    recipe : a name or a recipe; by default the one for ``n`` galaxies
    epochs, multi_k : instead of its own; ``None`` changes nothing
    alive : with the fields of :data:`ALIVE`; without ``start_k`` where every k is trained at once
    taught : with those of :data:`TAUGHT` and about :data:`PICTURES` variants in all
    changes : other fields instead of its own; ``None`` changes nothing

    Raises
    ------
    SFNetError
        Where there is no such recipe or field, or a value can't be.
    """
    if recipe is None:
        recipe = next(name for name, limit in zip(RECIPES, _LIMITS, strict=True) if n < limit)
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise SFNetError(f"There is no recipe {recipe!r}; there are: {', '.join(RECIPES)}.")
        recipe = replace(RECIPES[recipe], refit_head=recipe != "paper")
    if taught:
        recipe = replace(recipe, variants=max(1, round(PICTURES / n)), **TAUGHT)
    if epochs is not None:
        if epochs < 1:
            raise SFNetError(f"A training needs at least one epoch, not {epochs}.")
        recipe = replace(recipe, epochs=epochs)
    if multi_k is not None:
        if multi_k < 0:
            raise SFNetError(f"multi_k is the largest k that is trained along, or 0, not {multi_k}.")
        power, refit = (GATE_POWER, True) if multi_k else (NEUTRAL["multi_k_power"], recipe.refit_head)
        recipe = replace(recipe, multi_k=multi_k, multi_k_power=power, refit_head=refit)
    if alive:
        recipe = replace(recipe, **ALIVE | ({"start_k": 0} if recipe.multi_k else {}))
    changes = {name: value for name, value in changes.items() if value is not None}
    known = [field.name for field in fields(Recipe)]
    if unknown := sorted(changes.keys() - set(known)):
        raise SFNetError(f"A recipe has no {', '.join(unknown)}; it has: {', '.join(known)}.")
    recipe = replace(recipe, **changes)
    for name in ("start_k", "balance", "variants"):
        if not 0 <= getattr(recipe, name) < float("inf"):
            raise SFNetError(f"{name} is 0 (off) or more, not {getattr(recipe, name)}.")
    for name in ("epochs", "batch", "rate"):
        if not 0 < getattr(recipe, name) < float("inf"):
            raise SFNetError(f"{name} is above 0, not {getattr(recipe, name)}.")
    for name, known in (("optimiser", OPTIMISERS), ("loss", LOSSES)):
        if getattr(recipe, name) not in known:
            raise SFNetError(f"{name} is {' or '.join(known)}, not {getattr(recipe, name)!r}.")
    if recipe.start_k and recipe.multi_k:
        raise SFNetError(
            f"The gate is narrowed from start_k={recipe.start_k}, or every k to multi_k={recipe.multi_k} is trained at "
            "once; choose one of the two."
        )
    return recipe
