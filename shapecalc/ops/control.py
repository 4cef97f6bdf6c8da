"""Operators with graphs inside: If, Loop, Scan, SequenceMap. A graph is entered with what is known of its inputs."""

from __future__ import annotations

from collections.abc import Sequence

from ..bounds import lower_bound
from ..dims import Dim, Expr, Unknown, maximum, minimum
from ..graph import Graph, Tensor
from .base import Call, Entered, register
from .counting import runtime_count
from .lists import Listed, merged, whole

#: Loops of so many turns or fewer are walked turn by turn.
MOST_TURNS = 64
#: The number of turns of a loop that only its condition ends.
ENDLESS = 2**63 - 1


def _graph(call: Call, name: str) -> Graph:
    body = call.attr(name)
    if not isinstance(body, Graph):
        raise ValueError(f"no graph {name!r}")
    return body


def _merged(rows: Sequence[Sequence[Tensor]], why: str) -> list[Tensor]:
    """What is known of values that are those of one of several rows."""
    found = list(rows[0])
    for row in rows[1:]:
        found = [merged(a, b, why) for a, b in zip(found, row, strict=True)]
    return found


# -- If ---------------------------------------------------------------------------------------------------------------


def _if(call: Call) -> list[Tensor]:
    """The branch that its condition chooses; both, where that is not known."""
    branches = [_graph(call, "else_branch"), _graph(call, "then_branch")]
    condition = call.contents(0)
    if condition and isinstance(condition[0], int):
        chosen = call.enter(branches[bool(condition[0])], ())
        call.report(chosen)
        return chosen.outputs
    first, second = (call.enter(branch, ()).outputs for branch in branches)
    _need_alike(call, first, second)
    found = _merged([first, second], f"{call.name}: it depends on a condition that is known when it runs")
    return [_named(call, i, *sides) for i, sides in enumerate(zip(found, first, second, strict=True))]


def _need_alike(call: Call, first: Sequence[Tensor], second: Sequence[Tensor]) -> None:
    """Branches give as many values of the same element types; raises ValueError. Their ranks may differ."""
    if len(first) != len(second):
        raise ValueError(f"its branches give {len(second)} and {len(first)} values")
    for a, b in zip(first, second, strict=True):
        if a.dtype is not None and b.dtype is not None and a.dtype != b.dtype:
            raise ValueError(f"its branches give {b.dtype} and {a.dtype}")


