// The JSON-RPC client over a socket that a test plays.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, outage } from "../../../../../bridge/doors/http/page/static/client.js";

class Socket {
  static made = [];
  sent = [];
  constructor(url) { this.url = url; Socket.made.push(this); }
  send(text) { this.sent.push(JSON.parse(text)); }
  close() { this.onclose?.(); }
  say(message) { this.onmessage({ data: typeof message === "string" ? message : JSON.stringify(message) }); }
}

function started(options = {}) {
  Socket.made = [];
  const client = new Client("ws://here/jsonrpc", { Socket, waits: [1], ...options });
  client.start();
  Socket.made[0].onopen();
  return { client, socket: Socket.made[0] };
}

test("answers find their calls, in whatever order they come", async () => {
  const { client, socket } = started();
  const first = client.call("status"), second = client.call("describe", { operation: "x" });
  assert.deepEqual(socket.sent[1], { jsonrpc: "2.0", id: 2, method: "describe", params: { operation: "x" } });
  socket.say([{ jsonrpc: "2.0", id: 2, result: "b" }, { jsonrpc: "2.0", id: 1, result: "a" }]);
  assert.deepEqual([await first, await second], ["a", "b"]);
  client.stop();
});

test("an error carries the daemon's code word, field and limits", async () => {
  const { client, socket } = started();
  const call = client.call("op.generate");
  socket.say({ jsonrpc: "2.0", id: 1, error: { code: -32602, message: "too long", data: { code: "bad_request", field: "duration", limits: { max: 600 }, retryable: false } } });
  await assert.rejects(call, (error) => error.code === "bad_request" && error.field === "duration" && error.limits.max === 600 && error.message === "too long");
  client.stop();
});

test("events are handed on; what is not JSON is dropped", () => {
  const { client, socket } = started();
  const told = [];
  client.addEventListener("told", (event) => told.push([event.method, event.data.job]));
  socket.say("{{{");
  socket.say({ jsonrpc: "2.0", method: "event", params: { job: "a", seq: 1 } });
  socket.say({ jsonrpc: "2.0", method: "event", params: [{ job: "b", seq: 1 }] });
  socket.say("null");
  assert.deepEqual(told, [["event", "a"], ["event", "b"]]);
  client.stop();
});

test("a broken connection fails the open calls at once, and a new one is made", async () => {
  const { client, socket } = started();
  let lost = 0, opened = 0;
  client.addEventListener("lost", () => { lost += 1; });
  client.addEventListener("open", () => { opened += 1; });
  const call = client.call("status");
  socket.onclose();
  await assert.rejects(call, (error) => error.code === "disconnected");
  await assert.rejects(client.call("status"), (error) => error.code === "disconnected");
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(Socket.made.length, 2);
  Socket.made[1].onopen();
  assert.deepEqual([lost, opened, client.open], [1, 1, true]);
  client.stop();
});

test("a connection that hangs is given up for a new one, and what it says later is not heard", async () => {
  const { client, socket } = started({ waits: [10_000] });
  let lost = 0;
  client.addEventListener("lost", () => { lost += 1; });
  const call = client.call("status");
  client.again();
  await assert.rejects(call, (error) => error.code === "disconnected");
  assert.deepEqual([lost, Socket.made.length, client.open], [1, 2, false]);
  socket.onclose();
  Socket.made[1].onopen();
  assert.deepEqual([lost, client.open], [1, true]);
  client.stop();
});

test("a call without an answer ends", async () => {
  const { client } = started({ callMs: 5 });
  await assert.rejects(client.call("status"), (error) => error.code === "timeout");
  client.stop();
});

test("only a daemon elsewhere needs the network", () => {
  for (const host of ["127.0.0.1", "localhost", "[::1]", "127.1.2.3"]) assert.equal(outage(false, host), "link.lost", host);
  for (const host of ["studio.lan", "192.168.1.5", "localhost.example"]) assert.equal(outage(false, host), "link.offline", host);
  assert.equal(outage(true, "studio.lan"), "link.lost");
});
