-- A float32 WAV file, written in blocks; for hosts that hand out samples and no files.

local wav = {}

--- Open a WAV of `frames` frames for writing: an object with write(interleaved list, count) and close(). Nil and why not on failure.
function wav.open(path, rate, channels, frames)
  local handle, why = io.open(path, "wb")
  if not handle then return nil, why end
  local bytes = frames * channels * 4
  handle:write(string.pack("<c4I4c4c4I4I2I2I4I4I2I2I2c4I4I4c4I4", "RIFF", 50 + bytes, "WAVE", "fmt ", 18, 3, channels, rate,
    rate * channels * 4, channels * 4, 32, 0, "fact", 4, frames, "data", bytes))
  local file = {}

  function file.write(values, count)
    local at = 1
    while at <= count do
      local upto = math.min(count, at + 199)
      handle:write(string.pack("<" .. ("f"):rep(upto - at + 1), table.unpack(values, at, upto)))
      at = upto + 1
    end
  end

  function file.close() handle:close() end

  return file
end

return wav
