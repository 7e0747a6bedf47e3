/** Pure: examples to paste, for a device and its secret. Nothing in them needs more than the named tool. */

export interface Example {
  name: string
  text: string
}

/** Quote for a POSIX shell. */
export function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

export function examplesFor(device: string, secret: string, page: { origin: string; hostname: string }): Example[] {
  const name = shellQuote(device)
  const key = shellQuote(secret)
  const host = page.hostname || '127.0.0.1'
  const payload = '{"temperature": 42.2, "running": true}'
  return [
    {
      name: 'mosquitto_pub',
      text: `mosquitto_pub -V mqttv5 -h ${host} -p 1883 -i ${name} -u ${name} -P ${key} -q 1 \\\n  -t v1/devices/me/telemetry -m '${payload}'`,
    },
    {
      name: 'curl',
      text: `curl -u ${shellQuote(`${device}:${secret}`)} -H 'Content-Type: application/json' \\\n  -d '${payload}' ${page.origin}/v1/telemetry`,
    },
    {
      name: 'Python',
      text: [
        'import json, paho.mqtt.client as mqtt  # pip install paho-mqtt',
        '',
        `client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=${JSON.stringify(device)}, protocol=mqtt.MQTTv5)`,
        `client.username_pw_set(${JSON.stringify(device)}, ${JSON.stringify(secret)})`,
        `client.connect(${JSON.stringify(host)}, 1883)`,
        'client.loop_start()',
        'values = {"temperature": 42.2, "running": True}',
        'client.publish("v1/devices/me/telemetry", json.dumps(values), qos=1).wait_for_publish()',
        'client.disconnect()',
      ].join('\n'),
    },
  ]
}

/** Topic filters from a text area: one a line, blank lines left out. */
export function linesOf(text: string): string[] {
  return text.split('\n').map((line) => line.trim()).filter((line) => line !== '')
}
