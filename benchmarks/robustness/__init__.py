"""Parts of robust_mnist.py: networks, peers, training, measures and report."""
