-- Tempo and metre of a region, from the host's tempo map. Times are project seconds.
-- A segment is {start, bpm, num, den, ramp_to?}: it lasts until the next one; `ramp_to` is its tempo at the end of a linear ramp.
-- Tempo is quarter notes a minute, whatever the metre's unit is.

local import = ...
local json = import("json")

local tempo = {}

tempo.BPM_RANGE = { 30.0, 300.0 }

local SAME_BPM = 1e-6

local function clip(segments, index, first, last)
  local segment, following = segments[index], segments[index + 1]
  local stop = following and following.start or math.huge
  local from = index == 1 and first or math.max(segment.start, first)
  local to = math.min(stop, last)
  if to <= from then return nil end
  local head, tail = segment.bpm, segment.bpm
  if segment.ramp_to and stop < math.huge and from >= segment.start then
    local slope = (segment.ramp_to - segment.bpm) / (stop - segment.start)
    head = segment.bpm + slope * (from - segment.start)
    tail = segment.bpm + slope * (to - segment.start)
  end
  return { start = from, ["end"] = to, bpm = (head + tail) / 2, num = segment.num, den = segment.den,
           steady = math.abs(head - tail) < SAME_BPM }
end

local function continues(piece, before)
  return before and before.steady and piece.steady and math.abs(before.bpm - piece.bpm) < SAME_BPM
    and before.num == piece.num and before.den == piece.den
end

--- The pieces of [first, last) with one tempo and metre each; equal neighbours are joined.
function tempo.pieces(segments, first, last)
  local pieces = {}
  for index = 1, #segments do
    local piece = clip(segments, index, first, last)
    if piece and continues(piece, pieces[#pieces]) then
      pieces[#pieces]["end"] = piece["end"]
    elseif piece then
      pieces[#pieces + 1] = piece
    end
  end
  return pieces
end

--- A tempo the model accepts, by octaves.
function tempo.fold(bpm)
  while bpm < tempo.BPM_RANGE[1] do bpm = bpm * 2 end
  while bpm > tempo.BPM_RANGE[2] do bpm = bpm / 2 end
  return bpm
end

--- The model's word for a metre ("2", "3", "4", "6"), or nil for one it was not trained on.
function tempo.metre(num, den)
  if den == 4 and (num == 2 or num == 3 or num == 4) then return string.format("%d", num) end
  if den == 8 and num == 6 then return "6" end
  return nil
end

local function passage(first, last, bpm, num, den)
  local given = tempo.fold(bpm)
  local notes = json.list()
  if math.abs(given - bpm) > SAME_BPM then notes[#notes + 1] = { code = "tempo_folded", given = bpm, bpm = given } end
  local metre = tempo.metre(num, den)
  if not metre then notes[#notes + 1] = { code = "metre_unknown", metre = string.format("%d/%d", num, den) } end
  return { start = first, ["end"] = last, bpm = given, time_signature = metre or "", notes = notes }
end

-- The passage of a piece of its own; a ramp has no tempo but its mean.
local function passage_of(piece)
  local made = passage(piece.start, piece["end"], piece.bpm, piece.num, piece.den)
  if not piece.steady then table.insert(made.notes, 1, { code = "tempo_average", bpm = made.bpm }) end
  return made
end

-- One passage for pieces of several tempos or metres: their mean tempo, and the metre that they begin with.
local function passage_for_all(pieces, first, last)
  local begin, sum, tempos, metres = pieces[1], 0.0, false, false
  for _, piece in ipairs(pieces) do
    sum = sum + (piece["end"] - piece.start) * piece.bpm
    tempos = tempos or not piece.steady or math.abs(piece.bpm - begin.bpm) >= SAME_BPM
    metres = metres or piece.num ~= begin.num or piece.den ~= begin.den
  end
  local made = passage(first, last, sum / (last - first), begin.num, begin.den)
  if metres and made.time_signature ~= "" then
    table.insert(made.notes, 1, { code = "metre_changes", metre = string.format("%d/%d", begin.num, begin.den) })
  end
  if tempos then table.insert(made.notes, 1, { code = "tempo_average", bpm = made.bpm }) end
  return made
end

--- What to ask for [first, last): one passage per job, or nil and the code of a refusal.
-- `choice` is what the user wants where the map changes inside: "average", "split" or "refuse".
function tempo.plan(segments, first, last, choice)
  local pieces = tempo.pieces(segments, first, last)
  if #pieces == 1 and pieces[1].steady then
    return { passage(first, last, pieces[1].bpm, pieces[1].num, pieces[1].den) }
  end
  if choice == "refuse" then return nil, "tempo_changes" end
  if choice ~= "split" then return { passage_for_all(pieces, first, last) } end
  local passages = {}
  for index, piece in ipairs(pieces) do passages[index] = passage_of(piece) end
  return passages
end

return tempo
