# Sonic Pi's words for a script that sends and hears OSC, without sound: what the script does is said as lines of JSON, what arrives
# for it is read as lines of JSON, each followed by ["waiting"]. Real is the language; loops that wait are fibers.
require "json"

$stdout.sync = true
LOOPS = []

def tell(*words) = $stdout.puts(JSON.generate(words))
def use_osc(host, port) = tell("use_osc", host, port)
def osc(address, *values) = tell("osc", address, *values)
def sample(path) = tell("sample", path)
def puts(text) = tell("log", text)
def use_bpm(_bpm) = nil
def use_real_time = nil
def live_loop(_name, &block) = LOOPS << Fiber.new { loop(&block) }
def sync(pattern) = Fiber.yield(pattern)

load ARGV.fetch(0)
waiting = LOOPS.map { |fiber| [fiber, fiber.resume] }
tell("waiting")
while (line = $stdin.gets)
  address, *values = JSON.parse(line)
  waiting.map! { |fiber, pattern| [fiber, File.fnmatch(pattern, address, File::FNM_PATHNAME) ? fiber.resume(values) : pattern] }
  tell("waiting")
end
