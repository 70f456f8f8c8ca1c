"""What pairs without labels teach: masked words, matching, masked visual tokens (torch only)."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .module import MASK, N_SPECIAL, PAD, Pairs, VisualParsingNet


def mask_words(
    words: Tensor, ratio: float, n_words: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Hide words as BERT does: of the chosen, 8 of 10 masked, 1 another word, 1 left.

    Returns
    -------
    hidden : Tensor of int of shape (n, l)
        Codes with some hidden.
    chosen : Tensor of bool of shape (n, l)
        Which are to be told.
    """
    is_word = words != PAD
    draw = torch.rand(words.shape, generator=generator).to(words.device)
    chosen = is_word & (draw < ratio)
    # a sentence has one word to be told at least: that of its smallest draw
    smallest = draw.masked_fill(~is_word, 2.0).argmin(1, keepdim=True)
    chosen |= is_word & torch.zeros_like(is_word).scatter(1, smallest, True)
    how = torch.rand(words.shape, generator=generator).to(words.device)
    other = torch.randint(
        min(N_SPECIAL, n_words - 1), n_words, words.shape, generator=generator
    ).to(words.device)
    hidden = torch.where(how < 0.8, MASK, torch.where(how < 0.9, other, words))
    return torch.where(chosen, hidden, words), chosen


def mask_tokens(affinity: Tensor | None, shape: torch.Size, ratio: float, generator: Any) -> Tensor:
    """Choose visual tokens to hide: those that a pivot is most like, so that none gives it away.

    Parameters
    ----------
    affinity : Tensor of shape (n, m, m) or None
        How tokens belong together; None chooses at random.
    shape : (n, m)
        Of the answer.
    ratio : float
        Share of the tokens that is hidden; at least one is.
    generator : torch.Generator
        Draws the pivots.

    Returns
    -------
    Tensor of bool of shape (n, m)
        What is hidden.
    """
    n, m = shape
    n_hidden = max(1, round(ratio * m))
    if affinity is None:
        score = torch.rand(n, m, generator=generator)
    else:
        pivot = torch.randint(m, (n,), generator=generator).to(affinity.device)
        score = affinity[torch.arange(n, device=affinity.device), pivot]
        score = score.scatter(1, pivot[:, None], torch.inf)
    best = score.topk(n_hidden, dim=1).indices
    return torch.zeros(n, m, dtype=torch.bool, device=score.device).scatter(1, best, True)


def swap_pictures(pairs: Pairs, generator: torch.Generator) -> tuple[Pairs, Tensor]:
    """Give half of the sentences the picture of another pair; tell which kept their own.

    A pair whose picture or sentence is the same is no wrong answer: such a swap is undone.
    """
    kept = pairs.image
    assert kept is not None  # pairs without numbers of pictures are for exported nets
    n = len(kept)
    other = torch.arange(n).roll(int(torch.randint(1, max(n, 2), (), generator=generator)))
    other = other.to(kept.device)
    is_swapped = (torch.rand(n, generator=generator) < 0.5).to(kept.device)
    is_swapped &= kept[other] != kept
    is_swapped &= (pairs.words[other] != pairs.words).any(1)
    image = torch.where(is_swapped, kept[other], kept)
    return pairs._replace(image=image), (~is_swapped).to(pairs.pixels.dtype)


def pretraining_loss(
    weights: dict[str, float], ratio: float, is_guided: bool, generator: torch.Generator
) -> Callable[[VisualParsingNet, Any], Tensor]:
    r"""Return the loss of a step of pretraining.

    .. math:: L_{MFR} = \frac{1}{|M|} \sum_{i \in M} \| g(h_i) - \mathrm{sg}(\hat v_i) \|^2

    The targets are normalised and let no gradient through (sg): otherwise all visual tokens would
    become the same.

    Parameters
    ----------
    weights : dict
        Of "mlm", "itm", "mfr".
    ratio : float
        Share of words and of visual tokens that are hidden.
    is_guided : bool
        Whether visual tokens are hidden together with what they belong to.
    generator : torch.Generator
        Draws what is hidden and swapped.

    Returns
    -------
    callable
        ``loss(module, (pairs, ...))``.
    """

    def loss(net: VisualParsingNet, batch: Any) -> Tensor:
        pairs = batch[0]
        seen, before = net.image_tokens(pairs.pixels)  # (u, m, d)
        tokens = seen[pairs.image]
        total = tokens.new_zeros(())
        if weights["itm"]:
            swapped, is_match = swap_pictures(pairs, generator)
            first = net.fuse(*net.embed(seen[swapped.image], pairs.words))[:, 0]
            found = F.binary_cross_entropy_with_logits(net.match(first)[:, 0], is_match)
            total = total + weights["itm"] * found
        if not (weights["mlm"] or weights["mfr"]):
            return total
        words, chosen, is_hidden = pairs.words, None, None
        if weights["mlm"]:
            words, chosen = mask_words(words, ratio, net.word.num_embeddings, generator)
        if weights["mfr"]:
            affinity = None
            if is_guided:
                with torch.no_grad():
                    affinity = net.image_tokens.affinity(seen, before)[pairs.image]
            is_hidden = mask_tokens(affinity, tokens.shape[:2], ratio, generator)
            is_hidden = is_hidden.to(tokens.device)
        fused = net.fuse(*net.embed(tokens, words, is_hidden))
        if chosen is not None:
            said = net.restore_word(fused[:, 2 + net.n_visual :][chosen]) @ net.word.weight.mT
            total = total + weights["mlm"] * F.cross_entropy(said, pairs.words[chosen])
        if is_hidden is not None:
            restored = net.restore_image(fused[:, 1 : 1 + net.n_visual][is_hidden])
            target = tokens[is_hidden].detach()  # normalised by the net
            total = total + weights["mfr"] * (restored - target).square().mean()
        return total

    return loss
