"""A neural spline flow, trained for as long as it is given: the strongest density that nelbo's is compared with.

Durkan, Bekasov, Murray and Papamakarios 2019, "Neural Spline Flows", in its autoregressive form as zuko has it.
"""

import copy
import math
import time
from itertools import count

import numpy as np
import torch
import zuko
from torch import Tensor, nn

from app.array import Array

TRANSFORMS, UNITS = 4, (128, 128)
BATCH = 512
LEARNING_RATE = 2e-3
EVERY = 100
"""Steps from one look at the validation rows to the next."""
PATIENCE = 30
"""Looks without a gain after which training ends before its time."""


def spline_flow(train: Array, held_out: Array, seconds: float) -> float:
    """Mean negative log-density of held-out rows [m, D] in nats; a fifth of the training rows [n, D] says when to stop.

    Rows are standardised and in random order. Runs on as many threads as torch is set to.
    """
    torch.manual_seed(0)
    fifth = len(train) // 5
    flow = zuko.flows.NSF(train.shape[1], transforms=TRANSFORMS, hidden_features=UNITS)
    best = _trained(flow, _tensor(train[fifth:]), _tensor(train[:fifth]), seconds)
    return _nats(best, _tensor(held_out))


def _trained(flow: zuko.flows.NSF, rows: Tensor, validation: Tensor, seconds: float) -> zuko.flows.NSF:
    """Adam under a cosine that ends with the time; the flow that did best on the validation rows."""
    optimiser = torch.optim.Adam(flow.parameters(), lr=LEARNING_RATE)
    best, least, looks = flow, math.inf, 0
    started = time.monotonic()
    for step in count(1):
        done = min(1.0, (time.monotonic() - started) / seconds)
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
        loss = -flow().log_prob(rows[torch.randint(len(rows), (BATCH,))]).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
        optimiser.step()
        if step % EVERY == 0 or done == 1:
            nats = _nats(flow, validation)
            looks += 1
            if nats < least:
                best, least, looks = copy.deepcopy(flow), nats, 0
        if done == 1 or looks == PATIENCE:
            break
    return best


@torch.no_grad()
def _nats(flow: zuko.flows.NSF, rows: Tensor) -> float:
    return -float(torch.cat([flow().log_prob(some) for some in rows.split(4096)]).double().mean())


def _tensor(rows: Array) -> Tensor:
    return torch.from_numpy(rows.astype(np.float32))
