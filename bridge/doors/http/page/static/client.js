// JSON-RPC 2.0 over one WebSocket: calls with answers, events as notifications, a new connection when one breaks.

export const SOCKET = "/jsonrpc";
const WAITS = [250, 500, 1000, 2000, 4000];
const CALL_MS = 60_000;

// A daemon on this machine needs no network.
export const ownMachine = (hostname) => /^(localhost|127(\.\d+){3}|\[?::1\]?)$/i.test(hostname);

// Why nobody answers, as a key of the words.
export const outage = (onLine, hostname) => (onLine === false && !ownMachine(hostname) ? "link.offline" : "link.lost");

export class CallError extends Error {
  constructor(error) {
    const data = error.data && typeof error.data === "object" ? error.data : {};
    super(error.message || "?");
    this.code = data.code || error.code || "internal";
    this.field = data.field ?? error.field ?? "";
    this.limits = data.limits ?? error.limits ?? {};
    this.retryable = Boolean(data.retryable ?? error.retryable);
  }
}

export class Client extends EventTarget {
  #socket = null; #waiting = new Map(); #number = 0; #tries = 0; #closed = false; #timer = 0;

  constructor(url, { Socket = globalThis.WebSocket, waits = WAITS, callMs = CALL_MS } = {}) {
    super();
    Object.assign(this, { url, Socket, waits, callMs, open: false });
  }

  start() {
    this.#closed = false;
    this.#connect();
  }

  // Gives a connection up that no longer answers; makes a new one now.
  again() {
    const old = this.#socket;
    if (this.open) this.#broke(old);
    old?.close();
    clearTimeout(this.#timer);
    this.#connect();
  }

  stop() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  // Answers with the result; a CallError says why not ("disconnected" when the connection broke on the way).
  call(method, params = {}, callMs = this.callMs) {
    if (!this.open) return Promise.reject(new CallError({ code: "disconnected", message: "disconnected" }));
    const id = (this.#number += 1);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(id, { code: "timeout", message: method }), callMs);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    });
  }

  #connect() {
    const socket = (this.#socket = new this.Socket(this.url));
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      this.open = true;
      this.#tries = 0;
      this.dispatchEvent(new Event("open"));
    };
    socket.onmessage = (message) => socket === this.#socket && this.#receive(message.data);
    socket.onclose = () => this.#broke(socket);
    socket.onerror = () => socket.close();
  }

  #broke(socket) {
    if (socket !== this.#socket) return;
    const was = this.open;
    this.open = false;
    for (const id of [...this.#waiting.keys()]) this.#settle(id, { code: "disconnected", message: "disconnected" });
    if (was || this.#tries === 0) this.dispatchEvent(new Event("lost"));
    if (this.#closed) return;
    this.#timer = setTimeout(() => this.#connect(), this.waits[Math.min(this.#tries, this.waits.length - 1)]);
    this.#tries += 1;
  }

  #receive(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    for (const one of Array.isArray(message) ? message : [message]) {
      if (!one || typeof one !== "object") continue;
      if (one.method) {
        const data = Array.isArray(one.params) ? one.params[0] : one.params;
        this.dispatchEvent(Object.assign(new Event("told"), { method: one.method, data }));
      } else if (one.error) this.#settle(one.id, one.error);
      else this.#settle(one.id, null, one.result);
    }
  }

  #settle(id, error, result) {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    if (error) waiting.reject(new CallError(error));
    else waiting.resolve(result);
  }
}
