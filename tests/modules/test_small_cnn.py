"""The network of TRADES: what it computes, bounds, files, graphs, and estimators by its name."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from releases import exports
from torch.nn import functional

import sklearn_iso
from sklearn_iso import IsometricClassifier, IsometricRegressor, IsometricTransformer, ThreatModel
from sklearn_iso.metrics import adversarial_accuracy, certified_accuracy
from sklearn_iso.modules import SmallCNN, represent
from sklearn_iso.modules._architecture import describe, rebuild
from sklearn_iso.modules._intervals import graph_of
from sklearn_iso.persistence import to_onnx
from sklearn_iso.twins import as_torch

TINY = {"channels": (2, 3), "hidden_layer_sizes": (5, 4)}
QUICK = {"max_epochs": 2, "batch_size": 20, "random_state": 0}
X = np.random.default_rng(0).random((40, 256)).astype(np.float32)
X[20:, :128] /= 4  # the upper halves of the second class are dark
Y = np.arange(40) // 20


def network(n_outputs=3, **options):
    torch.manual_seed(0)
    return SmallCNN(256, n_outputs, **TINY | options)


@pytest.fixture(scope="module")
def fitted():
    return IsometricClassifier(module=partial(SmallCNN, **TINY), **QUICK).fit(X, Y)


def test_it_is_the_network_of_the_paper():
    torch.manual_seed(0)
    net, images = SmallCNN(784, 10), torch.rand(2, 1, 28, 28)
    weights = list(net.parameters())
    assert [tuple(weight.shape) for weight in weights[::2]] == [
        (32, 1, 3, 3), (32, 32, 3, 3), (64, 32, 3, 3), (64, 64, 3, 3),
        (200, 1024), (200, 200), (10, 200),
    ]  # fmt: skip
    pairs = list(zip(weights[::2], weights[1::2], strict=True))
    Z = images
    for number, (weight, bias) in enumerate(pairs[:4]):
        Z = functional.conv2d(Z, weight, bias).relu()
        Z = functional.max_pool2d(Z, 2) if number % 2 else Z
    Z = Z.flatten(1)
    for weight, bias in pairs[4:6]:
        Z = (Z @ weight.T + bias).relu()
    torch.testing.assert_close(net(images), Z @ pairs[6][0].T + pairs[6][1])


def test_convolutions_are_drawn_as_he_has_it():
    torch.manual_seed(0)
    kernels = [w.detach() for w in SmallCNN(784, 10).parameters() if w.ndim == 4]
    for kernel in kernels[1:]:
        assert float(kernel.square().mean() * kernel[0].numel()) == pytest.approx(2, rel=0.05)


def test_samples_and_images_of_several_channels_are_taken_alike():
    net = SmallCNN(2 * 16 * 18, 3, image_shape=(2, 16, 18), **TINY)
    samples = torch.rand(4, 2 * 16 * 18)
    assert torch.equal(net(samples), net(samples.reshape(4, 2, 16, 18)))
    with pytest.raises(ValueError, match="Pass image_shape=.* to SmallCNN"):
        net(torch.rand(4, 2, 18, 16))


@pytest.mark.parametrize("side", [4, 15])
def test_images_must_leave_room_for_the_poolings(side):
    with pytest.raises(ValueError, match="must leave room for 2 pairs"):
        SmallCNN(side**2, 3)
    assert SmallCNN(16**2, 3, **TINY)(torch.zeros(1, 256)).shape == (1, 3)


def test_hidden_representations_are_those_of_every_layer_after_the_first():
    sizes = [Z.shape[1] for Z in represent(network(), torch.rand(2, 256), "hidden")]
    assert sizes == [2 * 14 * 14, 2 * 6 * 6, 3 * 4 * 4, 3, 5, 4]


def test_intervals_hold_what_the_network_does():
    net, generator = network().double(), torch.Generator().manual_seed(0)
    samples = torch.rand(5, 256, generator=generator, dtype=torch.float64)
    low, high = graph_of(net, (256,)).intervals(samples - 0.05, samples + 0.05)[-1]
    for _ in range(100):
        corner = 0.1 * torch.randint(2, (5, 256), generator=generator) - 0.05
        logits = net(samples + corner)
        assert ((logits >= low) & (logits <= high)).all()
    low, high = graph_of(net, (256,)).intervals(samples, samples)[-1]
    torch.testing.assert_close((low + high) / 2, net(samples))


def test_it_comes_back_from_plain_data():
    net = network()
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    again = rebuild(describe(net), weights)
    samples = torch.rand(3, 256)
    assert torch.equal(again(samples), net(samples))
    with pytest.raises(ValueError, match=r"head\.1\.weight"):
        rebuild({"kind": "SmallCNN", "image_shape": [1, 2**14, 2**14]}, weights)


def test_a_classifier_of_it_is_attacked_certified_and_saved(fitted, tmp_path):
    threat = ThreatModel("linf", bounds=(0, 1))
    some = {"X": X[15:25], "y": Y[15:25], "eps": 0.005, "threat": threat}
    proven = certified_accuracy(fitted, **some)
    left = adversarial_accuracy(fitted, **some, attack="pgd", random_state=0)
    assert 0 < proven <= left <= fitted.score(X[15:25], Y[15:25])
    twin = as_torch(fitted)
    np.testing.assert_array_equal(twin(torch.from_numpy(X)).argmax(1).numpy(), fitted.predict(X))
    fitted.save(tmp_path / "model.safetensors")
    again = sklearn_iso.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


@exports
def test_its_graph_gives_the_probabilities_of_the_classifier(fitted):
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = to_onnx(fitted, X)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"X": X[:7]})
    np.testing.assert_allclose(found, fitted.predict_proba(X[:7]), atol=1e-5)


def by_name(kind, samples, target):
    name = "encoder" if kind is IsometricTransformer else "module"
    one = kind(**{name: "small_cnn"}, **QUICK | {"max_epochs": 1})
    same = kind(**{name: SmallCNN}, **QUICK | {"max_epochs": 1})
    return one.fit(samples, target), same.fit(samples, target)


@pytest.mark.parametrize("kind", [IsometricClassifier, IsometricRegressor, IsometricTransformer])
def test_a_name_stands_for_its_class(kind):
    one, same = by_name(kind, X, Y)
    np.testing.assert_array_equal(one.transform(X), same.transform(X))


def test_by_its_name_it_takes_images():
    images = X.reshape(-1, 1, 16, 16)
    one, same = by_name(IsometricClassifier, images, Y)
    np.testing.assert_array_equal(one.predict_proba(images), same.predict_proba(images))
