-- JSON for hosts that have none. Strict on reading, exact on writing: integers stay integers, floats keep all digits.
-- A list that may be empty is marked by `json.list`; JSON null is `json.null`.

local json = {}

json.null = setmetatable({}, { __tostring = function() return "null" end })

local List = { __name = "json list" }

--- Mark a table as a list, so that an empty one is written as [] and not as {}.
function json.list(values)
  return setmetatable(values or {}, List)
end

--- Whether a table is written as a list: marked, or with a first element.
function json.is_list(value)
  return type(value) == "table" and value ~= json.null and (getmetatable(value) == List or value[1] ~= nil)
end

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quote(text)
  local body = text:gsub('[%z\1-\31"\\\127]', function(c) return ESCAPES[c] or string.format("\\u%04x", c:byte()) end)
  return '"' .. body .. '"'
end

local function number(value)
  if value ~= value or value == math.huge or value == -math.huge then
    error("json: a number must be finite", 0)
  end
  if math.type(value) == "integer" then return string.format("%d", value) end
  if value == math.floor(value) and math.abs(value) < 1e15 then return string.format("%.1f", value) end
  for digits = 15, 17 do
    local text = string.format("%." .. digits .. "g", value)
    if tonumber(text) == value then return text end
  end
end

local encode

local function encode_map(value, depth)
  local keys, parts = {}, {}
  for key in pairs(value) do
    if type(key) ~= "string" then error("json: keys are strings, not " .. type(key), 0) end
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for _, key in ipairs(keys) do
    parts[#parts + 1] = quote(key) .. ":" .. encode(value[key], depth + 1)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function encode_list(value, depth)
  local parts = {}
  for index = 1, #value do parts[index] = encode(value[index], depth + 1) end
  return "[" .. table.concat(parts, ",") .. "]"
end

function encode(value, depth)
  if depth > 64 then error("json: nested too deeply", 0) end
  local kind = type(value)
  if value == json.null or value == nil then return "null" end
  if kind == "string" then return quote(value) end
  if kind == "number" then return number(value) end
  if kind == "boolean" then return tostring(value) end
  if kind ~= "table" then error("json: cannot write a " .. kind, 0) end
  if json.is_list(value) then return encode_list(value, depth) end
  return encode_map(value, depth)
end

--- The text of a value; keys in order, so equal values give equal text.
function json.encode(value)
  return encode(value, 0)
end

local function fail(at, what)
  error(string.format("json: %s at byte %d", what, at), 0)
end

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

local decode_value

local LETTERS = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function decode_unicode(text, at)
  local code = tonumber(text:match("^%x%x%x%x", at) or fail(at, "bad \\u escape"), 16)
  at = at + 4
  if code >= 0xD800 and code < 0xDC00 then
    local low = tonumber(text:match("^\\u([dD][c-fC-F]%x%x)", at) or fail(at, "half a surrogate pair"), 16)
    return utf8.char(0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00)), at + 6
  end
  if code >= 0xDC00 and code < 0xE000 then fail(at, "half a surrogate pair") end
  return utf8.char(code), at
end

local function decode_string(text, at)
  local parts = {}
  while true do
    local stop = text:find('[%z\1-\31"\\]', at)
    if not stop then fail(at, "unfinished string") end
    parts[#parts + 1] = text:sub(at, stop - 1)
    local found = text:sub(stop, stop)
    if found == '"' then return table.concat(parts), stop + 1 end
    if found ~= "\\" then fail(stop, "control character in a string") end
    local letter = text:sub(stop + 1, stop + 1)
    if letter == "u" then
      parts[#parts + 1], at = decode_unicode(text, stop + 2)
    else
      parts[#parts + 1] = LETTERS[letter] or fail(stop, "bad escape")
      at = stop + 2
    end
  end
end

local function decode_number(text, at)
  local whole = text:match("^-?0", at) and text:match("^-?0", at) or text:match("^-?[1-9]%d*", at) or fail(at, "no value")
  local rest = at + #whole
  local fraction = text:match("^%.%d+", rest) or ""
  local exponent = text:match("^[eE][+-]?%d+", rest + #fraction) or ""
  local stop = rest + #fraction + #exponent
  if text:find("^[%w%.]", stop) then fail(stop, "bad number") end
  return tonumber(whole .. fraction .. exponent), stop
end

local function decode_list(text, at, depth)
  local list = json.list()
  at = skip(text, at)
  if text:sub(at, at) == "]" then return list, at + 1 end
  while true do
    list[#list + 1], at = decode_value(text, at, depth)
    at = skip(text, at)
    local mark = text:sub(at, at)
    if mark == "]" then return list, at + 1 end
    if mark ~= "," then fail(at, "expected , or ]") end
    at = at + 1
  end
end

local function decode_map(text, at, depth)
  local map = {}
  at = skip(text, at)
  if text:sub(at, at) == "}" then return map, at + 1 end
  while true do
    at = skip(text, at)
    if text:sub(at, at) ~= '"' then fail(at, "expected a key") end
    local key
    key, at = decode_string(text, at + 1)
    if map[key] ~= nil then fail(at, "key twice") end
    at = skip(text, at)
    if text:sub(at, at) ~= ":" then fail(at, "expected :") end
    map[key], at = decode_value(text, at + 1, depth)
    at = skip(text, at)
    local mark = text:sub(at, at)
    if mark == "}" then return map, at + 1 end
    if mark ~= "," then fail(at, "expected , or }") end
    at = at + 1
  end
end

local WORDS = { { "true", true }, { "false", false }, { "null", json.null } }

function decode_value(text, at, depth)
  if depth > 64 then fail(at, "nested too deeply") end
  at = skip(text, at)
  local mark = text:sub(at, at)
  if mark == '"' then return decode_string(text, at + 1) end
  if mark == "{" then return decode_map(text, at + 1, depth + 1) end
  if mark == "[" then return decode_list(text, at + 1, depth + 1) end
  for _, word in ipairs(WORDS) do
    if text:sub(at, at + #word[1] - 1) == word[1] then return word[2], at + #word[1] end
  end
  return decode_number(text, at)
end

--- The value of a text, or nil and a sentence. Never raises.
function json.decode(text)
  local ok, value, at = pcall(decode_value, text, 1, 0)
  if not ok then return nil, value end
  at = skip(text, at)
  if at <= #text then return nil, string.format("json: something after the value at byte %d", at) end
  return value
end

return json
