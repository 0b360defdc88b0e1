/** What the host's page of `app.mjs` runs: the extension's own bridge to the frame. */

import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";

const frame = document.querySelector("iframe");
const heard = (globalThis.heard = { wrong: [] });
const bridge = new AppBridge(null, { name: "test", version: "1" }, { openLinks: {} }, { hostContext: { displayMode: "inline" } });
bridge.onerror = (error) => heard.wrong.push(String(error));
bridge.onsizechange = (size) => (heard.size = size);
bridge.onopenlink = async (link) => {
  heard.link = link;
  return {};
};

/** Opens the page, and hands it the result once it says that it is ready. */
globalThis.show = async (result) => {
  const ready = new Promise((done) => (bridge.oninitialized = done));
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  frame.src = "/view";
  await ready;
  heard.app = { ...bridge.getAppVersion(), ...bridge.getAppCapabilities() };
  await bridge.sendToolInput({ arguments: {} });
  await bridge.sendToolResult(result);
};
globalThis.end = () => bridge.teardownResource({});
