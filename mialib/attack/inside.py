"""What an open network shows of a record and a black box does not: the loss's gradient, and what its hidden units say.

Shokri et al. (IEEE S&P 2017, Sec. I) call the white-box setting the simpler one. Its attackers use the loss and its gradient
(Nasr, Shokri, Houmansadr, IEEE S&P 2019) or the influence of hidden units (Leino and Fredrikson, USENIX Security 2020).
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from mialib.core import checks
from mialib.core.types import BlackBox
from mialib.training.black_boxes import module_of

REGIONS = 2  # along each side of a map: what a channel says is averaged within each of 2 x 2 regions
NUMBERS_IN_WORK = 2**24  # float32 numbers of a part of the records in memory, roughly; the same on every device
NOTHING = 1e-30  # a gradient that vanished, beside a loss that is told apart from 0 at any size
MOST = torch.finfo(torch.float16).max  # of what a unit says
ROUTES = ("auto", "products", "each")


class Inside(NamedTuple):
    """What n records look like in an open network of n_classes.

    log_p: float32 (n, n_classes), the log of the prediction vector. log_odds: float32 (n,), of the true class. log_norms:
    float32 (n, t), for each parameter tensor the log of the L2 norm of the loss's gradient (`parameter_names`). layers: for
    each hidden layer what its units say, float16 (n, units, regions), at most its largest number; influences: times what each
    weighs in the true class's logit over the mean of all.
    """

    log_p: np.ndarray
    log_odds: np.ndarray
    log_norms: np.ndarray
    layers: list[np.ndarray]
    influences: list[np.ndarray]

    @property
    def log_norm(self) -> np.ndarray:
        """Of the gradient in all parameters together, float32 (n,)."""
        return (np.logaddexp.reduce(2 * self.log_norms.astype(float), axis=1) / 2).astype(np.float32)

    @property
    def loss(self) -> np.ndarray:
        """Minus the log of the true class's probability, float32 (n,): no two losses are equal for being small."""
        return np.logaddexp(0, -self.log_odds.astype(float)).astype(np.float32)


class _Call(NamedTuple):
    """A layer at work: what went in, what came out."""

    layer: nn.Module
    given: Tensor
    out: Tensor


def parameter_names(model: BlackBox) -> list[str]:
    """Names of the parameter tensors of an open model, in the order of `Inside.log_norms`; TypeError for a closed one."""
    return [name for name, _ in module_of(model).named_parameters()]


