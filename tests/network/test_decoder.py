"""The decoder's head corrects first alphas, and leaves alone what is sure."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mematte_plugin.network import Chunking, MEMatte
from mematte_plugin.network.config import input_channels
from tests.networks import random_input, random_network
from tests.simulated_card import DEVICE, Card, moved

NETWORK = random_network(guidance="flow", abs_pos=False, padding="each")
NAMES = input_channels(NETWORK.config)


def pixels(trimap: float = 0.5, **values: float) -> Tensor:
    """Network input (1, 18, 2, 2): flows of 0.5 without confidence, but for `values`."""
    made = torch.zeros(1, len(NAMES), 2, 2)
    levels = dict.fromkeys(("mixed", "flow", "undecided", "estimate"), 0.5)
    for name, value in {"trimap": trimap, **levels, **values}.items():
        made[:, NAMES.index(name)] = value
    return made


def head(logit: float, given: Tensor) -> float:
    alpha = NETWORK.decoder.alpha(torch.full((1, 1, 2, 2), logit), given)
    assert alpha.dtype == torch.float32
    assert alpha.unique().numel() == 1
    return float(alpha[0, 0, 0, 0])


def flows(alpha: float, confidence: float = 0.0) -> Tensor:
    return pixels(mixed=alpha, flow=alpha, undecided=alpha, estimate=alpha, confidence=confidence)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("end", [0.0, 1.0])
def test_a_first_alpha_at_an_end_that_is_left_alone_stays_exactly_there(
    end: float, dtype: torch.dtype
) -> None:
    assert head(0, flows(end).to(dtype)) == end
    assert head(0, flows(end, confidence=1).to(dtype)) == end
    assert head(0, pixels(trimap=end).to(dtype)) == end  # whatever the flows say there
    # And further out it stays there.
    assert head(3 if end else -3, flows(end).to(dtype)) == end


def test_a_first_alpha_between_that_is_left_alone_stays_about_that() -> None:
    for alpha in (0.1, 0.3, 0.5, 0.8):
        assert abs(head(0, flows(alpha)) - alpha) < 0.02
    # It is the mean of those with known-to-unknown flow and without, or with confidence the former.
    between = {"mixed": 0.2, "flow": 0.6, "estimate": 0.9, "undecided": 0.9}
    for confidence, alpha in ((0.0, 0.4), (0.5, 0.5), (1.0, 0.6)):
        assert abs(head(0, pixels(**between, confidence=confidence)) - alpha) < 0.02


def test_the_network_corrects_in_both_directions() -> None:
    for alpha in (0.0, 0.3, 0.7, 1.0):
        assert head(-6, flows(alpha)) < 0.2
        assert head(6, flows(alpha)) > 0.8


def test_it_takes_much_to_contradict_flows_that_agree_with_confidence() -> None:
    def moves(**values: float) -> float:
        given = pixels(**{"mixed": 0.4, "flow": 0.4, "estimate": 0.4, **values})
        return head(1, given) - head(0, given)

    free, damped = moves(), moves(confidence=1)
    assert 0 < damped < 0.35 * free
    assert damped < moves(confidence=0.5) < free
    # The flow in discord with what the known regions say by themselves: the network decides.
    assert moves(confidence=1, estimate=0.9) > 2 * damped


def test_gradients_pull_back_from_beyond_the_ends() -> None:
    for end, truth in ((0.0, 0.3), (1.0, 0.7)):
        logits = torch.full((1, 1, 2, 2), 2 * end - 1, requires_grad=True)
        alpha = NETWORK.decoder.alpha(logits, flows(end))
        assert (alpha == end).all()
        (alpha - truth).abs().mean().backward()
        assert logits.grad is not None
        # A step against the gradient brings alpha nearer to the truth.
        assert (logits.grad.sign() == (1 if end > truth else -1)).all()


def test_alphas_while_learning_are_those_of_use() -> None:
    given = flows(0.02)
    for logit in (-5.0, -0.5, 0.0, 0.5, 5.0):
        logits = torch.full((1, 1, 2, 2), logit, requires_grad=True)
        alpha = NETWORK.decoder.alpha(logits, given).detach()
        torch.testing.assert_close(alpha, torch.full_like(alpha, head(logit, given)))


def test_a_fresh_network_gives_what_it_corrects() -> None:
    network = MEMatte(NETWORK.config).initialise().eval()
    image, trimap = random_input(64, 96)
    with torch.no_grad():
        alpha = network(image, trimap)
    known = trimap != 0.5
    assert torch.equal(alpha[known], trimap[known])


def test_the_official_decoder_takes_features_that_wait_on_the_host() -> None:
    image, trimap = random_input(64, 96)
    expected = NETWORK.predict(image, trimap, decoder="official").alpha
    network = random_network(guidance="flow", abs_pos=False, padding="each")
    with Card():
        moved(network)
        waiting = network.predict(
            image, trimap, decoder="official", chunking=Chunking(host_features=True)
        )
        alpha = waiting.alpha.cpu()
    assert network.device == DEVICE
    torch.testing.assert_close(alpha, expected, atol=1e-4, rtol=0)
