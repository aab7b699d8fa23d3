-- Small files, whole: read, write through a rename, remove. Only Lua's own io and os.

local files = {}

--- The bytes of a file, or nil.
function files.read(path)
  local handle = io.open(path, "rb")
  if not handle then return nil end
  local text = handle:read("a")
  handle:close()
  return text
end

--- Write a file so that nobody ever sees half of it. True, or nil and why not.
function files.write(path, text, draft)
  draft = draft or path .. ".tmp"
  local handle, why = io.open(draft, "wb")
  if not handle then return nil, why end
  local done, failed = handle:write(text)
  handle:close()
  if not done then
    os.remove(draft)
    return nil, failed
  end
  local moved, refused = os.rename(draft, path)
  if not moved then -- Windows does not rename over an existing file
    os.remove(path)
    moved, refused = os.rename(draft, path)
  end
  if not moved then return nil, refused end
  return true
end

--- Whether a file is there and can be read.
function files.exists(path)
  local handle = io.open(path, "rb")
  if handle then handle:close() end
  return handle ~= nil
end

--- Whether a folder takes new files.
function files.writable(folder)
  local path = folder .. "/.acestep-bridge-test"
  local handle = io.open(path, "wb")
  if not handle then return false end
  handle:close()
  os.remove(path)
  return true
end

--- Copy a file; true, or nil and why not.
function files.copy(from, to)
  local source, why = io.open(from, "rb")
  if not source then return nil, why end
  local target
  target, why = io.open(to, "wb")
  if not target then
    source:close()
    return nil, why
  end
  local ok = true
  repeat
    local block = source:read(1 << 20)
    if block then ok, why = target:write(block) end
  until not block or not ok
  source:close()
  target:close()
  if not ok then
    os.remove(to)
    return nil, why
  end
  return true
end

return files
