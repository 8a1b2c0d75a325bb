"""Videos that kill or hang the process that decodes them: what no healthy decoder does, and one day one will.

Python imports this by itself where the folder is on PYTHONPATH. A chunk that does not begin its video is poisonous when
the file's name says so: `deadly` crashes the process as a bad library does, `hanging` stands still in it.
"""

import ctypes
import importlib.abc
import importlib.util
import sys
import time

TARGET = "framehouse.inference.run"


class _Poison(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != TARGET:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            module.decode = _poisoned(module.decode)

        spec.loader.exec_module = exec_module
        return spec


def _poisoned(decode):
    def poisoned(path, stream, chunk, *args, **kwargs):
        if chunk.first_frame > 0 and "deadly" in path.name:
            ctypes.string_at(0)
        if chunk.first_frame > 0 and "hanging" in path.name:
            time.sleep(3600)
        return decode(path, stream, chunk, *args, **kwargs)

    return poisoned


sys.meta_path.insert(0, _Poison())
