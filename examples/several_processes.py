"""One fit in several processes.

OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 examples/several_processes.py
"""

import torch.distributed as dist
from sklearn.datasets import load_digits

from sklearn_iso import IsometricClassifier

dist.init_process_group("gloo")  # "nccl", and device="cuda:..." of the rank, on GPUs
X, y = load_digits(return_X_y=True)
clf = IsometricClassifier(alpha=1.0, max_epochs=10, random_state=0).fit(X, y)
print(f"process {dist.get_rank()}: accuracy {clf.score(X, y):.3f}, loss {clf.loss_curve_[-1]:.6f}")
dist.destroy_process_group()
