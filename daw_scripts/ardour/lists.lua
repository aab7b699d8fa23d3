-- Ardour's lists as tables. Ardour's own iterators point into a list without holding it: when Lua collects garbage in the middle of a loop
-- over a list that no variable holds, the program crashes (seen in 7.3).

local lists = {}

--- The elements of one of Ardour's lists, in order.
function lists.of(found)
  local items = {}
  for item in found:iter() do items[#items + 1] = item end
  return items
end

return lists
