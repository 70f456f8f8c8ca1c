"""LAMB inside Lookahead, the optimiser of the paper (torch only)."""

import torch


class Lamb(torch.optim.Optimizer):
    r"""LAMB [1]_ without bias correction, inside Lookahead [2]_, as NPT was trained.

    .. math:: u = \frac{m_t}{\sqrt{v_t} + \epsilon} + \lambda w, \qquad
       w \leftarrow w - \eta \, \frac{\min(\lVert w \rVert, 10)}{\lVert u \rVert} \, u

    with a trust ratio of 1 where either norm is 0. Every sixth step the slow weights move
    half-way to the fast ones, which start again from there. An ensemble's parameters hold the
    members along their first axis; each member has norms of its own.

    Parameters
    ----------
    params : iterable
        Parameters or parameter groups.
    lr : float, default=1e-3
        Learning rate.
    betas : tuple of two float, default=(0.9, 0.999)
        Decay of the first and second moments.
    eps : float, default=1e-6
        Added to the root of the second moment.
    weight_decay : float, default=0.0
        Decay, added to the update.
    slow_step : float, default=0.5
        How far the slow weights move; Lookahead's alpha.
    period : int, default=6
        Steps between moves of the slow weights.

    References
    ----------
    .. [1] You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76
       minutes", ICLR 2020, arXiv:1904.00962.
    .. [2] Zhang et al., "Lookahead Optimizer: k steps forward, 1 step back", NeurIPS 2019,
       arXiv:1907.08610.
    """

    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.0, slow_step=0.5,
        period=6,
    ):  # fmt: skip
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                    "slow_step": slow_step, "period": period}  # fmt: skip
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        """Take one step; `closure` re-evaluates the loss, with gradients, and returns it."""
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step_one(parameter, group)
        return value

    def _step_one(self, parameter, group):
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["first"] = torch.zeros_like(parameter)
            state["second"] = torch.zeros_like(parameter)
            state["slow"] = parameter.clone()
        state["step"] += 1
        decay_first, decay_second = group["betas"]
        state["first"].lerp_(parameter.grad, 1 - decay_first)
        state["second"].lerp_(parameter.grad.square(), 1 - decay_second)
        update = state["first"] / (state["second"].sqrt() + group["eps"])
        update += group["weight_decay"] * parameter
        axes = tuple(range(1, parameter.ndim))
        weight_norm = torch.linalg.vector_norm(parameter, dim=axes, keepdim=True).clamp(max=10.0)
        update_norm = torch.linalg.vector_norm(update, dim=axes, keepdim=True)
        there = (weight_norm > 0) & (update_norm > 0)
        trust = torch.where(there, weight_norm / update_norm, 1.0)
        parameter.sub_(group["lr"] * trust * update)
        if state["step"] % group["period"] == 0:
            state["slow"].lerp_(parameter, group["slow_step"])
            parameter.copy_(state["slow"])
