"""Draw how far gradients reach through networks as they start: ``python scripts/gradient_picture.py OUT.png``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from seqlab.insight.gradients import gradient_figure, jacobian_norms
from seqlab.nn import Recurrent

NETWORKS: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn"},
    "rnn, orthogonal": {"cell": "rnn", "init": "orthogonal"},
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm"},
    "lstm, forget bias 1": {"cell": "lstm", "forget_bias": 1.0},
    "lstm, max_lag 600": {"cell": "lstm", "max_lag": 600},
}


def main(path: Path, steps: int = 300, hidden_size: int = 64) -> None:
    """Norms of ``d s_T / d s_(T-k)`` on random inputs, untrained, 8 rows."""
    torch.manual_seed(0)
    x = torch.randn(steps, 8, 2)
    by_name = {}
    for name, options in NETWORKS.items():
        encoder: Any = Recurrent(2, hidden_size=hidden_size, **options)
        step = encoder.layers[0].directions[0].cell.step
        by_name[name] = jacobian_norms(step, x, encoder.initial_state(8, x)[0])
    gradient_figure(by_name).savefig(path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
