"""Attributes, parts and iteration of every kind of value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import python
from .chains import LINK, adopt, is_link
from .library import lookup
from .methods import method
from .operators import attribute as variable_attribute
from .operators import item as variable_item
from .text import Site
from .use import describe
from .values import (
    Arguments,
    Array,
    Bound,
    Class,
    Function,
    Instance,
    Layer,
    Native,
    Opaque,
    Parameter,
    Scope,
    Super,
    Value,
    Variable,
)

if TYPE_CHECKING:
    from .interpreter import Run

#: What a link of one layer has besides its methods and its settings (chainer/link.py).
LINK_NAMES = frozenset("name xp W b gamma beta avg_mean avg_var forward __call__ local_link_hooks".split())
#: A dotted name longer than this was made by a loop.
LONGEST_NAME = 200


def get_attribute(run: Run, holder: Value, name: str, site: Site) -> Value:
    """``holder.name``."""
    if isinstance(holder, Opaque):
        if isinstance(holder, Array) and name in ("shape", "ndim"):
            return holder.shape if name == "shape" else len(holder.shape)
        if isinstance(holder, Array) and name in ("astype", "copy", "array", "data"):
            return holder if name in ("array", "data") else Native(name, lambda run, arguments, at: holder)
        dotted = f"{holder.name}.{name}"[:LONGEST_NAME]
        if dotted in ("numpy.newaxis", "cupy.newaxis"):
            return None
        if dotted in run.arguments:
            return run.arguments[dotted]
        found = lookup(run, dotted)
        return Opaque(dotted, site) if found is None else found
    if isinstance(holder, Instance):
        return _of_instance(run, holder, name, site)
    if isinstance(holder, Variable):
        return variable_attribute(run, holder, name, site)
    if isinstance(holder, Class):
        return _of_class(holder, name, site)
    if isinstance(holder, Super):
        found = holder.self_value.kind.find(name, holder.after)
        if found is None and name == "__call__":  # Link.__call__ calls forward (chainer/link.py)
            found = holder.self_value.kind.find("forward", holder.after)
        return _bound(run, holder.self_value, found, name, site)
    return _of_other(holder, name, site)


def _of_other(holder: Value, name: str, site: Site) -> Value:
    if isinstance(holder, Layer):
        return holder.given.get(name, Opaque(f"{holder.path or holder.row.name}.{name}", site))
    if isinstance(holder, Scope):
        if name in holder.names:
            return holder.names[name]
        raise site.error(f"{holder.text.name} has no {name!r}")
    if isinstance(holder, Native):
        if name == "apply":  # FunctionNode.apply((x,)) gives a tuple
            return Native(name, lambda run, arguments, at: _applied(run, holder, arguments, at))
        return holder if holder.name == name else Opaque(f"{holder.name}.{name}", site)
    return method(holder, name, site)


def _applied(run: Run, function: Native, arguments: Arguments, site: Site) -> Value:
    values = iterate(run, arguments.positional[0], site) if arguments.positional else []
    result = run.call(function, Arguments(values), site)
    return result if isinstance(result, tuple) else (result,)


def _of_instance(run: Run, holder: Instance, name: str, site: Site) -> Value:
    """Python's order: a property of the class, the object's own, a method of the class."""
    from_class = holder.kind.find(name)
    if isinstance(from_class, Function) and from_class.kind == "property":
        return run.call(Bound(from_class, holder), Arguments(), site)
    if name == "train" and isinstance(holder.attributes.get(name), bool) and is_link(holder):
        return run.train  # Chainer 1's own switch, set from outside
    if name in holder.attributes:
        value = holder.attributes[name]
        return read_parameter(run, value) if isinstance(value, Parameter) else value
    if name in holder.children:
        return holder.children[name]
    if from_class is None and name == "name":
        return holder.name
    if from_class is None and name == "xp" and is_link(holder):
        return Opaque("numpy", site)
    if from_class is None and name == "within_init_scope" and is_link(holder):
        return holder.open > 0
    asked = holder.kind.find("__getattr__") if from_class is None and name[:2] != "__" else None
    if isinstance(asked, Function):
        return run.call(Bound(asked, holder), Arguments([name]), site)
    return _bound(run, holder, from_class, name, site)


def read_parameter(run: Run, parameter: Parameter) -> Variable:
    """A parameter as a value of the graph, under the path of its link."""
    shape = parameter.shape
    name = run.tape.param(parameter.path, shape, trained=parameter.trained, origin=parameter.origin)
    return Variable(name, None if shape is None else len(shape), known=shape)


def _bound(run: Run, holder: Instance, found: Value, name: str, site: Site) -> Value:
    if found is None:
        if name == "__init__":
            return Native(name, lambda run, arguments, at: None)
        return Opaque(f"self.{name}" if is_link(holder) else f"{holder.kind.name}.{name}", site)
    if isinstance(found, Function) and found.kind == "staticmethod":
        return found
    if isinstance(found, Function) and found.kind == "classmethod":
        return Bound(found, holder.kind)
    return Bound(found, holder) if isinstance(found, (Function, Native)) else found


def _of_class(holder: Class, name: str, site: Site) -> Value:
    if name == "__name__":
        return holder.name
    found = holder.find(name)
    if isinstance(found, Function) and found.kind == "classmethod":
        return Bound(found, holder)
    return Opaque(f"{holder.name}.{name}", site) if found is None else found


def has_attribute(run: Run, holder: Value, name: str, site: Site) -> Value:
    """``hasattr``: known for objects of the definition."""
    if isinstance(holder, Instance):
        return name in holder.attributes or name in holder.children or holder.kind.find(name) is not None
    if isinstance(holder, Class):
        return holder.find(name) is not None
    if isinstance(holder, (Native, Function, Bound)):
        return False  # a function has no attributes of its own but those that Python gives all
    if isinstance(holder, Layer):
        return name in holder.given or (name in LINK_NAMES or LINK.find(name) is not None)
    if holder is None or isinstance(holder, (bool, int, float, str, list, tuple, dict)):
        return hasattr(holder, name)
    return Opaque(site.quote(), site)


def setter(name: str) -> str:
    """What a class calls the setter of a property: no name that Python could write."""
    return f"{name}.setter"


def set_attribute(run: Run, holder: Value, name: str, value: Value, site: Site) -> None:
    """``holder.name = value``, as the class of the definition has it where that says how."""
    own = holder.kind.find("__setattr__") if isinstance(holder, Instance) else None
    if isinstance(own, Function):
        run.call(Bound(own, holder), Arguments([name, value]), site)
    else:
        assign_attribute(run, holder, name, value, site)


def assign_attribute(run: Run, holder: Value, name: str, value: Value, site: Site) -> None:
    """``object.__setattr__``; a link assigned inside ``init_scope`` becomes a child."""
    sets = holder.kind.find(setter(name)) if isinstance(holder, Instance) else None
    if isinstance(sets, Function):
        run.call(Bound(sets, holder), Arguments([value]), site)
    elif isinstance(holder, Instance):
        holder.attributes[name] = value
        if isinstance(value, Parameter) and value.parent is None:
            value.parent, value.name = holder, name
        elif holder.open and is_link(value):
            adopt(holder, name, value, site)
        elif is_link(value) and value.parent is None and value.name is None and not run.chains:
            value.name = f"{holder.path}/{name}".lstrip("/")  # what it is called, though it is not saved
    elif isinstance(holder, Class):
        holder.names[name] = value
    elif not isinstance(holder, (Opaque, Variable, Layer)):
        raise site.error(f"an assignment to {site.quote()} is not supported", "E204")


def set_item(holder: Value, key: Value, value: Value, site: Site) -> None:
    """``holder[key] = value``."""
    if isinstance(holder, (Opaque, Variable)):
        return
    try:
        if isinstance(holder, (dict, list)):
            holder[key] = value
            return
    except (TypeError, IndexError, ValueError) as error:
        raise site.error(f"{site.quote()}: {error}") from None
    raise site.error(f"an assignment to {site.quote()} is not supported", "E204")


def get_item(run: Run, holder: Value, key: Value, site: Site) -> Value:
    """``holder[key]``."""
    if isinstance(holder, Variable):
        return variable_item(run, holder, key, site)
    if isinstance(holder, Opaque) and holder.name == "sys.modules" and isinstance(key, str) and key in run.modules:
        return run.modules[key]
    if isinstance(holder, Opaque) or isinstance(key, Opaque):
        return Opaque(site.quote(), site)
    if isinstance(holder, Instance):
        if isinstance(key, slice) and is_link(holder):
            return iterate(run, holder, site)[key]
        return run.call(get_attribute(run, holder, "__getitem__", site), Arguments([key]), site)
    return python.index(holder, key, site)


def iterate(run: Run, holder: Value, site: Site) -> list[Value]:
    """What a loop over ``holder`` goes over."""
    if isinstance(holder, Instance) and is_link(holder):
        own = holder.kind.find("__iter__")
        if isinstance(own, Function):
            return python.elements(run.call(Bound(own, holder), Arguments(), site), site)
        return list(holder.attributes.get("layers", holder.children.values()))
    if isinstance(holder, Instance):
        raise site.error(f"a loop over {describe(holder)} is not supported", "E204")
    return python.elements(holder, site)
