// Two jobs through a foreign library: one to its end, one cancelled at its first progress. Prints what it heard as JSON lines.
// node client.js KIND PORT    with KIND osc-udp, osc-slip, node-osc or msgpack
const net = require("net");
const [kind, port] = [process.argv[2], Number(process.argv[3])];
const SLOW = "fake: steps=60 delay=0.05";
const QUICK = "fake: steps=3 delay=0.12";
const ended = new Set();
const cancelled = new Set();

function heard(address, args) {
  console.log(JSON.stringify([address, ...args]));
  const job = args[0];
  if (address === "/ace/progress" && job.endsWith("-slow") && !cancelled.has(job)) {
    cancelled.add(job);
    actions.cancel(job);
  }
  if (["/ace/done", "/ace/failed", "/ace/cancelled", "/ace/rejected"].includes(address)) ended.add(job);
  if (ended.size === 1 && !actions.second) {
    actions.second = true;
    actions.submit(`${kind}-slow`, SLOW);
  }
  if (ended.size === 2) process.exit(0);
}

const actions = { second: false };

function useOsc(send) {
  actions.submit = (id, caption) => send("/ace/op/generate", [id, "caption", caption, "duration", 1.0]);
  actions.cancel = (id) => send("/ace/job/cancel", [id]);
  actions.submit(`${kind}-quick`, QUICK);
}

function withOscLibrary(tcp) {
  const osc = require("osc");
  const target = { metadata: true };
  const link = tcp
    ? new osc.TCPSocketPort({ address: "127.0.0.1", port, useSLIP: true, ...target })
    : new osc.UDPPort({ localAddress: "127.0.0.1", localPort: 0, remoteAddress: "127.0.0.1", remotePort: port, ...target });
  const typed = (value) => (typeof value === "string" ? { type: "s", value } : { type: "f", value });
  link.on("message", (message) => heard(message.address, message.args.map((arg) => arg.value)));
  link.on("error", (error) => console.error(error));
  link.on("ready", () => useOsc((address, args) => link.send({ address, args: args.map(typed) })));
  if (tcp) link.open("127.0.0.1", port);
  else link.open();
}

function withNodeOsc() {
  const { Client, Server } = require("node-osc");
  const server = new Server(0, "127.0.0.1", () => {
    const client = new Client("127.0.0.1", port);
    const own = server._sock.address().port;
    client.send("/ace/notify", 1, own, 30, () =>
      useOsc((address, args) => client.send(address, ...args, (error) => error && console.error(error))));
  });
  server.on("message", ([address, ...args]) => heard(address, args));
}

function withMessagePack() {
  const { encode, decodeMultiStream } = require("@msgpack/msgpack");
  const link = net.connect(port, "127.0.0.1");
  let number = 0;
  const request = (method, params) => link.write(encode([0, ++number, method, [params]]));
  actions.submit = (id, caption) => request("job.submit", { operation: "generate", params: { caption, duration: 1 }, id });
  actions.cancel = (id) => request("job.cancel", { id });
  link.on("connect", async () => {
    actions.submit(`${kind}-quick`, QUICK);
    for await (const message of decodeMultiStream(link)) {
      if (message[0] === 1 && message[2]) throw new Error(JSON.stringify(message[2]));
      if (message[0] === 2 && message[1] === "event") heard(`/ace/${message[2][0].kind}`, [message[2][0].job]);
    }
  });
}

setTimeout(() => process.exit(3), 30000);
({ "osc-udp": () => withOscLibrary(false), "osc-slip": () => withOscLibrary(true), "node-osc": withNodeOsc, msgpack: withMessagePack })[kind]();
