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
  receiveTimeout: 5000,
})
subscriber.connect(key.turns)
// A heartbeat comes every second: without them, a wrong key is as quiet as an empty room.
subscriber.subscribe("turn.final", "heartbeat")

while (true) {
  let message
  try {
    message = await subscriber.receive()
  } catch (error) {
    if (error.code !== "EAGAIN") throw error
    console.error(`${key.turns}: nothing heard. Does minuted listen there? Is the key on its list?`)
    continue
  }
  const turn = decode(message[1])
  if (turn.type === "heartbeat") continue
  // Number(): with useBigInt64, and in other libraries, epoch milliseconds are a BigInt.
  const at = new Date(Number(turn.meeting_started_at_ms) + turn.start_ms).toLocaleTimeString()
  // What was said may hold what a terminal obeys.
  console.log(`${turn.seq} ${at} ${turn.speaker ?? "?"} ${turn.text}`.replace(/\p{C}/gu, " "))
}
