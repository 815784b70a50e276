"""Functions of the user's own: the only place that imports their code, and only what the command line binds."""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from clustersim.errors import ScheduleError, nearest

if TYPE_CHECKING:
    from clustersim.ops import Plugin

_BINDING = re.compile(r"([\w.-]+)=([A-Za-z_][\w.]*):([A-Za-z_]\w*)")


def load_plugins(bindings: tuple[str, ...]) -> dict[str, Plugin]:
    """Return the functions that ``--plugin name=module:function`` binds, by name; the current folder is searched too.

    Raises
    ------
    ScheduleError
        A binding that is none, a name that is taken, or a module or function that is not there.
    """
    plugins: dict[str, Plugin] = {}
    for binding in bindings:
        match = _BINDING.fullmatch(binding)
        if not match:
            raise ScheduleError(f"--plugin {binding}: not a binding; write --plugin name=module:function")
        name, module, function = match.groups()
        _check_name(name, binding, plugins)
        plugins[name] = imported(module, function, f"--plugin {binding}")
    return plugins


def imported(module: str, function: str, option: str) -> Any:
    """Return a function of a module in the current folder, or installed, that an option names.

    Raises
    ------
    ScheduleError
        The module or the function is not there, or can't be imported.
    """
    return _function(_module(module, option), function, option)


def _check_name(name: str, binding: str, plugins: dict[str, Plugin]) -> None:
    from clustersim.schedules.table import SCHEDULES

    if name in SCHEDULES:
        raise ScheduleError(f"--plugin {binding}: '{name}' is a schedule already; take another name")
    if name in plugins:
        raise ScheduleError(f"--plugin {binding}: '{name}' is bound twice; take another name")


def _module(name: str, option: str) -> ModuleType:
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that a file of the user's can't stand in for a library
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            what = f"there is no module '{error.name}', neither in {folder} nor installed"
            raise ScheduleError(f"{option}: {what}") from error
        raise _import_error(option, error) from error
    except (Exception, SystemExit) as error:
        raise _import_error(option, error) from error


def _import_error(option: str, error: BaseException) -> ScheduleError:
    return ScheduleError(f"{option}: the module can't be imported: {type(error).__name__}: {error}")


def _function(module: ModuleType, name: str, option: str) -> Any:
    found = getattr(module, name, None)
    if not callable(found):
        functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        what = f"'{name}' in {module.__name__} is not a function" if hasattr(module, name) else f"there is no '{name}'"
        raise ScheduleError(f"{option}: {what}; {nearest(name, functions) or 'write module:function'}")
    return found
