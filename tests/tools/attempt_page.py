"""The page docs/surgery-attempts.md, from the results of `tests.tools.attempt_surgery`.

python -m tests.tools.attempt_page RESULTS.jsonl [--into docs/surgery-attempts.md]
"""

from __future__ import annotations

import argparse
import collections
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
Line = dict[str, Any]

#: Words in the names of nets, the more special first.
FAMILIES = (
    "alexnet", "alexbn", "caffenet", "flickr_style", "pascal_finetune", "cifar10", "mnist_autoencoder", "lenet",
    "faster_rcnn", "faster_voc", "rfcn", "ssd", "pelee", "siamese", "hdf5", "linreg", "googlenet", "inception",
    "efficientformer", "efficientnet", "efficientvit", "mobilenet", "mobileone", "mobilevit", "squeezenet", "senet",
    "seresnet", "densenet", "dpn", "resnext", "resnet", "res2net", "wrn", "vgg", "xception", "nin", "convnext",
    "convmixer", "coatnet", "cait", "deit", "dla", "edgenext", "fasternet", "ghostnet", "gmlp", "hardcorenas", "hgnet",
    "hrnet", "lcnet", "maxvit", "mixnet", "mnasnet", "nasnet", "regnet", "repvgg", "repvit", "starnet", "swin", "twins",
    "vit",
)  # fmt: skip
#: Names that start otherwise than their family.
SPECIAL = {"nasnetalarge": "nasnet", "pnasnet5large": "pnasnet"}

HEADER = """# Edits tried on real nets

Written by `tests/tools/attempt_page.py` from what `tests/tools/attempt_surgery.py` tried: the zoo, and definitions and
graphs of others that this project reads (prototxt of BVLC Caffe and its users, Keras 3's own nets, exports of timm).
The graphs come without their weights; seeded ones are put beside them. Every edit was planned, proved by running,
written, and the file loaded by onnxruntime; of nets of up to {heavy} MACs and 10 million parameters every promise was
measured, of larger ones the shapes of all tensors. The nets are tried in the order of their work; {nets} of {all} were
reached in the time there was.

**{count:,} edits of {nets} nets: {ran:,} ran, {refused:,} were refused with a cause, {failed:,} failed** (a file that
onnxruntime refuses, another shape than predicted, a refusal without a cause, a crash{slow}).
"""


def family(model: str) -> str:
    """The word that says what a net is; its own name where none does.

    >>> family("onnx/tf_efficientnetv2_b0.ts.onnx"), family("caffe/senet_se_resnet50.prototxt")
    ('efficientnet', 'senet')
    """
    name = model.partition("/")[2].partition(".")[0].lower()
    found = [word for word in FAMILIES if word in name]
    return SPECIAL.get(name, found[0] if found else name)


def lines(results: Path) -> list[Line]:
    """The last line of every attempt."""
    found = {(line["model"], line["edit"]): line for line in map(json.loads, results.read_text().splitlines())}
    loaded = {model for model, edit in found if edit != "load"}
    return [line for (model, edit), line in found.items() if edit != "load" or model not in loaded]


def reason(line: Line) -> str:
    """What a refusal says, without the names and the numbers of its net."""
    return next((words for pattern, words in REASONS if re.search(pattern, line["words"])), line["words"])


#: What messages say, in the words of the table.
REASONS = (
    (r"no weightless repair makes it fit: .* joins ", "no weightless repair: branches that meet with other sizes"),
    (
        r"no weightless repair makes it fit: .* expects .* inputs",
        "no weightless repair: trained weights of a fixed size",
    ),
    (r"no weightless repair makes it fit: .*kernel", "no weightless repair: a window larger than its map"),
    (r"no weightless repair makes it fit: .*cannot put", "no weightless repair: a reshape for one size"),
    (r"no weightless repair makes it fit: .*splits", "no weightless repair: a split for one size"),
    (r"no weightless repair makes it fit", "no weightless repair"),
    (r"cannot be left free", "left free, it would run at one size alone"),
    (r"ends in no classifier", "it ends in no classifier"),
    (r"ends in a map", "it ends in a map, whose channels need not be classes"),
    (r"several heads of different sizes", "several heads of different sizes: which holds the classes is asked"),
    (r"several heads, which read", "several heads read different features: which is asked"),
    (r"its weight is shared", "the head shares its weight with another layer"),
    (r"is not known, so it cannot be written", "a layer decides its shape in code that is not run (Python)"),
    (r"has no ONNX form", "a layer has no ONNX form"),
    (r"no output but losses", "it gives nothing but losses"),
    (r"takes no image", "no image goes in"),
    (r"is an input: nothing is before", "nothing is before the head"),
    (r"how many channels|does not say", "the definition does not say what goes in"),
    (r"does not fit input", "no image goes in"),
    (r"depends on more than their offset", "a table between places is no table of offsets"),
    (r"mask over windows", "a mask over windows is not that of shifted windows"),
    (r"differs by", "the numbers of the proof differ"),
    (r"onnxruntime refuses", "onnxruntime refuses the proof's model"),
)


