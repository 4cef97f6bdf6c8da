"""Exports of timm's nets retargeted to other sizes, against timm's own nets built at those sizes with the same weights.

    python -m tests.tools.compare_timm FOLDER                       all of `NETS`, by both exporters
    python -m tests.tools.compare_timm FOLDER vit_tiny_patch16_224  these
    python -m tests.tools.compare_timm FOLDER --exporters ts        by the TorchScript exporter alone
    python -m tests.tools.compare_timm FOLDER --record              exports, and what timm gives; nothing is retargeted

Needs torch, timm, onnx, onnxscript and onnxruntime, none of which (but the last) the project depends on. A net is
built with seeded weights, exported at the size it was made for, and its own answers at other sizes (`sizes`) are put
beside the file in FOLDER; a second run uses what lies there. At another size timm's weights are
those that its own loading makes of them (``checkpoint_filter_fn``, ``resample_abs_pos_embed``). Prints a line of JSON
for each: the largest difference relative to the answer's largest number, or the refusal. Exit status 1 if one is
larger than `LIMIT`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import warnings
from collections.abc import Iterator
from math import isqrt
from pathlib import Path
from typing import Any

import numpy

#: Largest difference from timm's own, relative to the answer's largest number.
LIMIT = 1e-4
#: A family each, the smallest net of it that is like the others.
NETS = (
    "vit_tiny_patch16_224", "vit_small_patch16_rope_224", "vit_dwee_patch16_reg1_gap_256", "vit_tiny_r_s16_p8_224",
    "vit_base_patch16_siglip_224", "vit_small_patch14_reg4_dinov2", "vit_relpos_small_patch16_224", "flexivit_small",
    "deit_tiny_distilled_patch16_224", "deit3_small_patch16_224", "cait_xxs24_224", "beit_base_patch16_224",
    "beitv2_base_patch16_224", "eva02_tiny_patch14_224", "swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256",
    "swinv2_cr_tiny_224", "maxvit_pico_rw_256", "maxvit_tiny_tf_224", "coatnet_nano_rw_224", "coatnet_rmlp_nano_rw_224",
    "twins_pcpvt_small", "twins_svt_small", "pit_ti_224", "pit_ti_distilled_224", "levit_128s", "levit_conv_128s",
    "efficientformer_l1", "efficientformerv2_s0", "mobilevit_xxs", "mobilevitv2_050", "convnext_atto", "resnet18",
    "efficientnet_b0", "regnety_002", "densenet121", "mixer_s32_224", "resmlp_12_224", "gmlp_ti16_224",
    "xcit_nano_12_p16_224", "pvt_v2_b0", "crossvit_tiny_240", "volo_d1_224", "focalnet_tiny_srf", "davit_tiny",
    "hiera_tiny_224", "tnt_s_patch16_224", "nest_tiny", "poolformer_s12", "edgenext_xx_small", "fastvit_t8",
    "repvit_m0_9", "mobileone_s0", "efficientvit_b0", "efficientvit_m0", "tiny_vit_5m_224", "gcvit_xxtiny",
    "coat_lite_tiny", "convit_tiny", "visformer_tiny", "mvitv2_tiny", "sequencer2d_s", "vitamin_small_224",
    "samvit_base_patch16_224", "naflexvit_base_patch16_gap", "mambaout_femto", "rexnet_100",
)  # fmt: skip
EXPORTERS = ("ts", "dynamo")
#: Deeper nets of one stage are cut to so many blocks: the others repeat them.
BLOCKS = 3
#: Weights of a layer that start as one small number (LayerScale) hide it: those get numbers around this.
SPREAD = 0.2
SEED = 5

Size = tuple[int, int]


def sizes(native: Size, step: int) -> tuple[Size, ...]:
    """A square that is larger, one that is smaller and a rectangle, of whole steps, and a rectangle that is of none."""
    many = native[0] // step
    larger, smaller = max(many + 1, round(many * 8 / 7)), min(many - 1, round(many * 5 / 7))
    return (
        (larger * step, larger * step),
        (smaller * step, smaller * step),
        (round(many * 6 / 7) * step, round(many * 10 / 7) * step),
        (native[0] - 25, native[1] + 13),
    )


def seed(model: Any) -> None:
    """Gives every parameter numbers that show: none is constant, and variances are positive."""
    import torch

    make = torch.Generator().manual_seed(SEED)
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        if not value.dtype.is_floating_point:
            continue
        noise = torch.randn(value.shape, generator=make)
        if name.endswith("running_var"):
            value.data = 1 + SPREAD * noise.abs()
        elif name in dict(model.named_parameters()) or name.endswith("running_mean"):
            flat = value.numel() < 2 or float(value.std()) < 1e-6
            small = flat and float(value.abs().max()) < 1e-1
            value.data = value.data * (0 if small else 1) + (SPREAD if flat or value.ndim < 2 else 0) * noise


def built(name: str, **options: Any) -> Any:
    """The net of that name, cut short where it repeats one block."""
    import timm

    model = timm.create_model(name, pretrained=False, **options)
    if type(model).__module__.rpartition(".")[2] in ONE_STAGE:
        with contextlib.suppress(TypeError):
            model = timm.create_model(name, pretrained=False, depth=BLOCKS, **options)
    return model.eval()


#: Modules of nets that repeat one block.
ONE_STAGE = frozenset({"vision_transformer", "beit", "eva", "cait", "deit", "vision_transformer_relpos", "mlp_mixer",
                       "xcit", "convit", "tnt", "vision_transformer_sam", "naflexvit"})  # fmt: skip


def own(name: str, model: Any, size: Size) -> tuple[Any, str]:
    """timm's own net at a size with the weights of ``model``, and how it came to be."""
    try:
        other = built(name, img_size=size)
    except TypeError:
        return model, "as it is"
    weights = model.state_dict()
    made = sys.modules[type(model).__module__]
    carry = getattr(made, "checkpoint_filter_fn", None)
    how = "timm's img_size"
    if carry is not None:
        weights = carry(dict(weights), other)
        how += " and checkpoint filter"
    wanted = other.state_dict()
    for key, value in list(weights.items()):
        if key in wanted and value.shape != wanted[key].shape:
            blocks = value.ndim == 4 and made.__name__.endswith(".nest")
            weights[key] = (
                made.resize_pos_embed(value, wanted[key]) if blocks else _table(key, value, wanted[key].shape, size)
            )
            how += f", {key} resampled"
    buffers = {key for key, _ in other.named_buffers()} - {
        k for k in wanted if k.endswith(("running_mean", "running_var", "num_batches_tracked"))
    }
    left = other.load_state_dict({k: v for k, v in weights.items() if k not in buffers}, strict=False)
    missing = [key for key in left.missing_keys if key not in buffers]
    if missing or left.unexpected_keys:
        raise LookupError(f"weights left over: {missing[:3]} {left.unexpected_keys[:3]}")
    return other.eval(), how


