"""What no perturbation within a budget can change: proofs, where attacks only search."""
