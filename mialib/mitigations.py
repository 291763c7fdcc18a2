"""Output filters: what a service may do to its prediction vectors before it answers (Sec. VIII), and noise beyond the paper.

A filter maps vectors p, floats (n, n_classes) in [0, 1], to float32 vectors of the same shape in [0, 1]. Each row's answer
depends on that row alone, so it is the same in any batch. Bad input raises TypeError or ValueError naming the argument.
"""

import numpy as np
import scipy.special

from mialib.core import checks, randomness, streams

SMALLEST = float(np.finfo(np.float32).smallest_subnormal)  # 1.4e-45: what a float32 probability of 0 may at most have been
VECTORS_AT_ONCE = 2**13
T_RANGE = (0.01, 100.0)


def top_k(p: np.ndarray, k: int) -> np.ndarray:
    """The k highest probabilities as they are, 0 elsewhere (Sec. VIII: k = 3, 1). At most k are not 0, and the arg max stays.

    Among equal probabilities the class of the lower index is kept. Rows are not scaled to sum to one. k = n_classes changes
    nothing.
    """
    p = _vectors(p)
    n_classes = p.shape[1]
    checks.whole("k", k, 1, n_classes, f"there are {n_classes} classes")
    lowest = np.partition(p, n_classes - k, axis=1)[:, n_classes - k, None]  # the k-th highest of each row
    above, equal = p > lowest, p == lowest
    kept = above | (equal & (equal.cumsum(1) <= k - above.sum(1, keepdims=True)))
    return np.where(kept, p, np.float32(0))


def label_only(p: np.ndarray) -> np.ndarray:
    """1 for the class of the highest probability, the lowest index among equals; 0 elsewhere (Sec. VIII)."""
    p = _vectors(p)
    answer = np.zeros_like(p)
    answer[np.arange(len(p)), p.argmax(1)] = 1
    return answer


def round_to(p: np.ndarray, digits: int) -> np.ndarray:
    """Probabilities rounded to `digits` decimals, 1..15 (Sec. VIII: 3, 1); a half goes to the even digit.

    Rows are not scaled to sum to one. The highest probability stays among the highest, but others may now equal it, and a row
    of small ones may become all 0: a label read off by arg max is then the lowest index of several.
    """
    p = _vectors(p)
    checks.whole("digits", digits, 1, 15)
    return p.astype(np.float64).round(digits).astype(np.float32)


def temperature(p: np.ndarray, t: float) -> np.ndarray:
    """softmax(z / t) for the logits z that gave p = softmax(z) (Sec. VIII: t = 5, 20). Order is kept; t = 1 changes nothing.

    log p is z but for a constant, so no logits are needed. A probability of 0 counts as 1.4e-45, float32's smallest positive
    number: the true one may be lower still, so a softened answer to it is no lower than the logits would have given.
    """
    p = _vectors(p)
    checks.real("t", t, 0, open_low=True)
    if t == 1:
        return p
    return np.concatenate([scipy.special.softmax(_log(part) / t, axis=1) for part in _parts(p)]).astype(np.float32)


def fitted_temperature(p: np.ndarray, labels: np.ndarray) -> float:
    """The t in 0.01..100 at which `temperature(p, t)` has the lowest mean negative log-likelihood of the true classes.

    p (n, n_classes), labels (n,): answers on validation records, which the model was not trained on (Guo et al. 2017).
    """
    p = _vectors(p)
    labels = checks.labels("labels", labels, p.shape[1])
    if len(labels) != len(p) or not len(p):
        raise ValueError(f"labels must have one entry a row of p, at least one, got {len(labels)} for {len(p)}")
    z = _log(p)
    true_z = z[np.arange(len(p)), labels]

    def loss(log_t: float) -> float:
        z_t = z * np.exp(-log_t)
        return float((scipy.special.logsumexp(z_t, axis=1) - true_z * np.exp(-log_t)).mean())

    found = scipy.optimize.minimize_scalar(loss, bounds=np.log(T_RANGE), method="bounded", options={"xatol": 1e-5})
    return float(np.exp(found.x))


def noise(p: np.ndarray, scale: float, seed: int) -> np.ndarray:
    """p plus Gaussian noise of standard deviation `scale` on every entry, kept within [0, 1]. scale = 0 changes nothing.

    The noise is a function of the vector and of `seed`, the owner's secret: whoever asks again, alone or in a batch, gets the
    same answer, so nothing is averaged away. Equal vectors get equal noise, and answers that differ in the last bit noise of
    their own: a service would draw it from the record asked, which a filter of answers does not see.
    """
    p = _vectors(p)
    checks.real("scale", scale, 0)
    key = randomness.derive(seed, "noise on answers")
    parts = [part + scale * scipy.special.ndtri(_uniforms(part, key)) for part in _parts(p)]
    return np.concatenate(parts).clip(0, 1).astype(np.float32)


def _uniforms(p: np.ndarray, key: int) -> np.ndarray:
    """Uniform numbers within (0, 1), of the shape of p, from the bits of each row and a key: a counter-based generator."""
    columns = _step(np.arange(p.shape[1], dtype=np.uint64) + np.uint64(key))
    rows = _step(p.view(np.uint32).astype(np.uint64) + columns).sum(1, keepdims=True, dtype=np.uint64)
    return ((_step(_step(rows) ^ _step(columns)) >> np.uint64(12)) + 0.5) * 2.0**-52


def _step(x: np.ndarray) -> np.ndarray:
    """SplitMix64's step: 64-bit numbers (modulo 2^64) to numbers that look independent (Steele et al., OOPSLA 2014)."""
    return streams.mix(x + np.uint64(streams.GOLDEN))


def _log(p: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(p.astype(np.float64), SMALLEST))


def _parts(p: np.ndarray) -> list[np.ndarray]:
    """Rows in parts whose float64 copies are small."""
    return [p[start : start + VECTORS_AT_ONCE] for start in range(0, max(len(p), 1), VECTORS_AT_ONCE)]


def _vectors(p: np.ndarray) -> np.ndarray:
    """p as a new float32 array, (n, n_classes), without negative zeros; TypeError or ValueError if it is no such thing."""
    array = np.asarray(p)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.floating) or not array.shape[1]:
        raise TypeError(f"p must be floats of shape (n, n_classes), got {array.dtype} of shape {array.shape}")
    if array.size and not (array.min() >= 0 and array.max() <= 1):  # NaN is neither
        raise ValueError(f"p must lie in [0, 1], got {array.min()}..{array.max()}")
    return array.astype(np.float32) + np.float32(0)
