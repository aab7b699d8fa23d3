# acestep-bridge from Sonic Pi: ask for a part, play it when it is there.
# Sonic Pi listens for OSC on UDP port 4560, so the daemon is asked to send its answers there.

use_osc "localhost", 9700
use_bpm 120

osc "/ace/notify", 1, 4560
osc "/ace/op/generate", "caption", "warm lofi house, rhodes", "bpm", 120.0, "duration", 16.0

live_loop :ace_results do
  use_real_time
  _id, _seq, _index, _role, path = sync "/osc*/ace/result"
  sample path
end

live_loop :ace_progress do
  use_real_time
  _id, _seq, stage, _step, _steps, fraction = sync "/osc*/ace/progress"
  puts "#{stage} #{(fraction * 100).round} %"
end
