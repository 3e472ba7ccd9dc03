"""pyroute2 without what nobody asks for.

The package imports all it has: 165 modules, 20 MiB, a fifth of a start. vifd needs its numbers and
two of its messages. So the package is there as its name and its place alone; whoever asks it for
anything else, as os-vif's plugins do, gets all of it, as usual.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any

_lock = threading.Lock()


class Spared(ModuleType):
    """A package that is executed once it is asked for something that is no module of its own."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        whole = f"{self.__name__}.{name}"
        if sys.modules.get(self.__name__) is self and importlib.util.find_spec(whole) is not None:
            return importlib.import_module(whole)
        return getattr(self._executed(), name)

    def _executed(self) -> ModuleType:
        with _lock:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
        package = importlib.import_module(self.__name__)
        prefix = f"{self.__name__}."
        for path, module in list(sys.modules.items()):
            name = path.removeprefix(prefix)
            # a module that was there already is not bound by its import
            if path.startswith(prefix) and "." not in name and name not in vars(package):
                setattr(package, name, module)
        vars(self).update(vars(package))
        return package


def spare(name: str) -> None:
    """Have a package executed only once it is asked for more than its modules, unless it was."""
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is not None:
        package = Spared(name)
        package.__spec__, package.__file__ = spec, spec.origin
        package.__path__ = list(spec.submodule_search_locations or ())
        package.__loader__, package.__package__ = spec.loader, name
        sys.modules[name] = package
