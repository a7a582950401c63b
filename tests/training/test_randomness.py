"""Draws that are private."""

from __future__ import annotations

import threading

import pytest
import torch

from sklearn_iso._training import PrivateStream


def test_private_stream_continues_and_leaves_the_global_one():
    expected = torch.rand(4, generator=torch.Generator().manual_seed(5))
    stream, before, found = PrivateStream(5), torch.get_rng_state(), []
    for _ in range(2):
        with stream.active():
            found.append(torch.rand(2))
        torch.rand(3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(torch.cat(found), expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_private_streams_of_threads_take_turns():
    results = {}

    def draw(seed):
        stream, values = PrivateStream(seed), []
        for _ in range(50):
            with stream.active():
                values.append(torch.rand(1).item())
        results[seed] = values

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in (1, 2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    for seed, values in results.items():
        expected = torch.rand(50, generator=torch.Generator().manual_seed(seed))
        assert values == pytest.approx(expected.tolist(), abs=0)
