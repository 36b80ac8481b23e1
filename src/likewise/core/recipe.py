"""Recipes: typed Python functions that say what to build and how long to train.

A recipe is a tree of :class:`Spec`: a named part and its settings, built when the run starts. Settings are checked
against the part's own signature, so there is no second list of options to keep, and a saved recipe can only name
parts that are registered.
"""

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, Union

from likewise.core.errors import InputError, near

T = TypeVar("T", bound=Callable[..., Any])
S = TypeVar("S", bound="Settings")


class _FromData:
    """Default of a parameter whose value the run supplies (``channels``, ``num_classes``, ``steps``, ...)."""

    def __repr__(self) -> str:
        return "FROM_DATA"


FROM_DATA: Any = _FromData()

_parts: dict[tuple[str, str], Callable[..., Any]] = {}


def part(kind: str, name: str | None = None) -> Callable[[T], T]:
    """Register a callable as a part that recipes and ``--set`` can name.

    Args:
        kind: ``"encoder"``, ``"data"``, ``"views"``, ``"optimizer"``, ``"schedule"``, ``"learner"``, ...
        name: on the command line; the callable's own name with dashes otherwise.
    """

    def register(make: T) -> T:
        key = (kind, name or make.__name__.lower().replace("_", "-"))
        if _parts.get(key, make) is not make and not _same_source(_parts[key], make):
            raise ValueError(f"two {kind} parts are named {key[1]!r}")
        _parts[key] = make
        make._part = key  # type: ignore[attr-defined]
        return make

    return register


def _same_source(a: Callable[..., Any], b: Callable[..., Any]) -> bool:
    # a module that is imported again (a notebook's reload) registers the same definition again
    return (a.__module__, a.__qualname__) == (b.__module__, b.__qualname__)


def find_part(kind: str, name: str) -> Callable[..., Any]:
    """The part of that kind and name, or an error with the nearest names."""
    found = _parts.get((kind, name))
    if found is None:
        raise InputError(f"unknown {kind} {name!r}{near(name, part_names(kind))}")
    return found


def part_names(kind: str) -> list[str]:
    """Names of the parts of a kind."""
    return sorted(n for k, n in _parts if k == kind)


@dataclass
class Spec:
    """A part to build later and its settings. Make one with :func:`spec`."""

    make: Callable[..., Any]
    settings: dict[str, Any]

    @property
    def kind(self) -> str:
        """The part's kind."""
        return str(self.make._part[0])  # type: ignore[attr-defined]

    @property
    def name(self) -> str:
        """The part's name."""
        return str(self.make._part[1])  # type: ignore[attr-defined]

    def build(self, /, **facts: Any) -> Any:
        """Build the part and what it is made of. ``facts`` fill the parameters whose default is FROM_DATA."""
        values: dict[str, Any] = {}
        for name, parameter in _parameters(self.make).items():
            value = self.settings.get(name, parameter.default)
            if value is FROM_DATA:
                if name not in facts:
                    raise InputError(f"{self.name}: {name} is not known for this data; set it")
                value = facts[name]
            elif value is inspect.Parameter.empty:
                raise InputError(f"{self.name}: setting {name!r} is missing")
            values[name] = _build(value, facts)
        return self.make(**values)

    def resolve(self, **facts: Any) -> "Spec":
        """The same spec with every default and fact written out, for the saved recipe."""
        out: dict[str, Any] = {}
        for name, parameter in _parameters(self.make).items():
            value = self.settings.get(name, parameter.default)
            value = facts.get(name, value) if value is FROM_DATA else value
            out[name] = _map_specs(value, lambda s: s.resolve(**facts))
        return Spec(self.make, out)


def spec(make: Callable[..., Any], /, **settings: Any) -> Spec:
    """A part to build later; unknown names and wrong types are errors here and now."""
    if not hasattr(make, "_part"):
        raise TypeError(f"{make!r} is not a part: decorate it with @part")
    out = Spec(make, {})
    for name, value in settings.items():
        _put(out, name, value, name)
    return out


@dataclass(frozen=True)
class Stage:
    """A part of a run with settings of its own; the learner's ``begin_stage`` is told its name.

    Attributes:
        name: unique within the recipe.
        settings: ``(path, value)`` pairs over the recipe's (``("epochs", 5)``, ``("optimizer.lr", 0.1)``).
    """

    name: str
    settings: tuple[tuple[str, Any], ...] = ()


