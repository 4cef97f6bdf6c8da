"""Retargeted Chainer definitions in the real Chainer: every shape that it computes, against the trace.

    python -m tests.tools.retarget_chainer --python PYTHON [--sources DIR] [--only TEXT]

PYTHON is one that has Chainer 7 (and numpy below 1.24); DIR holds public definitions as <owner>/<repository>/<path>
(those of the table that are not there are skipped, by name). Each definition is given another number of classes, at
its own size of image and at others, written as a .py beside copies of its siblings, and run there. Compared are the
outputs of every convolution, pooling, linear layer, normalisation, activation and join, in order, and the shapes of all
parameters. Exit status 1 if any differs; 0 and a word where PYTHON cannot import chainer.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import shapecalc
from shapecalc import zoo
from shapecalc.graph import Graph

CLASSES = 13
WORKER = Path(__file__).with_name("chainer_shapes.py")


class Row(NamedTuple):
    """One definition: its file, what of it is built, with what, and the sizes of image to retarget it to."""

    file: str
    sizes: tuple[int, ...]
    name: str = ""  # the class, or the function that makes the model
    arguments: tuple[tuple[str, Any], ...] = ()


IMAGENET = "chainer/chainer/examples/imagenet/"
CIFAR = "mitmul/chainer-cifar10/models/"
PUBLIC = "osmr/imgclsmob/chainer_/chainercv2/models/"
#: Module of that collection -> the function of it that makes the net, and the sizes of image.
MAKERS = {
    "alexnet": ("alexnet", (224,)),
    "vgg": ("vgg11", (224,)),
    "mobilenet": ("mobilenet_w1", (224, 256)),
    "mobilenetv2": ("mobilenetv2_w1", (224, 256)),
    "densenet": ("densenet121", (224, 256)),
    "resnet": ("resnet18", (224, 256, 320)),
    "preresnet": ("preresnet18", (224, 256)),
    "resnext": ("resnext50_32x4d", (224, 256)),
    "shufflenet": ("shufflenet_g1_w1", (224, 256)),
    "bninception": ("bninception", (224, 256)),
    "inceptionv3": ("inceptionv3", (299, 320)),
    "xception": ("xception", (299, 320)),
    "peleenet": ("peleenet", (224, 256)),
}
#: What is retargeted. Chainer's own examples, the zoo, and public definitions that Chainer 7 still runs.
ROWS = (
    Row("zoo:alexnet", (227, 256, 128)),
    Row("zoo:alexbn", (227, 256, 192)),
    Row("zoo:nin", (227, 256, 192)),
    Row("zoo:lenet", (28, 32, 56)),
    *(Row(IMAGENET + name, (0, 256, 160)) for name in ("alex.py", "googlenet.py", "googlenetbn.py", "nin.py")),
    *(Row(IMAGENET + name, (0, 256, 160)) for name in ("resnet50.py", "resnext50.py")),
    Row("chainer/chainer/examples/cifar/models/VGG.py", (32, 48, 64)),
    Row("chainer/chainer/examples/mnist/train_mnist.py", (28,), "MLP", (("n_units", 50), ("n_out", 10))),
    *(Row(f"{CIFAR}{name}.py", (32, 40, 64)) for name in ("vgg", "nin", "resnet", "densenet", "wide_resnet")),
    *(Row(f"{PUBLIC}{file}.py", sizes, maker) for file, (maker, sizes) in MAKERS.items()),
)

#: Chainer's function -> the operator of a trace that stands for it.
KINDS = {
    "Convolution2DFunction": "Conv",
    "ConvolutionND": "Conv",
    "Deconvolution2DFunction": "ConvTranspose",
    "DeconvolutionND": "ConvTranspose",
    "LinearFunction": "Gemm",
    "MaxPooling2D": "MaxPool",
    "MaxPoolingND": "MaxPool",
    "AveragePooling2D": "AveragePool",
    "AveragePoolingND": "AveragePool",
    "ReLU": "Relu",
    "LeakyReLU": "LeakyRelu",
    "ELU": "Elu",
    "Sigmoid": "Sigmoid",
    "Tanh": "Tanh",
    "BatchNormalization": "BatchNormalization",
    "FixedBatchNormalization": "BatchNormalization",
    "LocalResponseNormalization": "LRN",
    "Concat": "Concat",
    "Add": "Add",
}


def has_chainer(python: str) -> bool:
    """Whether a Python can import Chainer."""
    return subprocess.run([python, "-c", "import chainer"], capture_output=True, check=False).returncode == 0


def file_of(row: Row, sources: Path | None) -> Path | None:
    """Where a definition lies; None where it is not there."""
    if row.file.startswith("zoo:"):
        return zoo.entries()[row.file.removeprefix("zoo:")].path
    path = (sources or Path()) / row.file
    return path if path.is_file() else None


def beside(path: Path, folder: Path) -> Path:
    """Where an edited ``path`` goes in a ``folder``, with copies of the modules around it."""
    root = path.parent
    while (root / "__init__.py").exists():
        root = root.parent
    for module in [*path.parent.glob("*.py"), *root.rglob("__init__.py")]:
        copy = folder / module.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(module, copy)
    return folder / path.relative_to(root)


def computed(python: str, row: Row, target: Path, graph: Graph, trace: shapecalc.Trace) -> Any:
    """What the written definition computes in Chainer; a text where it refuses."""
    feeds = [(trace.values[given.name], "int32" if given.role == "label" else "float32") for given in graph.inputs]
    out = target.with_suffix(".json")
    asked = {
        "file": str(target),
        "name": row.name or graph.meta["class"],
        "arguments": dict(row.arguments),
        "inputs": feeds,
        "out": str(out),
    }
    words = [python, "-W", "ignore", str(WORKER), json.dumps(asked)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    if ran.returncode:
        return ran.stderr.strip().splitlines()[-1][:150]
    return json.loads(out.read_text(encoding="utf-8"))


def differences(real: Any, trace: shapecalc.Trace) -> Iterator[str]:
    """Where Chainer and the trace part."""
    for kind in dict.fromkeys(KINDS.values()):
        wanted = [tuple(out[0]) for name, out in real["applied"] if KINDS.get(name) == kind and out[0]]
        found = [layer.outputs[0].shape for layer in trace.layers if layer.op == kind and layer.outputs[0].shape]
        if wanted != found:
            place = next((i for i, (a, b) in enumerate(zip(wanted, found, strict=False)) if a != b), None)
            what = f"{len(wanted)} and {len(found)} of them" if place is None else f"{wanted[place]}, {found[place]}"
            yield f"{kind} {'' if place is None else place}: Chainer, trace: {what}"
    shapes = {name.strip("/"): list(weight.shape or ()) for layer in trace.layers for name, weight in named(layer)}
    for name, shape in real["params"].items():
        if name in shapes and shapes[name] != shape:
            yield f"{name}: Chainer {shape}, trace {shapes[name]}"


def named(layer: Any) -> Iterator[tuple[str, Any]]:
    """The weights of a layer by name."""
    return ((value.name, value) for value in layer.weights)


def attempts(row: Row, path: Path, python: str, folder: Path) -> Iterator[tuple[str, str, list[str]]]:
    """(what was asked, verdict, remarks) for each size of a definition."""
    for size in row.sizes:
        try:
            model = shapecalc.load(path, class_name=row.name or None, arguments=dict(row.arguments))
            plan = model.retarget(classes=CLASSES, input=size or None)
            target = beside(path, folder / str(size))
            plan.save(target, overwrite=True, device="cpu")
        except shapecalc.ShapecalcError as error:
            yield f"{size or 'own size'}", "refused", [str(error).replace("\n", " | ")]
            continue
        real = computed(python, row, target, model.graph, plan.trace)
        if isinstance(real, str):
            yield f"{size or 'own size'}", "refused by Chainer", [real]
            continue
        found = list(differences(real, plan.trace))
        yield f"{size or 'own size'}", "differs" if found else "equal", found or [f"{len(real['applied'])} functions"]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--sources", type=Path)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    if not has_chainer(options.python):
        print(f"skipped: {options.python} cannot import chainer")
        return 0
    counts: Counter[str] = Counter()
    right = set()
    with tempfile.TemporaryDirectory() as folder:
        for number, row in enumerate(row for row in ROWS if options.only in row.file):
            path = file_of(row, options.sources)
            if path is None:
                print(f"skipped {row.file}: not among the sources")
                continue
            for asked, verdict, notes in attempts(row, path, options.python, Path(folder) / str(number)):
                counts[verdict] += 1
                right |= {row.file} if verdict == "equal" else set()
                print(f"{verdict:<20}{row.file} {row.name} {asked}: {'; '.join(notes[:3])}", flush=True)
    print(f"{len(right)} definitions; {', '.join(f'{count} {verdict}' for verdict, count in sorted(counts.items()))}")
    return 1 if counts["differs"] else 0


if __name__ == "__main__":
    sys.exit(main())
