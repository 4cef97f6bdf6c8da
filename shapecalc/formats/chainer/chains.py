"""Chainer's classes that definitions derive from: Link, Chain, ChainList, Sequential, as classes of native methods.

chainer/link.py, chainer/sequential.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .text import Site
from .use import describe
from .values import DEEPEST, Arguments, Array, Class, Instance, Layer, Link, Native, Opaque, Parameter, Value

if TYPE_CHECKING:
    from .interpreter import Run

Method = Callable[["Run", Instance, Arguments, Site], Value]


def _native(name: str, method: Method) -> Native:
    def call(run: Run, arguments: Arguments, site: Site) -> Value:
        if not arguments.positional or not isinstance(arguments.positional[0], Instance):
            raise site.error(f"{name} is called without its object")
        rest = Arguments(
            arguments.positional[1:],
            arguments.keywords,
            {key - 1 if isinstance(key, int) else key: span for key, span in arguments.spans.items()},
        )
        return method(run, arguments.positional[0], rest, site)

    return Native(name, call)


def _class(name: str, bases: Sequence[Class], **methods: Method) -> Class:
    return Class(name, bases, {key: _native(key, method) for key, method in methods.items()})


def adopt(chain: Instance, name: str, link: Link, site: Site) -> None:
    """Makes a link a child: its weights are saved under ``<path of the chain>/<name>``."""
    above: Instance | None = chain
    for _ in range(DEEPEST):
        if above is None:
            break
        if above is link:
            raise site.error(f"{site.quote()}: a chain cannot be inside itself")
        above = above.parent
    else:
        raise site.error(f"{site.quote()}: chains are nested too deeply")
    link.parent, link.name = chain, name
    chain.children[name] = link


def _nothing(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    return None


def _itself(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    return chain


def _init_params(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    """Chainer 1: ``super().__init__(W=(4, 3))``, the shapes of parameters of a link of one's own."""
    for name, shape in arguments.keywords.items():
        keep(run, chain, name, sizes(shape), site)


def sizes(shape: Value) -> tuple[Value, ...] | None:
    """A shape: one number or several; None for one that is not known yet."""
    given = tuple(shape) if isinstance(shape, (list, tuple)) else (shape,)
    return given if all(isinstance(size, int) and size >= 0 for size in given) else None


def keep(
    run: Run, chain: Instance, name: str, shape: tuple[Value, ...] | None, site: Site, *, trained: bool = True
) -> None:
    """Gives a link a parameter of its own."""
    made = Parameter(shape, run.origin(site, "Parameter", {}), trained=trained)
    made.parent, made.name = chain, name
    chain.attributes[name] = made