def look_inside(model: BlackBox, x: np.ndarray, y: np.ndarray, *, route: str = "auto", hidden: bool = True) -> Inside:
    """What records x (n, ...) of classes y (n,) look like in an open model: gradients are exact, record by record.

    route: "products", gradients of linear layers and convolutions as products of what goes in with what comes back (Goodfellow
    2015), in chains of layers (`nn.Sequential`) alone; "each", by vmap, of any module; "auto", the former where it can be had.
    hidden: whether to look at hidden layers, too. TypeError for a model without gradients; ValueError for records, labels or a
    route that do not fit.
    """
    module = module_of(model)
    checks.choice("route", route, ROUTES)
    checks.flag("hidden", hidden)
    plan = _plan(module, x)
    x, y = _checked(plan.n_classes, x, y)
    if route == "products" and not plan.products:
        raise ValueError("route must be each or auto for what is no chain of linear layers and convolutions, got products")
    by_products = plan.products and route != "each"
    step = max(1, NUMBERS_IN_WORK // plan.numbers(by_products))
    device = next(module.parameters()).device
    parts = []
    with _full_precision(device):
        for start in range(0, len(x), step):
            records = torch.as_tensor(np.ascontiguousarray(x[start : start + step])).to(device).float()
            parts.append(_part(module, records, torch.as_tensor(y[start : start + step]).to(device), by_products, hidden))
    joined = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    n_layers = (len(joined) - 3) // 2
    return Inside(joined[0], joined[1], joined[2], joined[3 : 3 + n_layers], joined[3 + n_layers :])


def record_gradients(model: BlackBox, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """The gradient of each record's loss in each parameter tensor, float32 (n, *shape), all at once in memory."""
    module = module_of(model)
    x, y = _checked(_plan(module, x).n_classes, x, y)
    device = next(module.parameters()).device
    records, labels = torch.as_tensor(np.ascontiguousarray(x)).to(device).float(), torch.as_tensor(y).to(device)
    with _full_precision(device):
        with torch.no_grad():
            log_wrong, unit = _at_logits(module(records).double(), labels)[1:]
        at_logits = (log_wrong.exp()[:, None] * unit).float()
        return {name: part.cpu().numpy() for name, part in _each_gradient(module, records, at_logits).items()}


# How a network is looked into


def _full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Convolutions of a GPU in float32: in TF32, torch's default, norms are off by up to a hundredth."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False) if device.type == "cuda" else nullcontext()


class _Plan(NamedTuple):
    """Of one record: outputs of the network, whether gradients are products, and how many numbers each way takes."""

    n_classes: int
    products: bool
    in_layers: int
    unfolded: int
    in_parameters: int

    def numbers(self, by_products: bool) -> int:
        return self.in_layers + (self.unfolded if by_products else self.in_parameters)


def _plan(module: nn.Module, x: np.ndarray) -> _Plan:
    if not checks.is_array(x) or x.ndim < 2 or not len(x):
        raise TypeError(f"x must be records of shape (n, ...), at least one, got {checks.kind(x)}")
    device = next((p.device for p in module.parameters()), None)
    if device is None:
        raise ValueError("model must have parameters, so that its loss has a gradient, got a module without any")
    record = torch.as_tensor(np.ascontiguousarray(x[:1])).to(device).float()
    logits, calls = _watched(module, record)
    if logits.ndim != 2:
        raise ValueError(f"model must answer logits of shape (n, n_classes), got {tuple(logits.shape)}")
    passed, unfolded = sum(call.out.numel() for call in calls), sum(map(_unfolded, calls))
    in_parameters = sum(p.numel() for p in module.parameters())
    return _Plan(logits.shape[1], _is_chain(module, calls), 4 * passed, 2 * unfolded, 2 * in_parameters)


def _unfolded(call: _Call) -> int:
    """Numbers of the patches that a convolution sees in one record; 0 for other layers."""
    if not isinstance(call.layer, nn.Conv2d):
        return 0
    return call.layer.weight[0].numel() * call.out[0, 0].numel()


def _is_chain(module: nn.Module, calls: Sequence[_Call]) -> bool:
    """Whether each parameter is the weight or bias of one linear layer or convolution, which is used once, on one vector or
    picture a record.
    """
    inner = [part for part in module.modules() if list(part.children())]
    if any(type(part) is not nn.Sequential for part in inner):
        return False
    layers = [call for call in calls if list(call.layer.parameters(recurse=False))]
    owned = [id(parameter) for call in layers for parameter in call.layer.parameters(recurse=False)]
    once = len(set(owned)) == len(owned) == len(list(module.parameters()))  # also where two layers share a weight
    return once and all(map(_is_product, layers))


def _is_product(call: _Call) -> bool:
    layer = call.layer
    if type(layer) is nn.Linear:
        return call.given.ndim == 2
    plain = type(layer) is nn.Conv2d and layer.groups == 1 and layer.padding_mode == "zeros"
    return plain and not isinstance(layer.padding, str) and call.given.ndim == 4


def _watched(module: nn.Module, records: Tensor) -> tuple[Tensor, list[_Call]]:
    """The logits, and every layer at work, in order. What a layer gave is copied, lest the next one overwrites it."""
    calls: list[_Call] = []

    def note(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> Tensor:
        calls.append(_Call(layer, given[0], out))
        return out.clone()

    leaves = [layer for layer in module.modules() if not list(layer.children())]
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    try:
        with torch.enable_grad():
            logits = module(records.requires_grad_())
    finally:
        for hook in hooks:
            hook.remove()
    return logits, calls


def _part(module: nn.Module, records: Tensor, y: Tensor, by_products: bool, with_hidden: bool) -> list[np.ndarray]:
    """log_p, log_odds, log_norms, layers and influences of some records."""
    logits, calls = _watched(module, records)
    log_p, log_wrong, unit = _at_logits(logits.detach().double(), y)
    log_odds = log_p.gather(1, y[:, None])[:, 0] - log_wrong
    unit = unit.float()
    hidden = _hidden(calls) if with_hidden else []
    margin = (logits.gather(1, y[:, None])[:, 0] - logits.mean(1)).sum()
    weights = torch.autograd.grad(margin, hidden, retain_graph=by_products, materialize_grads=True) if hidden else ()
    squares = _squares(module, calls, logits, unit) if by_products else _squares_of_each(module, records, unit)
    log_norms = log_wrong[:, None] + squares.double().sqrt().clamp(min=NOTHING).log()
    layers = [_in_regions(h.detach()) for h in hidden]
    influences = [_in_regions(h.detach() * w) for h, w in zip(hidden, weights, strict=True)]
    shown = [part.clamp(-MOST, MOST).half() for part in (*layers, *influences)]
    found = [log_p.float(), log_odds.float(), log_norms.float(), *shown]
    return [each.cpu().numpy() for each in found]


def _at_logits(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities (n, c), log of 1 - p_y (n,), and the loss's gradient at the logits (n, c) over 1 - p_y: the other
    classes' shares of what is not p_y, and -1. All float64; nothing underflows, however sure the model is.
    """
    log_p, own = logits.log_softmax(1), F.one_hot(y, logits.shape[1]).bool()
    others = log_p.masked_fill(own, -torch.inf)
    return log_p, others.logsumexp(1), others.softmax(1).masked_fill(own, -1.0)


def _hidden(calls: Sequence[_Call]) -> list[Tensor]:
    """What each linear layer or convolution but the first takes in: the layer before it, as maps where it was flattened."""
    found = []
    for place, call in enumerate(calls):
        if isinstance(call.layer, nn.Linear | nn.Conv2d):
            before = calls[place - 1] if place else call
            found.append(before.given if isinstance(before.layer, nn.Flatten) else call.given)
    return found[1:]


def _in_regions(values: Tensor) -> Tensor:
    """(n, units) or maps (n, channels, h, w) as (n, units, regions)."""
    if values.ndim == 4:
        return F.adaptive_avg_pool2d(values, REGIONS).flatten(2)
    return values.flatten(1)[:, :, None]


def _squares(module: nn.Module, calls: Sequence[_Call], logits: Tensor, unit: Tensor) -> Tensor:
    """Squared norms (n, t) of the gradients of (logits * unit).sum() in a chain, from what goes in and what comes back."""
    layers = [call for call in calls if list(call.layer.parameters(recurse=False))]
    back = torch.autograd.grad(logits, [call.out for call in layers], unit.to(logits.dtype))
    of_tensor: dict[int, Tensor] = {}
    for (layer, given, _), g in zip(layers, back, strict=True):
        given = given.detach()
        if isinstance(layer, nn.Conv2d):
            padding = cast(tuple[int, int], layer.padding)
            columns = F.unfold(given, layer.kernel_size, layer.dilation, padding, layer.stride)
            of_weight = torch.bmm(g.flatten(2), columns.transpose(1, 2)).square().sum((1, 2))
            of_bias = g.flatten(2).sum(2).square().sum(1)
        else:
            of_bias = g.square().sum(1)
            of_weight = given.square().sum(1) * of_bias
        of_tensor |= {id(layer.weight): of_weight, id(layer.bias): of_bias}
    return torch.stack([of_tensor[id(p)] for p in module.parameters()], 1)


def _squares_of_each(module: nn.Module, records: Tensor, unit: Tensor) -> Tensor:
    return torch.stack([part.flatten(1).square().sum(1) for part in _each_gradient(module, records, unit).values()], 1)


def _each_gradient(module: nn.Module, records: Tensor, at_logits: Tensor) -> dict[str, Tensor]:
    """The gradient of each record's (logits * at_logits).sum() in each parameter tensor, (n, *shape)."""
    parameters = {name: p.detach() for name, p in module.named_parameters()}

    def weighed(parameters: dict[str, Tensor], record: Tensor, weights: Tensor) -> Tensor:
        return (functional_call(module, parameters, (record[None],))[0] * weights).sum()

    return vmap(grad(weighed), (None, 0, 0))(parameters, records.detach(), at_logits)


def _checked(n_classes: int, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise ValueError(f"x must be finite, got {np.count_nonzero(~np.isfinite(x))} values that are NaN or infinite")
    y = checks.labels("y", y, n_classes)
    if len(y) != len(x):
        raise ValueError(f"y must have one label a record, {len(x)}, got {len(y)}")
    return x, y
