"""Recorded training steps: their logic with a recording that is played back on the CPU; on a GPU the real thing."""

from __future__ import annotations

import copy
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch

from sfnet_core.model.network import SFNet
from sfnet_core.training import cuda_graph as graphed
from sfnet_core.training.cuda_graph import EAGER, MOST, GraphedStep, make_step, record_cuda
from sfnet_core.training.objective import Objective
from sfnet_core.training.optimiser import make_optimiser
from sfnet_core.training.recipes import RECIPES, Recipe

SIZES = [8, 8, 8, 6, 8, 6, 6, 8, 6, 8, 8, 6]  # array_split gives two sizes
WIDTH = 16


class Played:
    """A recording like a CUDA graph: nothing is done when it is made, and all its tensors stay in their place."""

    def __init__(self, work, network):
        kept = copy.deepcopy(network.state_dict())
        self.work, self.network = work, network
        self.results = work()  # what there is to be filled: results and gradients
        network.load_state_dict(kept)
        self.places = [p.grad for p in network.parameters()]

    def replay(self):
        for place, new in zip(self.results, self.work(), strict=True):
            place.copy_(new)
        for place, parameter in zip(self.places, self.network.parameters(), strict=True):
            place.copy_(parameter.grad)


def trained(recipe: Recipe, recorded, device: str = "cpu", steps: int = 3 * len(SIZES)):
    """Weights and squared errors after a few steps on made-up images; ``recorded`` makes a step of a step."""
    torch.manual_seed(0)
    network = SFNet(2, 1, WIDTH).to(device, memory_format=torch.channels_last)
    optimiser, objective = make_optimiser(network, recipe), Objective(network, recipe, steps)

    with mock.patch.object(graphed, "GraphedStep", lambda step, kind, parameters: step):
        step = make_step(objective, optimiser, bf16=False)  # never recorded
    step, errors = recorded(step, objective, network), []
    network.train()
    for at in range(steps):
        rng = np.random.default_rng(at)
        n = SIZES[at % len(SIZES)]
        images = torch.from_numpy(rng.normal(size=(n, 3, 32, 32))).float().to(device)
        wanted = images.mean(dim=(1, 2, 3))[:, None] * 9
        a, squares = step(images, wanted, at)
        assert a.shape == (n, 8 * WIDTH) and squares.shape == (n, 1)
        optimiser.step()
        objective.observe(a, at)
        errors.append(float(squares.sum()))
    return network.state_dict(), errors, step


def plainly(step, objective, network):
    return step


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [({}, 2), ({"start_k": 6}, 4), ({"multi_k": 3}, 2), ({"balance": 0.03}, 2)],
)
def test_recorded_steps_are_the_same_steps(changes, kinds):
    recipe = replace(RECIPES["few hundred"], rate=1e-3, **changes)

    def recorded(step, objective, network):
        def record(work):
            played = Played(work, network)
            return played, played.results

        return GraphedStep(step, objective.k, list(network.parameters()), record)

    expected, errors, _ = trained(recipe, plainly)
    found, same, graphed = trained(recipe, recorded)
    assert same == errors and len(set(errors)) == len(errors)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert len(graphed.kinds) == kinds <= MOST
    assert len(SIZES) > EAGER


def test_where_nothing_can_be_recorded_the_training_goes_on_as_usual_and_says_so():
    recipe = replace(RECIPES["few hundred"], rate=1e-3)

    def refuses(step, objective, network):
        def record(work):
            work()  # it fails half-way: gradients are there already
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

        return GraphedStep(step, objective.k, list(network.parameters()), record)

    expected = trained(recipe, plainly)[1][: EAGER + 1]
    with pytest.warns(
        UserWarning, match="No CUDA graph could be recorded .CUDA error: operation not permitted"
    ) as seen:
        _, errors, graphed = trained(recipe, refuses)
    assert errors[: EAGER + 1] == expected and len(seen) == 1 and graphed.failed and not graphed.kinds


def test_cuda_graphs_give_what_single_kernels_give(cuda):
    """Where there is a GPU: to rounding, since its sums are made in no fixed order."""
    if not cuda:
        with pytest.raises((RuntimeError, AssertionError)):
            record_cuda(lambda: (torch.zeros(1), torch.zeros(1)))
        return
    recipe = replace(RECIPES["few hundred"], rate=1e-4, start_k=6)

    def recorded(step, objective, network):
        return GraphedStep(step, objective.k, list(network.parameters()))

    with torch.cuda.stream(torch.cuda.Stream()):
        _, errors, _ = trained(recipe, plainly, "cuda")
        _, found, graphed = trained(recipe, recorded, "cuda")
        torch.cuda.synchronize()
    assert len(graphed.kinds) == MOST and not graphed.failed
    np.testing.assert_allclose(found[:12], errors[:12], rtol=2e-2)
