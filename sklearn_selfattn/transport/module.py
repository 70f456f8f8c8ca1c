"""The net that generalises the transport map (torch only).

Letters in shapes: m members, n rows, d columns, k classes, l latent coordinates.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.attention import MemberLinear

N_FREQUENCIES = 8
FREQUENCY_SCALE = 0.3  # of columns with variance 1
NUMBER_WIDTH = 8


class PeriodicNumbers(nn.Module):
    r"""Numbers as short vectors: :math:`\mathrm{relu}(W_j [\sin 2 \pi f x, \cos 2 \pi f x] + b_j)`.

    With frequencies f learnt for each column [1]_. A net that is given these beside the number
    itself can follow a target that rises and falls along a column.

    Shape: input ``(n, d)``, output ``(m, n, 8 d)``.

    Parameters
    ----------
    n_members : int
        Number of members, m.
    n_columns : int
        Number of columns, d.

    References
    ----------
    .. [1] Gorishniy, Rubachev, Babenko, "On Embeddings for Numerical Features in Tabular Deep
       Learning", NeurIPS 2022, arXiv:2203.05556.
    """

    def __init__(self, n_members: int, n_columns: int) -> None:
        super().__init__()
        shape = (n_members, n_columns, 1, N_FREQUENCIES)
        self.frequency = nn.Parameter(FREQUENCY_SCALE * torch.randn(shape))
        n_waves = 2 * N_FREQUENCIES
        bound = 1 / math.sqrt(n_waves)
        weight = torch.empty(n_members, n_columns, n_waves, NUMBER_WIDTH)
        self.weight = nn.Parameter(weight.uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(n_members, n_columns, 1, NUMBER_WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        angle = 2 * math.pi * self.frequency * x.T[..., None]  # (m, d, n, 8)
        waves = torch.cat([angle.sin(), angle.cos()], dim=-1)  # (m, d, n, 16)
        out = F.relu(waves @ self.weight + self.bias)  # (m, d, n, 8)
        return out.transpose(1, 2).flatten(2)


class TransportNet(nn.Module):
    r"""Members that map rows onto dummy Gaussians, and read classes off where they land.

    A row lands at :math:`z = f(x)`. Its logit for class c is
    :math:`-\frac{1}{2} e^t \lVert u - \mu_c \rVert^2`, with u the coordinates of z that tell
    classes apart and t learnt.

    Shape: input ``(n, d)``, output ``(m, n, l)``.

    Parameters
    ----------
    n_members : int
        Number of independent nets, m.
    n_columns : int
        Columns of the features, d.
    n_periodic : int
        So many first columns get periodic vectors beside their number.
    hidden_layer_sizes : tuple of int
        Widths of the hidden layers.
    means : Tensor of shape (k, l)
        Means of the dummy Gaussians.
    n_class_dims : int
        Coordinates that tell classes apart.
    dropout : float
        Share of hidden units set to zero in training.

    Examples
    --------
    >>> import torch
    >>> from sklearn_selfattn.transport.module import TransportNet
    >>> net = TransportNet(2, 5, 0, (16,), torch.eye(3), n_class_dims=3, dropout=0.0)
    >>> z = net(torch.zeros(10, 5))
    >>> z.shape, net.logits(z).shape
    (torch.Size([2, 10, 3]), torch.Size([2, 10, 3]))
    """

    means: Tensor

    def __init__(
        self,
        n_members: int,
        n_columns: int,
        n_periodic: int,
        hidden_layer_sizes: tuple[int, ...],
        means: Tensor,
        n_class_dims: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_members, self.n_periodic = n_members, n_periodic
        self.n_class_dims, self.dropout = n_class_dims, dropout
        self.register_buffer("means", means)
        self.periodic = PeriodicNumbers(n_members, n_periodic) if n_periodic else None
        widths = [n_columns + NUMBER_WIDTH * n_periodic, *hidden_layer_sizes]
        self.hidden = nn.ModuleList(
            MemberLinear(n_members, d_in, d_out, scale=math.sqrt(2.0))
            for d_in, d_out in zip(widths[:-1], widths[1:], strict=True)
        )
        self.out = MemberLinear(n_members, widths[-1], means.shape[1])
        self.log_gain = nn.Parameter(torch.zeros(n_members))
        self.no_weight_decay = {"periodic.frequency"}  # decay would pull waves to a constant

    def forward(self, X: Tensor) -> Tensor:
        x = X.expand(self.n_members, *X.shape)  # (m, n, d)
        if self.periodic is not None:
            x = torch.cat([x, self.periodic(X[:, : self.n_periodic])], dim=2)
        for layer in self.hidden:
            x = F.dropout(F.gelu(layer(x)), self.dropout, self.training)
        return self.out(x)  # type: ignore[no-any-return]

    def squared_distances(self, z: Tensor) -> Tensor:
        """Squared distances to the class means, ``(m, n, l) -> (m, n, k)``."""
        u, means = z[..., : self.n_class_dims], self.means[:, : self.n_class_dims]
        squares = (u**2).sum(dim=-1, keepdim=True) + (means**2).sum(dim=-1) - 2 * u @ means.T
        return squares.clamp(min=0.0)

    def logits(self, z: Tensor) -> Tensor:
        """Logits of the classes, ``(m, n, l) -> (m, n, k)``."""
        return -0.5 * self.log_gain.exp()[:, None, None] * self.squared_distances(z)

    def log_share(self, X: Tensor, temperature: float, decode: str) -> Tensor:
        """Logarithm of the mean class probability over the members, ``(n, d) -> (n, k)``."""
        z = self(X)  # (m, n, l)
        if decode == "thesis":
            logits = -self.squared_distances(z).sqrt()
        else:
            logits = self.logits(z) / temperature
        return logits.log_softmax(dim=-1).logsumexp(dim=0) - math.log(self.n_members)

    def landing(self, X: Tensor) -> Tensor:
        """Mean latent point over the members, ``(n, d) -> (n, l)``."""
        return self(X).mean(dim=0)  # type: ignore[no-any-return]
