import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from curate.training.loop.loss import clip_loss, info_nce, siglip_loss


def features(num, width=6, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(num, width, generator=generator, dtype=dtype) for _ in range(2)]
    return [F.normalize(x, dim=-1).requires_grad_() for x in draw]


def full_siglip(image, text, scale, bias):
    """Equation 1 of the SigLIP paper, pair by pair."""
    total = 0.0
    for i in range(len(image)):
        for j in range(len(text)):
            z = 1.0 if i == j else -1.0
            total = total - F.logsigmoid(z * (scale * image[i] @ text[j] + bias))
    return total / len(image)


def gradients(loss, inputs):
    loss.backward()
    found = [x.grad for x in inputs]
    for x in inputs:
        x.grad = None
    return found


def test_the_loss_of_a_hand_computed_case():
    image = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    text = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    # logits × 2: [[2, 1.2], [0, 1.6]]; rows: ln(1+e^-0.8), ln(1+e^-1.6); columns: ln(1+e^-2),
    # ln(1+e^-0.4); the mean of the two means.
    rows = (math.log1p(math.exp(-0.8)) + math.log1p(math.exp(-1.6))) / 2
    columns = (math.log1p(math.exp(-2.0)) + math.log1p(math.exp(-0.4))) / 2
    for loss in (info_nce, clip_loss):
        found = loss(image, text, torch.tensor(2.0)).item()
        assert found == pytest.approx((rows + columns) / 2, rel=1e-6)


@pytest.mark.parametrize("num, chunk", [(1, 4), (7, 3), (8, 4), (9, 1), (5, 100)])
def test_chunked_info_nce_and_its_gradients_are_those_of_the_whole_matrix(num, chunk):
    image, text = features(num)
    scale = torch.tensor(30.0, dtype=torch.float64, requires_grad=True)
    inputs = [image, text, scale]
    whole = info_nce(*inputs)
    expected = gradients(whole, inputs)
    found = clip_loss(*inputs, chunk=chunk)
    torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-14)
    for a, b in zip(gradients(found, inputs), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("num, chunk", [(1, 4), (7, 3), (5, 100)])
def test_chunked_siglip_and_its_gradients_are_those_of_the_definition(num, chunk):
    image, text = features(num)
    scale = torch.tensor(10.0, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(-10.0, dtype=torch.float64, requires_grad=True)
    inputs = [image, text, scale, bias]
    whole = full_siglip(*inputs)
    expected = gradients(whole, inputs)
    found = siglip_loss(*inputs, chunk=chunk)
    torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-14)
    for a, b in zip(gradients(found, inputs), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)


def test_float32_is_as_near_to_float64_as_the_plain_loss_even_at_the_largest_scale():
    image, text = features(64, width=32)
    exact = info_nce(image, text, torch.tensor(100.0, dtype=torch.float64)).item()
    single = [x.detach().float() for x in (image, text)]
    plain = abs(info_nce(*single, torch.tensor(100.0)).item() - exact)
    ours = abs(clip_loss(*single, torch.tensor(100.0), chunk=16).item() - exact)
    # 100 · 2^-24 per logit is 6e-6; a loss near 25 nats is rounded to 2e-6.
    assert ours <= max(plain, 1e-5)


def test_bfloat16_features_are_computed_with_in_float32():
    image, text = (x.detach().bfloat16() for x in features(16, width=32))
    expected = info_nce(image.float(), text.float(), torch.tensor(50.0))
    with torch.autocast("cpu", torch.bfloat16):
        found = clip_loss(image, text, torch.tensor(50.0), chunk=8)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


class _LargestTensor(TorchDispatchMode):
    """Remembers the most elements that a result had."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(x, torch.Tensor):
                self.numel = max(self.numel, x.numel())
        return out


@pytest.mark.parametrize("loss", [clip_loss, siglip_loss])
def test_memory_grows_with_the_batch_not_with_its_square(loss):
    more = (torch.tensor(-10.0),) if loss is siglip_loss else ()
    for num in (64, 256):
        image, text = features(num, width=8, dtype=torch.float32)
        with _LargestTensor() as seen:
            loss(image, text, torch.tensor(10.0), *more, chunk=8).backward()
        assert seen.numel == 8 * num