@dataclass
class Settings:
    """What every kind of run is made of, as a tree that can be changed, saved and read back.

    Attributes:
        learner: the method and its parts.
        data: what it learns from.
    """

    learner: Spec
    data: Spec

    def set(self, path: str, value: Any) -> None:
        """Set ``path`` (``batch``, ``learner.encoder.dim``, or short ``temperature`` for the learner's own).

        A string is read as the type the setting has; a part is named (``learner.encoder=resnet18``).
        """
        head, _, rest = path.partition(".")
        names = [f.name for f in dataclasses.fields(self)]
        if head not in names and head in _parameters(self.learner.make):
            self.set(f"learner.{path}", value)
            return
        if head not in names:
            raise InputError(f"unknown setting {path!r}{near(head, [*names, *_parameters(self.learner.make)])}")
        if rest:
            target = getattr(self, head)
            if not isinstance(target, Spec):
                raise InputError(f"setting {head!r} has no parts, so {path!r} can't be set")
            _put(target, rest, value, path)
            return
        hints = typing.get_type_hints(type(self))
        kind = head if Spec in (hints[head], *typing.get_args(hints[head])) else None
        setattr(self, head, _convert(hints[head], value, path, kind, getattr(self, head)))

    def copy(self: S) -> S:
        """The same; its settings can be changed without changing this one's."""
        changes = {f.name: _map_specs(getattr(self, f.name), _copy_spec) for f in dataclasses.fields(self)}
        return dataclasses.replace(self, **changes)

    def resolve(self: S, **facts: Any) -> S:
        """Every default and fact written out."""
        out = self.copy()
        for f in dataclasses.fields(out):
            setattr(out, f.name, _map_specs(getattr(out, f.name), lambda s: s.resolve(**facts)))
        return out

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file; :meth:`from_json` reads them back."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_json(cls: type[S], values: Mapping[str, Any]) -> S:
        """Settings from :meth:`to_json`'s values. Only registered parts can be named."""
        return cls(**cls._read(values))

    @classmethod
    def _read(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        unknown = set(values) - {f.name for f in dataclasses.fields(cls)}
        if unknown:
            raise InputError(f"recipe has unknown settings {sorted(unknown)}: was it written by a newer version?")
        hints = typing.get_type_hints(cls)
        plain = {name: _unplain(value) for name, value in values.items() if name != "stages"}
        return {name: _convert(hints[name], value, name, None, None) for name, value in plain.items()}

    def walk(self) -> Iterator[tuple[str, Any]]:
        """``(path, value)`` of every setting, specs by name before their settings."""
        for f in dataclasses.fields(self):
            yield from _walk(f.name, getattr(self, f.name))


@dataclass
class Recipe(Settings):
    """Everything that decides a training run, apart from the seed and the machine.

    Attributes:
        learner: the method and its parts.
        data: where the samples come from.
        views: how the views of a batch are made.
        optimizer: takes the learner's parameter groups.
        schedule: factor on the learning rate over the steps.
        sampler: order of the training samples; every sample once an epoch, shuffled, if None.
        batch: samples per step, over all devices.
        epochs: passes over the training samples; may be a fraction.
        steps: optimiser steps; instead of ``epochs`` when given.
        micro: rows that go through the network at a time; the gradient is still that of the whole batch
            (gradient caching). 0: all at once.
        clip: largest norm of the gradient, or None.
        precision: ``"32"``, ``"bf16-mixed"`` or ``"16-mixed"``.
        similarity: ``"auto"``, or force ``"dense"`` or ``"tiled"`` in the losses.
        probe_every: epochs between online probes; 0: only at the end.
        probe_rows: samples that a probe looks at, at most.
        evaluate: measure the trained and the untrained learner when training has ended.
        measure: how; frozen features on the test split if None.
        save_every: seconds between checkpoints, at most.
        stages: what to train in turn; none: one stage with these settings.
    """

    views: Spec
    optimizer: Spec
    schedule: Spec
    sampler: Spec | None = None
    batch: int = 256
    epochs: float = 10.0
    steps: int | None = None
    micro: int = 0
    clip: float | None = None
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    similarity: Literal["auto", "dense", "tiled"] = "auto"
    probe_every: float = 1.0
    probe_rows: int = 2000
    evaluate: bool = True
    measure: Spec | None = None
    save_every: float = 30.0
    stages: tuple[Stage, ...] = field(default_factory=tuple)

    def for_stage(self, stage: Stage) -> "Recipe":
        """This recipe with a stage's settings."""
        out = self.copy()
        out.stages = ()
        for path, value in stage.settings:
            out.set(path, value)
        return out

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Recipe":
        """A recipe from :meth:`to_json`'s values. Only registered parts can be named."""
        out = cls._read(values)
        out["stages"] = tuple(
            Stage(s["name"], tuple((p, _unplain(v)) for p, v in s["settings"])) for s in values.get("stages", ())
        )
        return cls(**out)


def _parameters(make: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {n: p for n, p in inspect.signature(make).parameters.items() if p.kind in kinds}


def _hints(make: Callable[..., Any]) -> dict[str, Any]:
    # a class states its settings on __init__, which get_type_hints does not look at by itself
    return typing.get_type_hints(make.__init__ if inspect.isclass(make) else make)  # type: ignore[misc]


def _put(target: Spec, path: str, value: Any, full: str) -> None:
    head, _, rest = path.partition(".")
    parameters = _parameters(target.make)
    if head not in parameters:
        raise InputError(f"{target.name} has no setting {head!r} (in {full!r}){near(head, parameters)}")
    held = target.settings.get(head, parameters[head].default)
    if rest:
        if not isinstance(held, Spec):
            raise InputError(f"setting {head!r} of {target.name} has no parts, so {full!r} can't be set")
        inner = _copy_spec(held)
        _put(inner, rest, value, full)
        target.settings[head] = inner
        return
    hint = _hints(target.make).get(head, Any)
    kind = held.kind if isinstance(held, Spec) else head
    target.settings[head] = _convert(hint, value, full, kind, held)


def _convert(hint: Any, value: Any, path: str, kind: str | None, held: Any) -> Any:
    """``value`` as the type ``hint``, from a string where need be; InputError if it isn't one."""
    if isinstance(value, Spec | _FromData):
        return value
    named = isinstance(held, Spec) or (kind, value) in _parts if isinstance(value, str) else False
    if named and value not in ("none", "None"):
        return Spec(find_part(str(kind), value), {})
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        for option in args:
            try:
                return _convert(option, value, path, None, None)
            except InputError:
                continue
        raise InputError(f"{path}={value!r}: expected {_say(hint)}")
    if origin is Literal:
        if value in args:
            return value
        raise InputError(f"{path}={value!r}: expected one of {', '.join(map(repr, args))}")
    if hint is Any or isinstance(hint, TypeVar):
        return value
    if origin is tuple:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise InputError(f"{path}={value!r}: expected {_say(hint)}")
        inner = [args[0]] * len(items) if len(args) == 2 and args[1] is Ellipsis else list(args)
        if len(inner) != len(items):
            raise InputError(f"{path}={value!r}: expected {len(inner)} values, comma-separated")
        return tuple(_convert(h, v, path, kind, None) for h, v in zip(inner, items))
    if hint is type(None):
        if value is None or value in ("none", "None"):
            return None
        raise InputError(f"{path}={value!r}: expected none")
    simple = _simple(hint, value)
    if simple is None:
        raise InputError(f"{path}={value!r}: expected {_say(hint)}")
    return simple[0]


def _simple(hint: Any, value: Any) -> tuple[Any] | None:
    """``(value,)`` as bool, int, float or str, or None if it is not one; any other hint takes any object."""
    if hint is bool:
        words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        if isinstance(value, bool):
            return (value,)
        return (words[value.lower()],) if isinstance(value, str) and value.lower() in words else None
    if hint in (int, float):
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        try:
            number = hint(value)
        except (ValueError, OverflowError):
            return None
        return (number,) if isinstance(value, str) or number == value else None
    if hint is str:
        return (value,) if isinstance(value, str) else None
    return None if isinstance(value, str) else (value,)


def _say(hint: Any) -> str:
    if typing.get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_say(h) for h in typing.get_args(hint))
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "none"}
    return words.get(hint, "the name of a part" if inspect.isclass(hint) else str(hint))


