"""Error texts: every row recognises its own example and no other row takes it; what the numbers alone mean."""

from __future__ import annotations

import math
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecalc.said import FRAMEWORKS, KINDS, ROWS, Row, recognise
from shapecalc.said.factors import maps, primes
from shapecalc.said.meaning import TELLERS, tell


def named(row: Row) -> str:
    return f"{row.framework}-{row.kind}-{row.source.rsplit('/', 1)[-1]}"


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_row_recognises_its_example(row: Row) -> None:
    said = recognise(row.example)
    assert said is not None
    assert said.row is row
    told = tell(said)
    assert told.next_steps
    assert told.causes or not (told.wanted and told.given)  # where there are numbers, they mean something


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_text_is_recognised_inside_a_log(row: Row) -> None:
    log = f"Traceback (most recent call last):\n  File 'x.py', line 3\n\n{row.example}\n*** Aborted ***\n"
    said = recognise(log)
    assert said is not None
    assert said.row is row


def test_every_framework_says_several_things() -> None:
    assert FRAMEWORKS == ("PyTorch", "Caffe", "Chainer", "Keras/TensorFlow", "onnxruntime", "TensorRT", "OpenCV")
    assert min(Counter(row.framework for row in ROWS).values()) >= 5
    assert {row.kind for row in ROWS} == set(KINDS) == set(TELLERS)


def test_every_row_has_a_source() -> None:
    for row in ROWS:
        assert row.url == "" or re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+/(issues|pull)/\d+", row.url)
        assert row.url or re.search(r"\d", row.source)  # a version or a commit


@pytest.mark.parametrize(
    ("text", "wanted", "given", "cause"),
    [
        (
            "mat1 and mat2 shapes cannot be multiplied (1x6400 and 9216x4096)",
            "9,216 = 256·6·6",
            "6,400 = 256·5·5",
            "the image is smaller than the one the weights were made for: a map of 5×5, not 6×6",
        ),
        (
            "Check failed: K_ == new_K (25088 vs. 100352) Input size",
            "25,088 = 512·7·7",
            "100,352 = 512·14·14",
            "the image is larger than the one the weights were made for: a map of 14×14, not 7×7",
        ),
        (
            "Check failed: K_ == new_K (25088 vs. 16384) Input size",
            "25,088 = 512·7·7",
            "16,384 = 512·4·8",
            "the image is smaller than the one the weights were made for: a map of 4×8, not 7×7",
        ),
        (
            "mat1 and mat2 shapes cannot be multiplied (2394x7 and 16758x2)",
            "16,758 = 2·3^2·7^2·19",
            "7",
            "not flattened: 2,394·7 = 16,758 is one image of 16,758",
        ),
        (
            "mat1 and mat2 shapes cannot be multiplied (32x512 and 2048x1000)",
            "2,048 = 2^11",
            "512 = 2^9",
            "the backbones differ: 2,048 numbers come from ResNet-50, ResNet-101, ResNet-152 and Inception v3, 512 "
            "from ResNet-18, ResNet-34 and VGG",
        ),
        (
            "size mismatch for fc.weight: copying a param with shape torch.Size([1000, 2048]) from checkpoint, the "
            "shape in current model is torch.Size([13, 2048]).",
            "13×2048 (in the model)",
            "1000×2048 (in the file)",
            "another number of classes or outputs: 1,000 in the file, 13 here",
        ),
        (
            "Given groups=1, weight of size [64, 3, 7, 7], expected input[1, 224, 224, 3] to have 3 channels, but got "
            "224 channels instead",
            "3 channels",
            "224 channels",
            "the channels come last in 1×224×224×3 and first in this net",
        ),
        (
            "GEMM: Dimension mismatch, W: {4096,9216} K: 6400 N:4096".join(["running Gemm node. Name:'fc6' : ", ""]),
            "9,216 = 256·6·6",
            "6,400 = 256·5·5",
            "the image is smaller than the one the weights were made for: a map of 5×5, not 6×6",
        ),
    ],
)
def test_what_numbers_mean(text: str, wanted: str, given: str, cause: str) -> None:
    said = recognise(text)
    assert said is not None
    told = tell(said)
    assert (told.wanted, told.given, told.causes[0]) == (wanted, given, cause)


def test_a_matrix_says_more_than_its_bias() -> None:
    lines = [
        "size mismatch for fc.bias: copying a param with shape torch.Size([10]) from checkpoint, the shape in current "
        "model is torch.Size([13]).",
        "size mismatch for fc.weight: copying a param with shape torch.Size([10, 512]) from checkpoint, the shape in "
        "current model is torch.Size([13, 512]).",
    ]
    said = recognise("\n\t".join(lines))
    assert said is not None
    assert (said.layer, said.more) == ("fc.weight", 1)


@pytest.mark.parametrize("text", ["", "Segmentation fault", "CUDA out of memory", "9216", "\x00" * 9, "(" * 10_000])
def test_other_texts_are_not_recognised(text: str) -> None:
    assert recognise(text) is None


@given(st.text())
def test_any_text_gets_an_answer(text: str) -> None:
    said = recognise(text)
    assert said is None or tell(said)


@given(st.sampled_from([16, 64, 128, 256, 512, 1024]), st.integers(1, 24), st.integers(1, 24))
def test_square_maps_are_read_back(channels: int, a: int, b: int) -> None:
    """Two counts of one number of channels give square maps of just these proportions."""
    read = maps(channels * a * a, channels * b * b)
    if a == b:
        assert read == []
        return
    assert read
    for found in read:
        assert math.prod((found.channels, *found.wanted)) == channels * a * a
        assert math.prod((found.channels, *found.given)) == channels * b * b
        assert found.wanted[0] * b == found.given[0] * a


@given(st.integers(1, 10**6))
def test_primes_multiply_to_the_number(number: int) -> None:
    factors = [part.split("^") for part in primes(number).split("·")]
    assert math.prod(int(base) ** int(*power or ["1"]) for base, *power in factors) == number


@pytest.mark.parametrize(
    ("a", "b", "cause"),
    [
        (257, 197, "257 = 16·16 + 1 and 197 = 14·14 + 1: one is a table of positions made for another image size"),
        (198, 578, "198 = 14·14 + 2 and 578 = 24·24 + 2: one is a table of positions made for another image size"),
        (256, 196, "256 = 16·16 and 196 = 14·14: one is a table of positions made for another image size"),
        (144, 100, "one is a weight made for another image size, or the branches round differently"),
    ],
)
def test_tokens_of_two_image_sizes_are_told(a: int, b: int, cause: str) -> None:
    text = (
        f"RuntimeError: The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension 1"
    )
    said = recognise(text)
    assert said is not None
    assert tell(said).causes == (cause,)
