"""What the ONNX runtime has no float64 kernel for, put into what it has one for (torch only)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# Wichura's rational approximations of the normal quantile (algorithm AS241, 1988): numerator and
# denominator near the middle and beside it, highest power first.
_MIDDLE = (
    (
        2509.0809287301227,
        33430.57558358813,
        67265.7709270087,
        45921.95393154987,
        13731.69376550946,
        1971.5909503065513,
        133.14166789178438,
        3.3871328727963665,
    ),
    (
        5226.495278852854,
        28729.085735721943,
        39307.89580009271,
        21213.794301586597,
        5394.196021424751,
        687.1870074920579,
        42.31333070160091,
        1.0,
    ),
)
_SIDE = (
    (
        0.0007745450142783414,
        0.022723844989269184,
        0.2417807251774506,
        1.2704582524523684,
        3.6478483247632045,
        5.769497221460691,
        4.630337846156546,
        1.4234371107496835,
    ),
    (
        1.0507500716444169e-09,
        0.0005475938084995345,
        0.015198666563616457,
        0.14810397642748008,
        0.6897673349851,
        1.6763848301838038,
        2.053191626637759,
        1.0,
    ),
)


def decompositions() -> dict[Any, Callable[..., Any]]:
    """Return operators and what to write in their place in a graph, before it becomes ONNX."""
    aten = torch.ops.aten
    return {
        aten.conv2d.default: _convolution,
        aten.elu.default: _elu,
        aten.erf.default: _erf,
        aten.erfinv.default: _erfinv,
        aten.gelu.default: _gelu,
        aten.hypot.default: _hypot,
        aten.searchsorted.Tensor: _searchsorted,
        aten.softplus.default: _softplus,
    }


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any) -> Any:
    if x.dtype != torch.float64:
        return NotImplemented
    bias = None if bias is None else bias.float()
    return torch.conv2d(x.float(), weight.float(), bias, *args).double()


def _elu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, x.clamp(max=0.0).exp() - 1)


def _erf(x: Tensor) -> Any:
    if x.dtype != torch.float64:
        return NotImplemented
    return torch.erf(x.float()).double()


def _erfinv(x: Tensor) -> Tensor:
    """Inverse of the error function up to abs(x) = 1 - 1e-10, to 1e-15 in float64."""
    half = 0.5 * x
    near = (0.180625 - half * half).clamp(min=0.0)
    middle = half * _power_series(near, _MIDDLE[0]) / _power_series(near, _MIDDLE[1])
    far = (-((0.5 - half.abs()).log())).sqrt() - 1.6
    side = _power_series(far, _SIDE[0]) / _power_series(far, _SIDE[1])
    found = torch.where(half.abs() <= 0.425, middle, half.sign() * side)
    return found * math.sqrt(0.5)


def _power_series(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    total = torch.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


def _gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    return 0.5 * x * (1 + torch.erf(x * math.sqrt(0.5)))


def _hypot(x: Tensor, y: Tensor) -> Tensor:
    """Without squares that overflow."""
    larger, smaller = torch.maximum(x.abs(), y.abs()), torch.minimum(x.abs(), y.abs())
    ratio = smaller / larger.clamp(min=torch.finfo(x.dtype).tiny)
    return larger * (1 + ratio * ratio).sqrt()


def _searchsorted(rows: Tensor, x: Tensor, *, right: bool = False) -> Tensor:
    """Count, for each of ``x`` (..., n), the numbers before it in ``rows`` (..., c)."""
    rows, x = rows.unsqueeze(-2), x.unsqueeze(-1)
    return (rows <= x if right else rows < x).sum(dim=-1)


def _softplus(x: Tensor) -> Tensor:
    return x.clamp(min=0.0) + ((-x.abs()).exp() + 1).log()
