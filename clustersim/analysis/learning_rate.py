"""What a changed global batch asks of the learning rate: two rules, neither of which is a law."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

LEARNING_RATE_NOTE = (
    "linear rule, with warm-up: for SGD (Goyal et al., arXiv:1706.02677, 2017). Square-root rule: it keeps the "
    "variance of an update (Krizhevsky, arXiv:1404.5997, 2014; Hoffer et al., NeurIPS 2017), and for Adam it follows "
    "from a stochastic differential equation, with 1 - beta1 and 1 - beta2 growing as the batch does and epsilon "
    "shrinking as its root (Malladi et al., NeurIPS 2022). Both hold below a critical batch size only (McCandlish et "
    "al., arXiv:1812.06162, 2018), and neither says how the loss comes out"
)


@dataclass(frozen=True, slots=True)
class LearningRateFactors:
    """By what the learning rate is multiplied."""

    linear: float
    square_root: float


def learning_rate_factors(batch_size: int, reference_batch_size: int) -> LearningRateFactors:
    """Return what two rules multiply a learning rate by that was chosen for the reference batch.

    Parameters
    ----------
    batch_size, reference_batch_size
        Samples of a training step, over all replicas.

    References
    ----------
    Goyal et al., "Accurate, Large Minibatch SGD", arXiv:1706.02677, section 2.1 (linear). Krizhevsky, "One weird trick
    for parallelizing convolutional neural networks", arXiv:1404.5997, section 5; Hoffer et al., "Train longer,
    generalize better", NeurIPS 2017, section 4; Malladi et al., "On the SDEs and Scaling Rules for Adaptive Gradient
    Algorithms", NeurIPS 2022 (square root).

    Examples
    --------
    >>> learning_rate_factors(1024, 256)
    LearningRateFactors(linear=4.0, square_root=2.0)
    """
    ratio = batch_size / reference_batch_size
    return LearningRateFactors(ratio, sqrt(ratio))
