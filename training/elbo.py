"""The negative ELBO's parts, and how two models of one row share it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.gaussian import VECTOR, exp, log
from training.sums import total


@dataclass(frozen=True)
class Elbo:
    """In nats: per_sensor [..., n, D], 0 where missing, and kl [..., n]; they add up to −ELBO."""

    per_sensor: Tensor
    kl: Tensor

    @property
    def negative(self) -> Tensor:
        return total(self.per_sensor) + self.kl


@dataclass(frozen=True)
class Shared:
    """Two models' ELBO of the same rows as one, and the second's share [n, 1] in it."""

    elbo: Elbo
    share: Tensor


def share(first: Elbo, second: Elbo, log_weight: Tensor) -> Shared:
    """−ln[(1 − w)·e^(−first) + w·e^(−second)], ln w being `log_weight` [1]; rows are [n, …].

    It is the ELBO of a mixture whose component c is latent too, with q(c|x) at its optimum, the softmax: every part is
    the mean of the two models' parts under q(c|x), and KL(q(c|x) ‖ p(c)) goes to the kl.
    """
    # Of each row in VECTOR columns, all alike: exp and log give these the same bits wherever the row stands.
    log_weights = log_rest(log_weight).expand(VECTOR), log_weight.expand(VECTOR)
    costs = [part.negative[:, None] - log_of_all for part, log_of_all in zip((first, second), log_weights, strict=True)]
    least = torch.minimum(*costs)
    log_total = log(exp(least - costs[0]) + exp(least - costs[1]))
    log_shares = [least - cost - log_total for cost in costs]
    shares = [exp(log_share) for log_share in log_shares]
    per_sensor = shares[0][:, :1] * first.per_sensor + shares[1][:, :1] * second.per_sensor
    kls = [
        mine * (part.kl[:, None] + log_mine - log_of_all)
        for part, mine, log_mine, log_of_all in zip((first, second), shares, log_shares, log_weights, strict=True)
    ]
    return Shared(Elbo(per_sensor, (kls[0] + kls[1])[:, 0]), shares[1][:, :1])


def log_rest(log_weight: Tensor) -> Tensor:
    """ln(1 − w) of ln w."""
    return torch.log1p(-log_weight.exp())
