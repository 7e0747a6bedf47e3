// Drives the npm client "mqtt" for the contract tests: commands and events as JSON lines on stdin and stdout.
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";
import mqtt from "mqtt";

const say = (event) => process.stdout.write(JSON.stringify(event) + "\n");
let client;

function connect(command) {
  const options = {
    host: "127.0.0.1",
    port: command.port,
    protocol: { tcp: "mqtt", websocket: "ws", tls: "mqtts" }[command.transport],
    path: "/mqtt",
    protocolVersion: command.version,
    clientId: command.client_id,
    username: command.username,
    password: command.password,
    clean: command.clean,
    reconnectPeriod: 0,
    connectTimeout: 8000,
    ...(command.ca ? { ca: readFileSync(command.ca), servername: "localhost" } : {}),
  };
  if (command.version === 5) options.properties = command.properties;
  if (command.will) {
    const { topic, payload, qos, retain, delay } = command.will;
    options.will = { topic, payload: Buffer.from(payload, "base64"), qos, retain };
    if (command.version === 5) options.will.properties = { willDelayInterval: delay };
  }
  client = mqtt.connect(options);
  client.on("connect", (packet) => say({ event: "connected", reason: 0, present: packet.sessionPresent }));
  client.on("error", (error) => say({ event: "connected", reason: error.code ?? 255, present: false }));
  client.on("message", (topic, payload, packet) =>
    say({ event: "message", topic, payload: payload.toString("base64"), qos: packet.qos, retain: packet.retain }),
  );
}

async function handle(command) {
  if (command.op === "connect") return connect(command);
  if (command.op === "subscribe") {
    const granted = await client.subscribeAsync(command.filter, { qos: command.qos });
    return say({ event: "done", reason: granted[0]?.qos ?? 128 });
  }
  if (command.op === "publish") {
    const { topic, payload, qos, retain } = command;
    await client.publishAsync(topic, Buffer.from(payload, "base64"), { qos, retain });
    return say({ event: "done", reason: 0 });
  }
  if (command.op === "vanish") return client.stream.destroy();
  await client.endAsync();
  say({ event: "done", reason: 0 });
  process.exit(0);
}

createInterface({ input: process.stdin }).on("line", (line) => {
  handle(JSON.parse(line)).catch((error) => say({ event: "done", reason: error.code ?? 255, detail: String(error) }));
});