def _add_param(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    """``Link.add_param(name, shape=None, dtype, initializer)``."""
    name, shape, *_ = (*arguments.positional, arguments.keywords.get("shape"), None)
    if isinstance(name, str):
        keep(run, chain, name, sizes(shape), site)


def _add_persistent(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    """``Link.add_persistent(name, value)``: an array is saved with the link, another value is an attribute."""
    name, value, *_ = (*arguments.positional, arguments.keywords.get("value"), None)
    if isinstance(name, str) and isinstance(value, Array):
        keep(run, chain, name, sizes(value.shape), site, trained=False)
    elif isinstance(name, str):
        chain.attributes[name] = value


def _register_persistent(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    """``Link.register_persistent(name)``: the array it names is saved with the link."""
    for name in arguments.positional:
        value = chain.attributes.get(name) if isinstance(name, str) else None
        if isinstance(value, Array):
            keep(run, chain, str(name), sizes(value.shape), site, trained=False)


def _init_links(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    """Chainer 1: ``super().__init__(conv1=L.Convolution2D(…))``; a link that is None is left out."""
    for name, link in arguments.keywords.items():
        if isinstance(link, Link):
            adopt(chain, name, link, site)
            chain.attributes[name] = link
        else:
            chain.attributes[name] = link


def _init_list(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    for link in arguments.positional:
        _append(run, chain, Arguments([link]), site)


def _append(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    for link in arguments.positional:
        if isinstance(link, Link):
            adopt(chain, str(len(chain.children)), link, site)
        elif not isinstance(link, Opaque):
            raise site.error(f"{site.quote()}: this is no link")
        else:
            raise site.error(f"{site.quote()}: {link.name} is not a link that is supported", "E204")


def _add_link(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    """``Chain.add_link(name, link)``."""
    name, link, *_ = (*arguments.positional, *arguments.keywords.values(), None, None)
    if not isinstance(name, str) or not isinstance(link, Link):
        raise site.error(f"{site.quote()}: add_link takes a name and a link")
    adopt(chain, name, link, site)
    chain.attributes[name] = link


def _init_scope(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    return Scoped(chain)


class Scoped:
    """``self.init_scope()``: links that are assigned inside become children."""

    __slots__ = ("chain",)

    def __init__(self, chain: Instance) -> None:
        self.chain = chain


def children(chain: Instance) -> list[Link]:
    """The child links in order."""
    return list(chain.children.values())


def paths(model: Instance) -> list[str]:
    """The paths of all links below a model."""
    found: list[str] = []
    waiting: list[Link] = children(model)
    while waiting:
        link = waiting.pop()
        found.append(link.path)
        waiting += children(link) if isinstance(link, Instance) else []
    return found


def _all_links(run: Run, chain: Instance, site: Site) -> list[Link]:
    """The chain and everything below it, each before its children."""
    found: list[Link] = []
    waiting: list[Link] = [chain]
    while waiting:
        run.tick(site)
        link = waiting.pop()
        found.append(link)
        waiting += reversed(children(link)) if isinstance(link, Instance) else []
    return found


def _get_by_name(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    """``Chain.__getitem__`` is ``getattr`` (chainer/link.py)."""
    from .attributes import get_attribute

    name = arguments.positional[0] if arguments.positional else None
    if not isinstance(name, str) or name not in chain.attributes:
        return _get_item(run, chain, arguments, site)
    return get_attribute(run, chain, name, site)


def _set_attribute(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    """``super().__setattr__(name, value)`` of a class that has its own."""
    from .attributes import assign_attribute

    name, value, *_ = (*arguments.positional, None, None)
    if not isinstance(name, str):
        raise site.error(f"{site.quote()}: the name of the attribute is {describe(name)}")
    assign_attribute(run, chain, name, value, site)


def _get_item(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    key = arguments.positional[0] if arguments.positional else None
    try:
        return chain.children[key] if isinstance(key, str) else children(chain)[key]  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        raise site.error(f"{site.quote()}: there is no such link") from None


def _forward_sequential(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    """Each layer in turn; several results go on as several arguments."""
    values = arguments.positional
    for layer in chain.attributes.get("layers", []):
        result = run.call(layer, Arguments(values), site)
        values = tuple(result) if isinstance(result, tuple) else (result,)
    return values[0] if len(values) == 1 else values


def _add_layers(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    for layer in arguments.positional:
        _insert_layer(chain, len(chain.attributes.setdefault("layers", [])), layer, site)


def _insert_layer(chain: Instance, place: int, layer: Value, site: Site) -> None:
    """Layers stand in the order they are called in; the names of links are those of chainer/sequential.py, insert.

    It looks for the link before the new one, and ends at the first of all: a new link comes right behind that. So
    ``Sequential(a, b, c)`` saves b as 2 and c as 1, and a snapshot has it so.
    """
    layers: list[Value] = chain.attributes.setdefault("layers", [])
    if isinstance(layer, Link):
        adopt(chain, str(len(chain.children)), layer, site)
        found = [link for link in children(chain) if link is not layer]
        first = next((i for i, other in enumerate(layers[:place]) if isinstance(other, Link)), 0)
        found.insert(first + 1 if place else 0, layer)
        chain.children.clear()
        for index, link in enumerate(found):
            link.name = str(index)
            chain.children[link.name] = link
    layers.insert(place, layer)


def _insert(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    """``Sequential.insert(i, layer)``."""
    place, layer, *_ = (*arguments.positional, *arguments.keywords.values(), None, None)
    count = len(chain.attributes.setdefault("layers", []))
    if not isinstance(place, int) or not -count <= place <= count:
        raise site.error(f"{site.quote()}: {describe(place)} is no place among {count} layers")
    _insert_layer(chain, place + count if place < 0 else place, layer, site)


def _extend(run: Run, chain: Instance, arguments: Arguments, site: Site) -> Value:
    """``Sequential.extend(sequential)``."""
    from .attributes import iterate

    for others in arguments.positional:
        _add_layers(run, chain, Arguments(iterate(run, others, site)), site)


LINK = _class(
    "Link",
    (),
    __init__=_init_params,
    init_scope=_init_scope,
    __setattr__=_set_attribute,
    add_param=_add_param,
    add_persistent=_add_persistent,
    register_persistent=_register_persistent,
    to_cpu=_itself,
    to_gpu=_itself,
    to_device=_itself,
    cleargrads=_nothing,
    zerograds=_nothing,
    disable_update=_nothing,
    enable_update=_nothing,
    links=lambda run, chain, arguments, site: _all_links(run, chain, site),
    children=lambda run, chain, arguments, site: children(chain),
    namedlinks=lambda run, chain, arguments, site: [(f"/{k.path}", k) for k in _all_links(run, chain, site)],
)
CHAIN = _class("Chain", (LINK,), __init__=_init_links, add_link=_add_link, __getitem__=_get_by_name)
CHAIN_LIST = _class(
    "ChainList",
    (LINK,),
    __init__=_init_list,
    append=_append,
    add_link=_append,
    __getitem__=_get_item,
    __len__=lambda run, chain, arguments, site: len(chain.children),
)
SEQUENTIAL = _class(
    "Sequential",
    (CHAIN_LIST,),
    __init__=_add_layers,
    append=_add_layers,
    insert=_insert,
    extend=_extend,
    forward=_forward_sequential,
    __getitem__=lambda run, chain, arguments, site: chain.attributes["layers"][arguments.positional[0]],
    __len__=lambda run, chain, arguments, site: len(chain.attributes.get("layers", [])),
)
#: FunctionSet is Chainer 1.3's Chain (chainer/function_set.py).
BASES = {"Link": LINK, "Chain": CHAIN, "ChainList": CHAIN_LIST, "Sequential": SEQUENTIAL, "FunctionSet": CHAIN}


def is_link(value: Value) -> bool:
    """Whether a value is a link with a place in the tree."""
    return isinstance(value, Layer) or (isinstance(value, Instance) and LINK in value.kind.order)
