"""Time maps with learnt frequencies (torch only).

Letters in shapes: b batch, l events, q looking tokens, f waves. Times are float64, and phases are
computed in float64 whatever the weights are.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NOISE = 0.2  # of the steps between quantiles that frequencies are drawn at


class Waves(nn.Module):
    r"""Sines and cosines that share frequency and weight.

    .. math:: \Phi(t) = \sqrt{w} [\cos \omega t, \sin \omega t]

    Inner products depend on differences of times alone, :math:`\sum_f w_f \cos \omega_f (t - t')`,
    before and after training; and features of a difference follow from those of the two times by a
    rotation (`turn`), so that all pairs of l times cost l sines.

    Shape: input ``(...)``, output ``(..., 2 f)``.

    Parameters
    ----------
    periods : Tensor of shape (f,) or (n_periods,)
        Where to begin.
    family : {"bochner", "bochner_normal", "bochner_icdf", "mercer"}, default="bochner"
        "bochner": frequencies are free. "bochner_normal": each is drawn from a normal with learnt
        mean and spread; its mean when predicting. "bochner_icdf": drawn near even steps of a
        learnt quantile function; its values at the steps when predicting. "mercer": harmonics
        of each period, each with a learnt weight.
    degree : int, default=3
        Number of harmonics, for "mercer".
    learn : bool, default=True
        Whether frequencies and weights are trained.

    Examples
    --------
    >>> import torch
    >>> from sklearn_selfattn.time_events.waves import Waves
    >>> waves = Waves(torch.tensor([24.0, 7.0]))
    >>> times = torch.tensor([0.0, 24.0], dtype=torch.float64)
    >>> waves(times).shape
    torch.Size([2, 4])
    """

    def __init__(
        self, periods: Tensor, family: str = "bochner", degree: int = 3, learn: bool = True
    ) -> None:
        super().__init__()
        self.family, self.degree = family, degree
        log_frequency = (2 * math.pi / periods).log()
        n_waves = len(periods) * (degree if family == "mercer" else 1)
        if family == "bochner_icdf":
            rising = log_frequency.sort().values
            steps = rising.diff().clamp(min=1e-3)
            self.lowest = nn.Parameter(rising[:1].clone())
            self.raw_step = nn.Parameter((steps.expm1()).log())  # softplus gives the step back
        else:
            self.log_frequency = nn.Parameter(log_frequency.clone())
        if family == "bochner_normal":
            self.log_spread = nn.Parameter(torch.full_like(log_frequency, math.log(0.02)))
        if family == "mercer":
            self.raw_weight = nn.Parameter(torch.full((n_waves,), math.log(math.e - 1)))
        if family in ("bochner_normal", "bochner_icdf"):
            self.p = 1.0  # tells the training loop that random numbers are drawn here
        self.n_waves = n_waves
        self.requires_grad_(learn)

    def frequencies(self) -> Tensor:
        """Angular frequencies, (f,); drawn anew at each call in training where they are random."""
        if self.family == "bochner_icdf":
            knots = torch.cat([self.lowest, self.lowest + F.softplus(self.raw_step).cumsum(0)])
            n = len(knots)
            step = torch.arange(n, device=knots.device, dtype=knots.dtype)
            # near the even steps: draws over whole steps are noise that learning drowns in
            shift = 0.5 + NOISE * (torch.rand_like(knots) - 0.5) if self.training else 0.5
            place = ((step + shift) / n * (n - 1)).clamp(max=max(n - 1 - 1e-6, 0.0))
            below = place.long()
            above = (below + 1).clamp(max=n - 1)
            return (knots[below] + (place - below) * (knots[above] - knots[below])).exp()
        frequency = self.log_frequency.exp()
        if self.family == "bochner_normal" and self.training:
            noise = torch.randn_like(frequency)
            return frequency * (1 + self.log_spread.exp() * noise)
        if self.family == "mercer":
            harmonics = torch.arange(1, self.degree + 1, device=frequency.device)
            return (frequency[:, None] * harmonics).flatten()
        return frequency

    def weights(self) -> Tensor:
        """Weights of the waves in the kernel, (f,); they sum to 1."""
        if self.family == "mercer":
            weight = F.softplus(self.raw_weight)
            return weight / weight.sum()
        parameter = next(self.parameters())
        return parameter.new_full((self.n_waves,), 1 / self.n_waves)

    def forward(self, times: Tensor) -> Tensor:
        return self.scale(self.unit(times, self.frequencies()))

    def unit(self, times: Tensor, frequencies: Tensor) -> Tensor:
        """Cosines, then sines, without weights: (...) -> (..., 2 f)."""
        angle = times.unsqueeze(-1) * frequencies.to(times.dtype)
        return torch.cat([angle.cos(), angle.sin()], dim=-1).to(frequencies.dtype)

    def scale(self, waves: Tensor) -> Tensor:
        """Weigh unit waves, so that their squares sum to f."""
        if self.family != "mercer":
            return waves
        root = (self.weights() * self.n_waves).sqrt()
        return waves * torch.cat([root, root])


def turn(waves: Tensor, toward: Tensor) -> Tensor:
    r"""Rotate waves so that they tell how long before a moment something was.

    With :math:`[c, s]` of a time t and :math:`[c_q, s_q]` of a moment q, the result
    :math:`[c c_q + s s_q, c s_q - s c_q]` is :math:`[\cos \omega (q - t), \sin \omega (q - t)]`.
    The map is its own transpose, so it turns weights of waves as well as waves.

    Parameters
    ----------
    waves : Tensor of shape (..., 2 f)
        Cosines and sines, or weights of them.
    toward : Tensor of shape (..., 2 f)
        Unit waves of the moment.
    """
    c, s = waves.chunk(2, dim=-1)
    cq, sq = toward.chunk(2, dim=-1)
    return torch.cat([c * cq + s * sq, c * sq - s * cq], dim=-1)


class Time2Vec(nn.Module):
    r"""A line and sines with phases of their own: :math:`[w_0 t + \varphi_0, \sin(w t + \varphi)]`.

    Shape: input ``(...)``, output ``(..., f + 1)``.

    Parameters
    ----------
    periods : Tensor of shape (f,)
        Where to begin.
    """

    def __init__(self, periods: Tensor) -> None:
        super().__init__()
        frequency = torch.cat([1 / periods.max().reshape(1), 2 * math.pi / periods])
        self.log_frequency = nn.Parameter(frequency.log())
        self.phase = nn.Parameter(2 * math.pi * torch.rand(len(frequency), dtype=periods.dtype))
        self.n_features = len(frequency)

    def forward(self, times: Tensor) -> Tensor:
        angle = times.unsqueeze(-1) * self.log_frequency.exp().to(times.dtype) + self.phase
        return torch.cat([angle[..., :1], angle[..., 1:].sin()], dim=-1).to(self.phase.dtype)


class SummedMercer(nn.Module):
    r"""The published code's form of the Mercer map: one number for each period.

    :math:`\sum_j W_{kj} \sin(j t / P_k) + V_{kj} \cos(j t / P_k) + b_k`, without :math:`2 \pi`. Its
    inner products are not functions of differences; here for comparison.

    Shape: input ``(...)``, output ``(..., n_periods)``.

    Parameters
    ----------
    periods : Tensor of shape (n_periods,)
        Where to begin.
    degree : int
        Number of harmonics.
    """

    def __init__(self, periods: Tensor, degree: int) -> None:
        super().__init__()
        self.log_period = nn.Parameter((periods / (2 * math.pi)).log())
        bound = math.sqrt(6 / (len(periods) + 2 * degree))
        shape = (len(periods), 2 * degree)
        self.weight = nn.Parameter(torch.empty(shape, dtype=periods.dtype).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(len(periods), dtype=periods.dtype))
        self.degree, self.n_features = degree, len(periods)

    def forward(self, times: Tensor) -> Tensor:
        harmonics = torch.arange(1, self.degree + 1, device=times.device, dtype=times.dtype)
        base = times.unsqueeze(-1) / self.log_period.exp().to(times.dtype)  # (..., k)
        angle = base.unsqueeze(-1) * harmonics  # (..., k, j)
        waves = torch.cat([angle.sin(), angle.cos()], dim=-1).to(self.weight.dtype)
        return (waves * self.weight).sum(dim=-1) + self.bias
