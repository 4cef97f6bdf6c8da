"""How fast a new layer learns: Caffe's guide to fine-tuning gives it ten times the rate of the trained ones.

Source: Caffe examples/finetune_flickr_style, where ``lr_mult`` is 10 and 20 (weights, bias) beside 1 and 2 elsewhere,
``decay_mult`` 1 and 0. In V1 and V0 the same numbers are lists, ``blobs_lr`` and ``weight_decay``.
"""

from __future__ import annotations

from collections import Counter

from .draft import Draft, plain
from .layer import Layer
from .layers import is_loss
from .style import Item
from .text import Field, Message
from .view import View

#: lr_mult of the weights and of the bias, as multiples of what trained weights have; decay_mult of both.
RATES = (10, 20)
DECAYS = (1, 0)


def trains(draft: Draft) -> bool:
    """Whether the file is for training: it has a loss in some phase."""
    return any(is_loss(layer.type) for layer in draft.layers)


def base_rate(draft: Draft, heads: list[Layer]) -> float:
    """The rate most trained weights have, frozen ones aside; 1 where the file says nothing."""
    counts: Counter[float] = Counter()
    for layer in draft.layers:
        specs = layer.view.views("param") if layer not in heads else []
        rates = [spec.real("lr_mult", 1.0) for spec in specs[:1]]
        counts.update(rate for rate in rates if rate > 0)
    return counts.most_common(1)[0][0] if counts else 1.0


def speed_up(draft: Draft, layer: Layer, count: int, base: float) -> None:
    """Sets the rates of a layer's ``count`` parameters to those of a new one."""
    rates = [base * rate for rate in RATES[:count]]
    if draft.age == 2:
        _set_specs(draft, layer, rates)
    else:
        _set_lists(draft, layer, rates)


def _set_specs(draft: Draft, layer: Layer, rates: list[float]) -> None:
    specs = layer.view.all("param")
    new: list[Item] = []
    for index, (rate, decay) in enumerate(zip(rates, DECAYS, strict=False)):
        message = specs[index].value if index < len(specs) else None
        if not isinstance(message, Message):
            new.append(("param", [("lr_mult", plain(rate)), ("decay_mult", plain(decay))]))
            continue
        view = View(message, draft.document.name)
        field, decayed = view.one("lr_mult"), view.one("decay_mult")
        if field is not None:
            draft.number(field, rate)
        else:
            draft.extend(layer, message, [("lr_mult", plain(rate))])
        if decayed is not None:
            draft.number(decayed, decay)
    if new:
        draft.add(layer, new, specs[-1] if specs else None)


def _set_lists(draft: Draft, layer: Layer, rates: list[float]) -> None:
    place = draft.place(layer)
    fields = place.inner.fields if place is not None else ()
    given = [field for field in fields if field.name == "blobs_lr"]
    decays = [field for field in fields if field.name == "weight_decay"]
    _overwrite(draft, given, rates)
    _overwrite(draft, decays, list(DECAYS))
    new: list[Item] = [("blobs_lr", plain(rate)) for rate in rates[len(given) :]]
    if new and not given and not decays:
        new += [("weight_decay", plain(decay)) for decay in DECAYS[: len(rates)]]
    if new:
        draft.add(layer, new, given[-1] if given else None, inside=True)


def _overwrite(draft: Draft, fields: list[Field], values: list[float]) -> None:
    for field, value in zip(fields, values, strict=False):
        draft.number(field, value)
