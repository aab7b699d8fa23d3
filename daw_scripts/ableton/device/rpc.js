// A MessagePack-RPC client on Node's own sockets: requests, responses, notifications.
"use strict";

const net = require("net");
const { encode, decodeAll } = require("./msgpack.js");

const REQUEST = 0, RESPONSE = 1, NOTIFICATION = 2;
const MOST_BYTES = 8 * 1024 * 1024;

class Rpc {
  // `heard(method, params)` gets notifications, `closed(reason)` the end of the connection.
  constructor(heard, closed) {
    this.heard = heard;
    this.closed = closed;
    this.next = 0;
    this.waiting = new Map();
    this.rest = Buffer.alloc(0);
    this.socket = null;
  }

  connect(host, port) {
    return new Promise((resolve, reject) => {
      const socket = net.createConnection({ host, port });
      socket.once("connect", () => { this.socket = socket; resolve(); });
      socket.once("error", reject);
      socket.on("data", (data) => this.read(data));
      socket.on("close", () => this.end("the daemon closed the connection"));
    });
  }

  end(reason) {
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    const known = this.socket;
    this.socket = null;
    waiting.forEach(({ reject }) => reject({ code: "daemon_unreachable", message: reason }));
    if (known) { known.destroy(); this.closed(reason); }
  }

  read(data) {
    this.rest = this.rest.length ? Buffer.concat([this.rest, data]) : data;
    if (this.rest.length > MOST_BYTES) return this.end("the daemon sent too much");
    try {
      const { values, rest } = decodeAll(this.rest);
      this.rest = rest;
      values.forEach((message) => this.take(message));
    } catch (failure) {
      this.end(`the daemon sent something that is not MessagePack: ${failure.message}`);
    }
  }

  take(message) {
    if (message[0] === NOTIFICATION) return this.heard(message[1], message[2]);
    if (message[0] !== RESPONSE) return;
    const [, id, error, result] = message;
    const waiting = this.waiting.get(id);
    if (!waiting) return;
    this.waiting.delete(id);
    if (error !== null) waiting.reject(error);
    else waiting.resolve(result);
  }

  // The answer of a method; rejects with the daemon's error map.
  call(method, params) {
    if (!this.socket) return Promise.reject({ code: "daemon_unreachable", message: "not connected" });
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.socket.write(encode([REQUEST, id, method, [params]]));
    });
  }

  close() {
    this.closed = () => {};
    this.end("closed");
  }
}

module.exports = { Rpc };
