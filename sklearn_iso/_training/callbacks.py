"""skorch callbacks of every fit."""

from __future__ import annotations

import math
from contextlib import suppress

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from tqdm import tqdm

#: What a batch is averaged with.
_SIZE = {"train": "train_batch_size", "valid": "valid_batch_size"}


class EpochMeans(Callback):
    """Record for each epoch the mean over its samples of every value recorded by batch.

    And whether its losses are the best so far, under the names that skorch gives them.
    """

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Average the columns of the epoch."""
        batches = net.history[-1]["batches"]
        for prefix, size in _SIZE.items():
            rows = [row for row in batches if size in row]
            columns = (
                [key for key in rows[0] if key.startswith(prefix) and key != size] if rows else []
            )
            total = sum(row[size] for row in rows)
            for key in columns:
                mean = sum(row[key] * row[size] for row in rows) / total
                net.history.record(key, mean)
        for name in ("train_loss", "valid_loss"):
            losses = [row[name] for row in net.history if name in row]
            if name in net.history[-1]:
                best = losses[-1] < min(losses[:-1], default=math.inf)
                net.history.record(f"{name}_best", best)


class LastGoodState(Callback):
    """Keep the weights that the last two epochs began with.

    A loss that is not finite stops the training, so that at most the newer copy is spoilt.
    """

    states_: list[dict[str, torch.Tensor]]

    def on_train_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Start without a copy."""
        self.states_ = []

    def on_epoch_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Copy the weights."""
        copy = {name: v.clone() for name, v in net.module_.state_dict().items()}
        self.states_ = [copy, *self.states_[:1]]

    def restore(self, net: NeuralNet) -> None:
        """Give the net its newest finite weights."""
        for state in self.states_:
            net.module_.load_state_dict(state)
            if all_finite(net.module_):
                return

    def on_train_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Let the copies go."""
        self.states_ = []


class PatientStopping(EarlyStopping):
    """skorch's early stopping, which leaves the end of the training to :class:`StopWhenDone`."""

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Count the epochs without progress."""
        with suppress(KeyboardInterrupt):
            super().on_epoch_end(net, **kwargs)


class StopWhenDone(Callback):
    """The last of the callbacks: ends a training that is done, once all have seen the epoch.

    Attributes
    ----------
    stopped_ : bool
        Whether it has; of several processes, all do where one is done.
    """

    stopped_ = False

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Stop as skorch's own callbacks do."""
        self.stopped_ = net.is_done()
        if self.stopped_:
            raise KeyboardInterrupt


class ProgressBar(Callback):
    """Show a bar of the epochs with the loss and its parts, and nothing once the fit has ended.

    Plain text in notebooks too: of a widget a saved page keeps the first state, 0 of all epochs.
    """

    def initialize(self) -> ProgressBar:
        """Start without a bar."""
        self.bar_: tqdm | None = None
        return self

    def on_epoch_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Open the bar, once every callback has agreed to the training."""
        if self.bar_ is None:
            self.bar_ = tqdm(total=net.epochs_to_run, unit="epoch", desc="fit", leave=False)

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Advance the bar."""
        row = net.history[-1]
        names = {"train_loss": "loss", "train_penalty": "penalty", "valid_loss": "valid"}
        if self.bar_ is not None:
            self.bar_.set_postfix({v: f"{row[k]:.3g}" for k, v in names.items() if k in row})
            self.bar_.update()

    def on_train_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Close the bar, however the training ended."""
        if self.bar_ is not None:
            self.bar_.close()
        self.bar_ = None


def all_finite(module: torch.nn.Module) -> bool:
    """Return whether no weight is NaN or infinite."""
    # NaN and infinity survive a sum; the sum of finite weights cannot overflow in float64.
    with torch.no_grad():
        return all(math.isfinite(p.sum(dtype=torch.float64)) for p in module.parameters())
