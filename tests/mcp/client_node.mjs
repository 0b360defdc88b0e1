// The TypeScript SDKs against a running engine: they begin, list, call, read, subscribe, change, hear of it, and clean up.
//
// client_node.mjs SDK MODE WAY ADDRESS TOKEN_FILE
//   SDK   v1 (@modelcontextprotocol/sdk) or v2 (@modelcontextprotocol/client)
//   MODE  legacy, auto, or a revision to insist on
//   WAY   http (ADDRESS is an URL) or stdio (ADDRESS is the program and its arguments, joined by spaces)
// Prints one line of JSON.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const [sdk, mode, way, address, tokenFile] = process.argv.slice(2);

async function library() {
    if (sdk === "v2") {
        const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
        const { StdioClientTransport } = await import("@modelcontextprotocol/client/stdio");
        return { Client, StreamableHTTPClientTransport, StdioClientTransport, updated: "notifications/resources/updated" };
    }
    const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
    const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
    const { StdioClientTransport } = await import("@modelcontextprotocol/sdk/client/stdio.js");
    const { ResourceUpdatedNotificationSchema } = await import("@modelcontextprotocol/sdk/types.js");
    return { Client, StreamableHTTPClientTransport, StdioClientTransport, updated: ResourceUpdatedNotificationSchema };
}

const { Client, StreamableHTTPClientTransport, StdioClientTransport, updated } = await library();

function transport() {
    if (way === "stdio") {
        const [command, ...args] = address.split(" ");
        return new StdioClientTransport({ command, args });
    }
    const token = tokenFile ? readFileSync(tokenFile, "utf8").trim() : "";
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    return new StreamableHTTPClientTransport(new URL(address), { requestInit: { headers } });
}

const options = sdk === "v2" ? { versionNegotiation: { mode: ["legacy", "auto"].includes(mode) ? mode : { pin: mode } } } : {};
const client = new Client({ name: "test", version: "1" }, options);
let heard;
const hears = new Promise((resolve) => { heard = resolve; });
client.setNotificationHandler(updated, (notification) => {
    if (notification.params.uri === "graph://overview") heard();
});
await client.connect(transport());

const modern = sdk === "v2" && mode !== "legacy";
const structured = async (name, args) => {
    const result = await client.callTool({ name, arguments: args });
    assert.ok(!result.isError && result.structuredContent, JSON.stringify(result));
    return result.structuredContent;
};
const { tools } = await client.listTools();
const names = tools.map((tool) => tool.name);
for (const name of ["graph_overview", "find_nodes", "upsert_nodes", "render_view"]) assert.ok(names.includes(name), name);
const before = await structured("graph_overview", {});
const { resources } = await client.listResources();
const { resourceTemplates } = await client.listResourceTemplates();
const { prompts } = await client.listPrompts();
assert.ok(resources.length && resourceTemplates.length && prompts.length);
const read = await client.readResource({ uri: "graph://overview" });
assert.equal(JSON.parse(read.contents[0].text).nodes, before.nodes);
const prompt = await client.getPrompt({ name: "explore_graph", arguments: { question: "what is here?" } });
assert.ok(prompt.messages.length);
const completed = await client.complete({ ref: { type: "ref/prompt", name: "explain_node" }, argument: { name: "id", value: "" } });
assert.ok(Array.isArray(completed.completion.values));
const picture = await client.callTool({ name: "render_view", arguments: { width: 64, height: 64 } });
assert.equal(picture.content[0].type, "image");
const wrong = await client.callTool({ name: "get_nodes", arguments: { ids: 7 } });
assert.equal(wrong.isError, true);

const key = `node-${sdk}-${mode}-${way}`;
let listened;
if (modern) {
    listened = await client.listen({ resourceSubscriptions: ["graph://overview"] });
    assert.deepEqual(listened.honoredFilter.resourceSubscriptions, ["graph://overview"]);
} else {
    await client.setLoggingLevel("warning");
    await client.ping();
    await client.subscribeResource({ uri: "graph://overview" });
}
const done = await structured("upsert_nodes", { nodes: [{ id: key, label: "Node" }] });
assert.deepEqual(done.created, [key]);
await Promise.race([hears, new Promise((_, reject) => setTimeout(() => reject(new Error("no notice came")), 20000).unref())]);
await (modern ? listened.close() : client.unsubscribeResource({ uri: "graph://overview" }));
const after = await structured("graph_overview", {});
assert.equal(after.nodes, before.nodes + 1);
await structured("delete_items", { nodes: [key] });
await client.close();
console.log(JSON.stringify({ ok: true, tools: tools.length, server: client.getServerVersion() }));
process.exit(0);
