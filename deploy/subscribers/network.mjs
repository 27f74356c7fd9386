// Print what is said, anywhere on the network: node network.mjs tablet.key.json
// Needs: npm install zeromq@6 @msgpack/msgpack. The file is what `minuted keys new tablet` made.
// On the machine itself: no keys, and connect("ipc:///run/minuted/turns.sock").

import { readFileSync } from "node:fs"
import { decode } from "@msgpack/msgpack"
import { Subscriber } from "zeromq"

const key = JSON.parse(readFileSync(process.argv[2], "utf8"))
const subscriber = new Subscriber({
  curveServerKey: key.server,
  curvePublicKey: key.public,
  curveSecretKey: key.secret,
})
subscriber.connect(key.turns)
subscriber.subscribe("turn.final")

for await (const [, data] of subscriber) {
  const turn = decode(data)
  // What was said may hold what a terminal obeys.
  console.log(`${turn.seq} ${turn.speaker ?? "?"} ${turn.text}`.replace(/\p{C}/gu, " "))
}
