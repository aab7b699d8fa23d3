-- Forms made from the daemon's describe: rows to show, and texts back to typed values.

local import = ...
local json = import("json")

local forms = {}

local HOST_FIELDS = { source = true, upload = true, source_latent = true, start = true, ["end"] = true, length = true, returns = true,
                      span_start = true, span_end = true, folder = true, name = true, fingerprint = true }

--- The row that asks what to do where tempo or metre change inside a selection (see tempo.plan). `last` as for forms.rows.
function forms.tempo_row(last)
  return { name = "tempo_changes", label = "Tempo or metre changes inside", kind = "choice", value = last.tempo_changes or "average",
           element = "str", choices = { "average", "split", "refuse" } }
end

--- The row that asks whether results are heard before they are placed. `last` as for forms.rows.
function forms.listen_row(last)
  return { name = "listen_first", label = "Listen before placing", kind = "switch", value = last.listen_first == true }
end

local function present(value)
  if value == json.null then return nil end
  return value
end

local function kind(field)
  if present(field.choices) and #field.choices > 0 then
    return field.type:find("^list") and "choices" or "choice"
  end
  if field.type == "int" then return "integer" end
  if field.type == "float" then return "number" end
  if field.type == "bool" then return "switch" end
  if field.type:find("^list") then return "list" end
  return "text"
end

local function label(field)
  local words = field.name:gsub("_", " ")
  words = words:sub(1, 1):upper() .. words:sub(2)
  local unit = present(field.unit)
  return unit and (words .. " (" .. unit .. ")") or words
end

--- The rows of a form: the fields named in `ask` that the operation has, each once; without `ask` its main and music fields.
-- `last` holds the values of the previous run. A field named in `many` takes several choices.
function forms.rows(fields, ask, last, many)
  local rows, by_name = {}, {}
  local function add(field)
    local value = last[field.name]
    if value == nil then value = present(field.default) end
    rows[#rows + 1] = {
      name = field.name, label = label(field), kind = field.name == many and "choices" or kind(field), value = value,
      summary = field.summary or "", choices = present(field.choices), min = present(field.min), max = present(field.max),
      element = (field.type:match("^list%[(%w+)%]") or field.type),
    }
  end
  for _, field in ipairs(fields) do by_name[field.name] = field end
  if #ask > 0 then
    for _, name in ipairs(ask) do
      if by_name[name] then add(by_name[name]) end
    end
    return rows
  end
  for _, field in ipairs(fields) do
    local group = field.group or "main" -- the daemon leaves defaults out
    if (group == "main" or group == "music") and not HOST_FIELDS[field.name] then add(field) end
  end
  return rows
end

local function trim(text)
  return (text:gsub("^%s+", ""):gsub("%s+$", ""))
end

local function one_of(text, choices)
  local plain = text:lower()
  for _, choice in ipairs(choices) do
    if tostring(choice):lower() == plain then return choice end
  end
  return nil
end

local function parse_number(row, text)
  local value = tonumber((text:gsub(",", ".")))
  if not value or value ~= value or value == math.huge or value == -math.huge then return nil, "is no number" end
  if row.kind == "integer" then
    if value ~= math.floor(value) then return nil, "is no whole number" end
    value = math.floor(value)
  else
    value = value + 0.0
  end
  if row.min and value < row.min then return nil, "is below " .. string.format("%g", row.min) end
  if row.max and value > row.max then return nil, "is above " .. string.format("%g", row.max) end
  return value
end

local function parse_list(row, text)
  local values = json.list()
  if row.choices then text = text:gsub("%s+", ",") end -- no choice holds a space
  for part in (text .. ","):gmatch("([^,]*),") do
    part = trim(part)
    if part ~= "" then
      local value = part
      if row.choices then value = one_of(part, row.choices) end
      if row.element == "int" or row.element == "float" then value = tonumber(part) end
      if value == nil then return nil, "does not know '" .. part .. "'" end
      values[#values + 1] = value
    end
  end
  return values
end

local YES = { yes = true, ["true"] = true, on = true, ["1"] = true, y = true }
local NO = { no = true, ["false"] = true, off = true, ["0"] = true, n = true }

--- The value of what the user typed into a row; nil for an empty text; nil and what is wrong otherwise.
function forms.parse(row, text)
  text = trim(text)
  if text == "" then return nil end
  if row.kind == "integer" or row.kind == "number" then return parse_number(row, text) end
  if row.kind == "choices" or row.kind == "list" then return parse_list(row, text) end
  if row.kind == "switch" then
    if YES[text:lower()] then return true end
    if NO[text:lower()] then return false end
    return nil, "is neither yes nor no"
  end
  if row.kind == "choice" then
    local value = one_of(text, row.choices)
    if value == nil then return nil, "does not know '" .. text .. "'" end
    return value
  end
  return text
end

--- The text of a value, for a form of plain text fields.
function forms.show(row)
  local value = row.value
  if value == nil then return "" end
  if type(value) == "table" then
    local parts = {}
    for index, item in ipairs(value) do parts[index] = tostring(item) end
    return table.concat(parts, ", ")
  end
  if type(value) == "boolean" then return value and "yes" or "no" end
  if type(value) == "number" then return string.format("%.10g", value) end
  return value
end

--- All rows at once: values by name, or nil and a sentence that names the row.
function forms.values(rows, texts)
  local values = {}
  for index, row in ipairs(rows) do
    local value, wrong = forms.parse(row, texts[index] or "")
    if wrong then return nil, row.label .. ": " .. wrong .. "." end
    values[row.name] = value
  end
  return values
end

return forms