def _table(key: str, value: Any, shape: Any, size: Size) -> Any:
    """A table of positions that timm's filter leaves alone, by timm's `resample_abs_pos_embed`."""
    from timm.layers import resample_abs_pos_embed, resample_abs_pos_embed_nhwc

    if value.ndim == 3 and value.shape[-1] == shape[-1] and value.shape[0] == 1:
        tokens = value.shape[1] - isqrt(value.shape[1]) ** 2
        count = shape[1] - tokens
        high = next(n for n in range(1, count + 1) if count % n == 0 and round(count / n * size[0] / size[1]) == n)
        return resample_abs_pos_embed(value, [high, count // high], num_prefix_tokens=tokens)
    if value.ndim == 4 and value.shape[1] == shape[1]:
        return resample_abs_pos_embed_nhwc(value.permute(0, 2, 3, 1), list(shape[2:])).permute(0, 3, 1, 2)
    if value.ndim == 4 and value.shape[3] == shape[3]:
        return resample_abs_pos_embed_nhwc(value, list(shape[1:3]))
    raise LookupError(f"timm has no way for {key} {tuple(value.shape)} → {tuple(shape)}")


def image(size: Size) -> Any:
    """A seeded image."""
    return numpy.random.default_rng(SEED).standard_normal((1, 3, *size), numpy.float32)


def answer(model: Any, size: Size) -> Any:
    """What a net says of the image."""
    import torch

    with torch.no_grad():
        found = model(torch.from_numpy(image(size)))
    return found.numpy()


def record(name: str, exporters: tuple[str, ...], folder: Path) -> None:
    """Writes the net's exports, and beside them a file of timm's answers, where they are not there yet."""
    import torch

    told = folder / f"{name}.npz"
    targets = {how: folder / f"{name}.{how}.onnx" for how in exporters}
    if told.exists() and all(path.exists() or path.with_suffix(".failed").exists() for path in targets.values()):
        return
    model = built(name)
    seed(model)
    native = tuple(model.pretrained_cfg.get("input_size", (3, 224, 224))[1:])
    if not told.exists():
        _answers(name, model, native, told)
    for how, path in targets.items():
        if path.exists() or path.with_suffix(".failed").exists():
            continue
        example = torch.from_numpy(image(native))
        try:
            names = {"input_names": ["x"], "output_names": ["y"]}
            if how == "ts":
                torch.onnx.export(model, (example,), str(path), dynamo=False, **names)
            else:
                torch.onnx.export(model, (example,), dynamo=True, verbose=False, **names).save(str(path))
        except Exception as error:  # noqa: BLE001  a net that torch cannot export says nothing of this project
            path.with_suffix(".failed").write_text(f"{type(error).__name__}: {str(error)[:300]}")


def _answers(name: str, model: Any, native: Size, target: Path) -> None:
    step = 14 if native[0] % 32 and not native[0] % 14 else 32
    if "patch14" in name:
        step = 14
    kept: dict[str, Any] = {"native": numpy.array(native)}
    for size in sizes(native, step):
        key = f"{size[0]}x{size[1]}"
        try:
            other, how = own(name, model, size)
            kept[key], kept[f"{key}.how"] = answer(other, size), numpy.array(how)
        except Exception as error:  # noqa: BLE001  timm says here what it does not take
            kept[f"{key}.none"] = numpy.array(f"{type(error).__name__}: {str(error)[:200]}")
    numpy.savez(target, **kept)


def compared(name: str, how: str, folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each size: how far the retargeted export is from timm's own."""
    path = folder / f"{name}.{how}.onnx"
    told = numpy.load(folder / f"{name}.npz")
    if not path.exists():
        yield {"net": name, "by": how, "size": "", "no export": path.with_suffix(".failed").read_text()[:120]}
        return
    for key in sorted({key.partition(".")[0] for key in told.files} - {"native"}):
        row: dict[str, Any] = {"net": name, "by": how, "size": key}
        if key in told.files:
            row["own"] = str(told[f"{key}.how"])
        else:
            row["none"] = str(told[f"{key}.none"])
        yield {**row, **retargeted(path, key, told[key] if key in told.files else None)}


def retargeted(path: Path, size: str, wanted: Any) -> dict[str, Any]:
    """What came of an export at a size: the difference from what is ``wanted``, or the refusal."""
    import onnxruntime

    import shapecalc

    target = path.with_name(f"{path.name.removesuffix('.onnx')}-{size}.onnx")
    try:
        plan = shapecalc.load(path).retarget(input=size)
        plan.save(target, overwrite=True, device="cpu")
    except shapecalc.ShapecalcError as error:
        return {"refused": str(error), "because": str(getattr(error, "because", None))}
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(target), options, providers=["CPUExecutionProvider"])
        high, wide = map(int, size.split("x"))
        got = session.run(None, {session.get_inputs()[0].name: image((high, wide))})[0]
    finally:
        target.unlink()
        for beside in target.parent.glob(f"{target.name}.*"):
            beside.unlink()
    row: dict[str, Any] = {"repair": next((r.name for r in plan.repairs if plan.chosen(r)), "")}
    if wanted is not None:
        scale = float(numpy.abs(wanted).max())
        row["off"] = float(numpy.abs(got - wanted).max()) / scale if got.shape == wanted.shape else str(got.shape)
    return row


def main() -> int:
    """Prints a row for each net, exporter and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("nets", nargs="*")
    parser.add_argument("--exporters", default=",".join(EXPORTERS))
    parser.add_argument("--record", action="store_true")
    asked = parser.parse_args()
    asked.folder.mkdir(exist_ok=True)
    exporters = tuple(asked.exporters.split(","))
    worst = 0.0
    for name in asked.nets or NETS:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            record(name, exporters, asked.folder)
        for row in (row for how in exporters if not asked.record for row in compared(name, how, asked.folder)):
            print(json.dumps(row), flush=True)
            worst = max(worst, row["off"] if isinstance(row.get("off"), float) else float("inf") if "off" in row else 0)
    return 1 if worst > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
