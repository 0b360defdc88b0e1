// Node `ws`: the broadcast of its README, a loop over `clients`.
//
// Settings: no compression; TCP_NODELAY, which ws sets itself; a client that has more than one frame waiting in user
// space is passed over, so that it sees the newest frame and memory stays bounded.
import { WebSocket, WebSocketServer } from "ws";
import { options, ready, tick } from "./frames.mjs";

const load = options();
const server = new WebSocketServer({
  host: "127.0.0.1",
  port: load.port,
  backlog: 4096,
  perMessageDeflate: false,
});

server.on("connection", (client) => client.on("error", () => client.terminate()));
server.on("listening", () => {
  ready(server.address().port);
  tick(load, process.hrtime.bigint, () => server.clients.size > 0, (frame) => {
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN && client.bufferedAmount <= frame.length) client.send(frame);
    }
  });
});