def table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """A table of Markdown."""
    names = list(header)
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(f'{cell:,}' if isinstance(cell, int) else str(cell) for cell in row)} |"


def counted(found: list[Line], key: Callable[[Line], str]) -> Iterator[tuple[str, int, int, int, int]]:
    """(group, edits, ran, refused, failed), the groups in order of their names."""
    groups: dict[str, list[Line]] = collections.defaultdict(list)
    for line in found:
        groups[key(line)].append(line)
    for name, group in sorted(groups.items()):
        verdicts = collections.Counter(line["verdict"] for line in group)
        ran, refused = verdicts["ran"], verdicts["refused"]
        yield name, len(group), ran, refused, len(group) - ran - refused


def page(found: list[Line], heavy: str, all_nets: int) -> Iterator[str]:
    """The page, line by line."""
    read = [line for line in found if line["verdict"] != "unread"]
    verdicts = collections.Counter(line["verdict"] for line in read)
    ran, refused = verdicts["ran"], verdicts["refused"]
    failed = len(read) - ran - refused
    slow = f"; {verdicts['slow']} of these took too long" if verdicts["slow"] else ""
    nets = len({line["model"] for line in read})
    yield HEADER.format(
        count=len(read), nets=nets, ran=ran, refused=refused, failed=failed, heavy=heavy, slow=slow, all=all_nets
    ).rstrip()
    sums = ("tried", "ran", "refused", "failed")
    yield "\n## By kind of edit\n"
    yield from table(("edit", *sums), counted(read, lambda line: line["kind"]))
    yield "\n## Why an edit was refused\n"
    reasons: dict[tuple[str, str], list[Line]] = collections.defaultdict(list)
    for line in read:
        if line["verdict"] == "refused":
            reasons[line["code"], reason(line)].append(line)
    rows = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))
    yield from table(
        ("code", "reason", "edits", "nets", "for example"),
        ((code, words, len(group), len({x["model"] for x in group}), _example(group)) for (code, words), group in rows),
    )
    bad = [line for line in read if line["verdict"] not in ("ran", "refused")]
    if bad:
        yield "\n## What failed\n"
        yield from table(
            ("net", "edit", "verdict", "words"),
            ((line["model"], line["edit"], line["verdict"], line.get("words", "")[:160]) for line in bad),
        )
    texts = [line for line in read if "text" in line and line["text"] != "no text"]
    said = sum(line["text"] == "said" for line in texts)
    yield f"\nOf {len(texts):,} edits of texts that ran, the definition's own format says {said:,}; ONNX says the rest."
    yield "\n## By family\n"
    yield from table(("family", *sums), counted(read, lambda line: family(line["model"])))
    unread = [line for line in found if line["verdict"] == "unread"]
    if unread:
        yield "\nNot read: " + ", ".join(f"{line['model']} ({line['words']})" for line in unread) + "."


def _example(group: list[Line]) -> str:
    return f"{group[0]['model'].partition('/')[2]}, {group[0]['edit']}"


def main() -> None:
    """Writes the page."""
    from .attempt_surgery import HEAVY, models

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "surgery-attempts.md")
    given = parser.parse_args()
    text = "\n".join(page(lines(given.results), f"{HEAVY / 1e6:g} million", len(models([]))))
    given.into.write_text(text + "\n")


if __name__ == "__main__":
    main()
