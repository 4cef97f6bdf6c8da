"""Files of other programs: each is told by how it begins, named, and refused with the way out."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

import shapecalc
from shapecalc.errors import ModelError
from shapecalc.formats.weights import read_weights

#: What begins so (as the programs wrote it: torch 2.13, tensorflow's protos, flatbuffers' marks) -> what it is.
HEADS = {
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "a Git LFS pointer"),
    "page": (b"\n<!DOCTYPE html>\n<html>", "a web page"),
    "torch.save": (b"PK\x03\x04\0\0\x08\x08" + bytes(18) + b"\x0b\0\x17\0sd/data.pklFB\x13\0ZZZZ", "a PyTorch file"),
    "torch.jit.save": (b"PK\x03\x04\0\0\x08\x08" + bytes(18) + b"\x09\0\x19\0ts/data/0FB\x15\0ZZZZ", "a PyTorch file"),
    "torch.save, old": (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "a Python pickle"),
    "pickle": (b"\x80\x04\x95\x0a\0\0\0\0\0\0\0}\x94\x8c\x01a\x94K\x01s.", "a Python pickle"),
    "safetensors": (b'\x88\0\0\0\0\0\0\0{"0.bias":{"dtype":"F32","shape":[4]', "a safetensors file"),
    "tflite": (b"\x1c\0\0\0TFL3\x14\0\x20\0", "a TensorFlow Lite model"),
    "ort": (b"\x18\0\0\0ORTM\0\0\0\0", "onnxruntime's own format"),
    "graphdef": (b"\x0a\x2b\x0a\x05input\x12\x0bPlaceholder*\x0b\x0a\x05dtype", "a TensorFlow graph"),
    "savedmodel": (b"\x08\x01\x12\x97\xd6\x01\x0a\xc8\x05\x12\x9f\x04\x0a\x0cMatMul", "a TensorFlow SavedModel"),
    "darknet": (b"# YOLO\n[net]\nbatch=64\n", "a Darknet configuration"),
    "mxnet": (b'{\n  "nodes": [\n    {\n      "op": "null"', "an MXNet symbol"),
    "ncnn": (b"7767517\n75 83\n", "an ncnn param file"),
    "openvino": (b'<?xml version="1.0"?>\n<net name="net" version="11">', "an OpenVINO model"),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a picture"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF", "a picture"),
    "gzip": (b"\x1f\x8b\x08\0\0\0\0\0", "a compressed file"),
}


@pytest.mark.parametrize(("head", "what"), HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("suffix", [".onnx", ".bin", ".prototxt"])
def test_as_a_definition(tmp_path: Path, head: bytes, what: str, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    path.write_bytes(head + bytes(300))
    with pytest.raises(ModelError, match=f"this is {what}") as caught:
        shapecalc.load(path)
    assert caught.value.hint
    assert "not a definition" in str(caught.value)


@pytest.mark.parametrize(("head", "what"), HEADS.values(), ids=HEADS)
def test_as_weights(tmp_path: Path, head: bytes, what: str) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(head + bytes(300))
    with pytest.raises(ModelError, match=f"this is {what}") as caught:
        read_weights(path)
    assert "not weights" in str(caught.value)


def test_a_tar_archive(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("net.onnx"))
    (tmp_path / "net.onnx").write_bytes(packed.getvalue())
    with pytest.raises(ModelError, match="this is a tar archive"):
        shapecalc.load(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        ("import torch.nn as nn\nclass Net(nn.Module):\n    pass\n", "torch.onnx.export"),
        ("from keras.models import Sequential\nmodel = Sequential()\n", "to_json"),
        ("import tensorflow as tf\n", r"model\.save"),
        ("import os\n", r"chainer\.Chain"),
    ],
)
def test_python_of_other_frameworks(text: str, way_out: str) -> None:
    with pytest.raises(ModelError, match="no class here") as caught:
        shapecalc.loads(text, format="chainer")
    assert caught.value.hint is not None
    assert way_out.replace("\\", "") in caught.value.hint