def _named(call: Call, output: int, found: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """An output of either branch, a symbol in the place of each size that the branches do not share."""
    shape = found.shape
    if not isinstance(shape, tuple) or not isinstance(a.shape, tuple) or not isinstance(b.shape, tuple):
        return found
    sizes = enumerate(zip(shape, a.shape, b.shape, strict=True))
    named = tuple(_either(call, output, axis, *sides) if isinstance(d, Unknown) else d for axis, (d, *sides) in sizes)
    return Tensor(named, found.dtype, found.contents)


def _either(call: Call, output: int, axis: int, a: Dim, b: Dim) -> Dim:
    """One of two sizes; of one that is not known itself, any."""
    if not isinstance(a, (int, Expr)) or not isinstance(b, (int, Expr)):
        return runtime_count(call, output, axis)
    low = max(0, lower_bound(minimum(a, b)) or 0)
    return runtime_count(call, output, axis, low=low, high=maximum(a, b))


# -- Loop -------------------------------------------------------------------------------------------------------------


def _known(call: Call, index: int, default: int | None) -> int | None:
    """A number given as a tensor; ``default`` where the input is absent, None where it is not known."""
    if not call.has(index):
        return default
    contents = call.contents(index)
    return contents[0] if contents and isinstance(contents[0], int) else None


def _turn(call: Call, state: Sequence[Tensor], number: int | None) -> Entered:
    counter = Tensor((), "int64", None if number is None else (number,))
    return call.enter(_graph(call, "body"), [counter, Tensor((), "bool", (1,)), *state])


def _goes_on(entered: Entered) -> bool | None:
    """Whether a turn asks for another one, None where that is not known."""
    contents = entered.outputs[0].contents
    return bool(contents[0]) if contents and isinstance(contents[0], int) else None


def _loop(call: Call) -> list[Tensor]:
    """Values carried from turn to turn, then one row a turn of what else the body gives."""
    start = [call.tensor(i) for i in range(2, len(call.inputs))]
    turns = _most(call)
    walked = _walked(call, start, turns) if turns is not None and _worth_walking(call, start, turns) else None
    return walked if walked is not None else _settled(call, start, turns)


def _most(call: Call) -> int | None:
    """How many turns there are at most, as far as a net can count; None where that is not known."""
    condition = _known(call, 1, 1)
    if condition is None:
        return None
    return _known(call, 0, ENDLESS) if condition else 0


def _worth_walking(call: Call, start: list[Tensor], turns: int) -> bool:
    """Whether the turns are few, or each decides anew whether another follows."""
    if turns <= MOST_TURNS:
        return True
    return _goes_on(_turn(call, [Tensor(tensor.shape, tensor.dtype) for tensor in start], None)) is not True


def _walked(call: Call, start: list[Tensor], turns: int) -> list[Tensor] | None:
    """Turn by turn; None where one does not tell whether another follows, or too many do."""
    state, rows, count = start, [], 0
    reports: list[Entered] = []
    for number in range(turns):
        entered = _turn(call, state, number)
        further = _goes_on(entered)
        if further is None or number >= MOST_TURNS:
            return None
        reports.append(entered)
        count += 1
        state, row = _parted(entered, len(start))
        rows.append(row)
        if not further:
            break
    for entered in reports[:1]:
        call.report(entered)
    if not rows:
        rows = [_parted(_turn(call, start, None), len(start))[1]]
    return [*state, *_stacked(_merged(rows, f"{call.name}: its turns give unlike rows"), count)]


def _settled(call: Call, start: list[Tensor], turns: int | None) -> list[Tensor]:
    """As many turns as it takes until nothing new comes of another one."""
    why = f"{call.name}: it changes from turn to turn"
    state = [Tensor(tensor.shape, tensor.dtype) for tensor in start]
    while True:
        entered = _turn(call, state, None)
        after, row = _parted(entered, len(start))
        wider = _merged([state, [Tensor(t.shape, t.dtype) for t in after]], why)
        if all(_same(a, b) for a, b in zip(state, wider, strict=True)):
            break
        state = wider
    exact = turns is not None and turns < ENDLESS and _goes_on(entered) is True
    if exact:
        call.report(entered)
    counts = [
        turns if exact else runtime_count(call, len(start) + i, high=_known(call, 0, None)) for i in range(len(row))
    ]
    ended = [_ended(call, index, tensor) for index, tensor in enumerate(state)]
    return [*ended, *(_stacked([tensor], count)[0] for tensor, count in zip(row, counts, strict=True))]


def _ended(call: Call, output: int, tensor: Tensor) -> Tensor:
    """A carried value after the last turn: a symbol in the place of each size that changes from turn to turn."""
    if not isinstance(tensor.shape, tuple):
        return tensor
    sizes = enumerate(tensor.shape)
    named = tuple(runtime_count(call, output, axis) if isinstance(d, Unknown) else d for axis, d in sizes)
    return Tensor(named, tensor.dtype)


def _parted(entered: Entered, carried: int) -> tuple[list[Tensor], list[Tensor]]:
    """(carried values, rows) of a turn; its first output is the condition."""
    return entered.outputs[1 : 1 + carried], entered.outputs[1 + carried :]


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether merging changed nothing: unknown sizes stay unknown."""
    if isinstance(a.shape, Listed) and isinstance(b.shape, Listed):
        first, second = a.shape.common, b.shape.common
        known = (a.shape.items is None) == (b.shape.items is None)
        return known and (first is second or (first is not None and second is not None and _same(first, second)))
    if not isinstance(a.shape, tuple) or not isinstance(b.shape, tuple):
        return isinstance(a.shape, tuple) == isinstance(b.shape, tuple)
    return [isinstance(d, Unknown) for d in a.shape] == [isinstance(d, Unknown) for d in b.shape]


def _stacked(rows: Sequence[Tensor], count: Dim, axes: Sequence[int] = ()) -> list[Tensor]:
    """Tensors with one more axis, of ``count`` rows: the first one unless ``axes`` says which."""
    found = []
    for index, tensor in enumerate(rows):
        shape = tensor.shape
        if isinstance(shape, tuple):
            axis = axes[index] if index < len(axes) else 0
            axis = axis + len(shape) + 1 if axis < 0 else axis
            shape = (*shape[:axis], count, *shape[axis:])
        found.append(Tensor(shape, tensor.dtype))
    return found


# -- Scan, SequenceMap ------------------------------------------------------------------------------------------------


def _scan(call: Call) -> list[Tensor]:
    """One turn for each place along the scanned axes."""
    if call.opset < 9:
        return _batched_scan(call)
    scanned = int(call.attr("num_scan_inputs"))
    carried = len(call.inputs) - scanned
    if carried < 0 or scanned < 1:
        raise ValueError(f"{scanned} of {len(call.inputs)} inputs are scanned")
    axes = call.attr("scan_input_axes", (0,) * scanned)
    state = [call.tensor(i) for i in range(carried)]
    slices: list[Tensor] = []
    length: Dim = 0
    for index, given in zip(range(carried, len(call.inputs)), axes, strict=True):
        shape = call.shape(index)
        axis = call.axis(int(given), len(shape))
        length = shape[axis]
        slices.append(Tensor((*shape[:axis], *shape[axis + 1 :]), call.tensor(index).dtype))
    entered = call.enter(_graph(call, "body"), [*(Tensor(t.shape, t.dtype) for t in state), *slices])
    call.report(entered)
    after = _merged([state, entered.outputs[:carried]], f"{call.name}: it changes from turn to turn")
    plain = [Tensor(tensor.shape, tensor.dtype) for tensor in after]
    return [*plain, *_stacked(entered.outputs[carried:], length, call.attr("scan_output_axes", ()))]


def _batched_scan(call: Call) -> list[Tensor]:
    """Scan-8: batches before everything, behind them what is scanned; the first input may say how long each one is."""
    scanned = int(call.attr("num_scan_inputs"))
    carried = len(call.inputs) - 1 - scanned
    if carried < 0 or scanned < 1:
        raise ValueError(f"{scanned} of {len(call.inputs) - 1} inputs are scanned")
    given = [(call.shape(i), call.tensor(i).dtype) for i in range(1, len(call.inputs))]
    (batch, length), state = given[-1][0][:2], [Tensor(shape[1:], dtype) for shape, dtype in given[:carried]]
    entered = call.enter(
        _graph(call, "body"), [*state, *(Tensor(shape[2:], dtype) for shape, dtype in given[carried:])]
    )
    call.report(entered)
    after = _merged([state, entered.outputs[:carried]], f"{call.name}: it changes from turn to turn")
    rows = _stacked(entered.outputs[carried:], length)
    return _stacked([*after, *rows], batch)


def _sequence_map(call: Call) -> list[Tensor]:
    """The body for every item of its first sequence; other sequences give an item to each, tensors stay as they are."""
    first = call.tensor(0).shape
    body = _graph(call, "body")
    if not isinstance(first, Listed) or first.items is None:
        return [Tensor(Listed(None)) for _ in body.outputs]
    rows: list[list[Tensor]] = []
    for index in range(len(first.items)):
        given = [call.tensor(i) for i in range(len(call.inputs))]
        items = [
            t.shape.items[index] if isinstance(t.shape, Listed) and t.shape.items is not None else t for t in given
        ]
        entered = call.enter(body, items)
        call.report(entered)
        rows.append(entered.outputs)
    return [Tensor(Listed([row[i] for row in rows])) for i in range(len(body.outputs))]


register(
    whole("If", _if, "ONNX If-25"),
    whole("Loop", _loop, "ONNX Loop-25"),
    whole("Scan", _scan, "ONNX Scan-25; Scan-8"),
    whole("SequenceMap", _sequence_map, "ONNX SequenceMap-17"),
)
