"""Files that people hold and no reader here takes, told by how they begin: what such a file is, and the way out.

The signatures are those that the programs write themselves (sources beside the rows); none is met by a definition or
weights that can be read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import ModelError

EXPORT = "in Python, with the model loaded: torch.onnx.export(model, example, 'net.onnx')"
TENSORFLOW = "python -m tf2onnx.convert, with --graphdef FILE or --saved-model FOLDER, writes ONNX"
OBJECTS = "it holds Python objects, which run code as they are loaded"
UNPACK = "unpack it and name the file inside"


class Foreign(NamedTuple):
    """A kind of file: ``start`` is a pattern of its beginning, ``what`` completes "this is …"."""

    start: bytes  # compiled when a file is asked about, not whenever a net is opened
    what: str
    hint: str
    because: str | None = None


#: The first row that matches counts.
FOREIGN = (
    Foreign(rb"version https://git-lfs", "a Git LFS pointer", "git lfs pull fetches them"),
    Foreign(rb"\s*(?:<!doctype html|<!DOCTYPE|<html|<HTML)", "a web page", "download the file itself"),
    # torch.save, torch.jit.save and torch.export.save align what they zip with a field FB of Z (torch 2.13)
    Foreign(rb"PK\x03\x04.{26}[^\x00]{1,200}?FB..Z", "a PyTorch file", EXPORT, OBJECTS),
    Foreign(rb"\x80[\x02-\x05][\x8a\x95c}\]K]", "a Python pickle", EXPORT, OBJECTS),
    # safetensors: the length of the header in eight bytes, then its JSON
    Foreign(rb".{5}\x00\x00\x00\{\s*\"", "a safetensors file", EXPORT, "it holds weights without a net"),
    Foreign(rb".{4}TFL3", "a TensorFlow Lite model", "python -m tf2onnx.convert --tflite net.tflite --output net.onnx"),
    Foreign(rb".{4}ORTM", "onnxruntime's own format", "name the .onnx that it was made from"),
    # GraphDef: a node's name, then its op; SavedModel: its version, then a graph longer than 127 bytes
    Foreign(rb"\x0a..?\x0a.[\x21-\x7e]{1,60}\x12.(?:Placeholder|Const)", "a TensorFlow graph", TENSORFLOW),
    Foreign(rb"\x08\x01\x12[\x80-\xff]{1,4}[\x01-\x7f]\x0a", "a TensorFlow SavedModel", TENSORFLOW),
    Foreign(
        rb"\s*(?:#[^\n]*\n\s*)*\[net(?:work)?\]", "a Darknet configuration", "convert it to ONNX or prototxt first"
    ),
    Foreign(rb"\s*\{\s*\"nodes\"\s*:", "an MXNet symbol", "mxnet.onnx.export_model writes ONNX"),
    Foreign(rb"7767517\s", "an ncnn param file", "name the ONNX or prototxt that it was made from"),
    Foreign(rb"\s*<\?xml.{0,200}<net\s", "an OpenVINO model", "name the ONNX that it was made from"),
    Foreign(rb"\x89PNG\r\n|\xff\xd8\xff|GIF8|BM.{4}\x00\x00\x00\x00", "a picture", "name the net"),
    Foreign(rb"%PDF-", "a PDF document", "name the net"),
    Foreign(rb"MATLAB [57]\.", "a MATLAB file", "convert it to ONNX or prototxt first"),
    Foreign(rb"\x1f\x8b|BZh[1-9]|\xfd7zXZ\x00|7z\xbc\xaf\x27\x1c|Rar!|\x28\xb5\x2f\xfd", "a compressed file", UNPACK),
    Foreign(rb".{257}ustar", "a tar archive", UNPACK),
)

#: What a Python source imports -> how its net comes here.
SOURCES = {
    "torch": f"PyTorch source: {EXPORT}",
    "keras": "Keras source: model.save('net.keras') or model.to_json() writes what is read here",
    "tensorflow": "TensorFlow source: of a Keras model, model.save('net.keras') writes what is read here",
    "caffe": "Python that writes a prototxt: run it and name what it wrote",
}

#: Bytes of a file that are looked at.
SEEN = 512


def refuse_foreign(head: bytes, name: str, wanted: str) -> None:
    """Raises ModelError (E202) where a file called ``name`` begins like one that is not ``wanted``."""
    for row in FOREIGN:
        if re.match(row.start, head[:SEEN], re.DOTALL):
            raise ModelError(
                f"this is {row.what}, not {wanted}", "E202", location=name, hint=row.hint, because=row.because
            )


def of_source(text: str) -> str | None:
    """The way out for Python source of another framework than Chainer; None where it imports none that is known."""
    for name, hint in SOURCES.items():
        if re.search(rf"^\s*(?:import|from)\s+{name}\b", text, re.MULTILINE):
            return f"this is {hint}"
    return None