def _map_specs(value: Any, change: Callable[[Spec], Any]) -> Any:
    if isinstance(value, Spec):
        return change(value)
    if isinstance(value, tuple | list):
        return type(value)(_map_specs(v, change) for v in value)
    return value


def _build(value: Any, facts: Mapping[str, Any]) -> Any:
    return _map_specs(value, lambda s: s.build(**facts))


def _copy_spec(value: Spec) -> Spec:
    return Spec(value.make, {k: _map_specs(v, _copy_spec) for k, v in value.settings.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, Spec):
        settings = {k: _plain(v) for k, v in value.settings.items() if v is not FROM_DATA}
        return {"kind": value.kind, "part": value.name, **({"settings": settings} if settings else {})}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return {"name": value.name, "settings": _plain(value.settings)} if isinstance(value, Stage) else value


def _unplain(value: Any) -> Any:
    if isinstance(value, dict) and "part" in value:
        make = find_part(value["kind"], value["part"])
        out = Spec(make, {})
        for name, setting in value.get("settings", {}).items():
            _put(out, name, _unplain(setting), f"{value['part']}.{name}")
        return out
    if isinstance(value, list):
        return tuple(_unplain(v) for v in value)
    return value


def _walk(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Spec):
        yield path, value
        return
    yield path, value.name
    for name, setting in value.settings.items():
        yield from _walk(f"{path}.{name}", setting)
