"""A stage's configuration from layers: defaults < recipe < TOML file < ``--set`` < the command's own options.

A layer is a nested mapping. Later layers win field by field; a value that is no configuration of its own, such as a
list or the class weights, is replaced as a whole.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sdt_model.recipes import recipe
from tasks.errors import WorkflowError

Layer = Mapping[str, Any]
Config = TypeVar("Config", bound=BaseModel)


def build_config(kind: type[Config], *layers: Layer) -> Config:
    """The configuration that the layers, the last one strongest, add up to.

    Raises:
        WorkflowError: a field that there is not, or a value that it cannot take; names the field and the valid ones.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _merge(kind, merged, layer)
    try:
        return kind.model_validate(merged)
    except ValidationError as error:
        raise WorkflowError(_explain(kind, error)) from None


def recipe_layer(name: str | None) -> Layer:
    """A recipe's training settings; an empty layer where none is named.

    Raises:
        WorkflowError: no such recipe.
    """
    if name is None:
        return {}
    try:
        return {"training": recipe(name).model_dump()}
    except ValueError as error:
        raise WorkflowError(str(error)) from None


def file_layer(path: Path | None) -> Layer:
    """The content of a TOML file; an empty layer where none is given.

    Raises:
        WorkflowError: no such file, or no TOML.
    """
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise WorkflowError(f"the configuration file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WorkflowError(f"the configuration file {path} is not TOML: {error}") from error


def assignments_layer(assignments: Iterable[str]) -> Layer:
    """Assignments like ``training.optim.seed=3``; lists, tables and null are written as JSON.

    Raises:
        WorkflowError: one is no assignment.
    """
    layer: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        names = path.strip().split(".")
        if not equals or not all(names):
            raise WorkflowError(f"--set {assignment}: write it as field=value, or as outer.field=value")
        _put(layer, names, _value(value), assignment)
    return layer


def options_layer(options: Mapping[str, Any]) -> Layer:
    """The options that were given, by dotted path."""
    layer: dict[str, Any] = {}
    for path, value in options.items():
        if value is not None:
            _put(layer, path.split("."), value, path)
    return layer


def describe_fields(kind: type[BaseModel] | BaseModel, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """For each field that can be set: its dotted path, its default (or its value in ``kind``) as JSON, its meaning."""
    model = kind if isinstance(kind, type) else type(kind)
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True) if isinstance(kind, type) else getattr(kind, name)
        if isinstance(default, BaseModel):
            yield from describe_fields(default, f"{prefix}{name}.")
        else:
            written = "" if field.is_required() else json.dumps(default, default=str)
            yield f"{prefix}{name}", written, " ".join((field.description or "").split())


def _put(layer: dict[str, Any], names: list[str], value: Any, written: str) -> None:
    for name in names[:-1]:
        layer = layer.setdefault(name, {})
        if not isinstance(layer, dict):
            raise WorkflowError(f"--set {written}: {name} was given a value as a whole already")
    layer[names[-1]] = value


def _value(text: str) -> Any:
    """JSON where it has a structure; else the text, which the field turns into a number or a truth value itself."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, int | float) else value


def _merge(kind: type[BaseModel] | None, base: Layer, over: Layer) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        inner = _model(kind, name) if kind else None
        base_value = merged.get(name)
        nested = inner is not None and isinstance(value, Mapping)
        merged[name] = _merge(inner, base_value if isinstance(base_value, Mapping) else {}, value) if nested else value
    return merged


def _model(kind: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The configuration that a field holds, if it holds one."""
    field = kind.model_fields.get(name)
    options = [] if field is None else [field.annotation, *getattr(field.annotation, "__args__", ())]
    return next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), None)


def _explain(kind: type[BaseModel], error: ValidationError) -> str:
    lines = [f"the configuration ({kind.__name__}) is not valid"]
    for fault in error.errors(include_url=False, include_context=False):
        path = ".".join(str(part) for part in fault["loc"]) or kind.__name__
        if fault["type"] == "extra_forbidden":
            holder = kind
            for part in fault["loc"][:-1]:
                holder = _model(holder, str(part)) or holder
            lines += [f"  {path}: there is no such field", f"    valid here: {', '.join(holder.model_fields)}"]
        else:
            simple = fault["type"] != "missing" and not isinstance(fault["input"], Mapping)
            shown = f", given {str(fault['input'])[:60]!r}" if simple else ""
            lines.append(f"  {path}: {fault['msg'].removeprefix('Value error, ')}{shown}")
    return "\n".join(lines)
