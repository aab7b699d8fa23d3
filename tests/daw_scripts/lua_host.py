"""The Lua core in real Lua interpreters, each with the module loader that the hosts use."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parents[2] / "daw_scripts"
CORE = SCRIPTS / "core" / "lua"

LOADER = """
function(folder)
  local cache = {}
  local function import(name)
    if cache[name] == nil then cache[name] = assert(loadfile(folder .. "/" .. name .. ".lua"))(import) end
    return cache[name]
  end
  return import
end
"""

CALL = """
function(import, module, name, arguments)
  local json = import("json")
  local args = json.decode(arguments)
  for index, value in ipairs(args) do if value == json.null then args[index] = nil end end
  local value, refusal = import(module)[name](table.unpack(args, 1, #args))
  return json.encode({ value = value == nil and json.null or value, refusal = refusal })
end
"""


def runtime(version: str) -> Any:
    """A fresh Lua of that version ("53", "54"), which collects no garbage.

    The bindings find an object's proxy by a number that Lua uses again as soon as the old proxy is garbage, while they forget it
    only at its finalizer: in between, Lua may get another object than the one it was given (lupa 2.8).
    """
    lua = importlib.import_module(f"lupa.lua{version}").LuaRuntime(unpack_returned_tuples=True)
    lua.execute('collectgarbage("stop")')
    return lua


def core(version: str) -> tuple[Any, Any]:
    """A fresh Lua and its ``import`` function for the core modules."""
    lua = runtime(version)
    return lua, lua.eval(LOADER)(str(CORE))


def call(lua: Any, load: Any, module: str, name: str, arguments: list[Any]) -> dict[str, Any]:
    """Call a core function with plain data; ``{value, refusal?}`` back as plain data."""
    return json.loads(lua.eval(CALL)(load, module, name, json.dumps(arguments, ensure_ascii=False)))
