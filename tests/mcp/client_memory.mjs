// The reference memory server and this engine, driven by one client with the same calls: names, schemas and answers are the same, but
// for what ours says beside (`revision`, `truncated`).
//
// client_memory.mjs MEMORY_FILE BRIDGE
//   MEMORY_FILE  where the reference keeps its graph; not there yet
//   BRIDGE       the program that leads to the engine, and its arguments, joined by spaces. Its graph is one node, "anchor" of "thing"
// Prints one line of JSON.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [memoryFile, bridge] = process.argv.slice(2);
const reference = createRequire(import.meta.url).resolve("@modelcontextprotocol/server-memory/dist/index.js");

async function connect(command, args, env) {
    const client = new Client({ name: "test", version: "1" });
    await client.connect(new StdioClientTransport({ command, args, env, stderr: "ignore" }));
    return client;
}

const theirs = await connect(process.execPath, [reference], { MEMORY_FILE_PATH: memoryFile });
const [program, ...rest] = bridge.split(" ");
const ours = await connect(program, rest);

// What a schema says, without what it says in words. Where unknown members are refused is each server's own.
function bare(schema) {
    if (Array.isArray(schema)) return schema.map(bare);
    if (schema === null || typeof schema !== "object") return schema;
    const entries = Object.entries(schema).filter(([name]) => !["$schema", "additionalProperties"].includes(name));
    const worded = entries.filter(([name, value]) => name !== "description" || typeof value !== "string");
    const kept = worded.filter(([name, value]) => name !== "required" || value.length > 0);
    return Object.fromEntries(kept.map(([name, value]) => [name, bare(value)]));
}
const tools = async (client) => Object.fromEntries((await client.listTools()).tools.map((tool) => [tool.name, tool]));
const [known, own] = [await tools(theirs), await tools(ours)];
assert.deepEqual(Object.keys(own).sort(), Object.keys(known).sort());
for (const [name, tool] of Object.entries(known)) {
    assert.deepEqual(bare(own[name].inputSchema), bare(tool.inputSchema), name);
    assert.deepEqual({ ...own[name].annotations, title: 0 }, { ...tool.annotations, title: 0 }, name);
    for (const [member, schema] of Object.entries(tool.outputSchema.properties)) {
        assert.deepEqual(bare(own[name].outputSchema.properties[member]), bare(schema), `${name}.${member}`);
    }
}

// Lists of a graph are in no order; observations are in theirs.
function comparable(result) {
    const { revision, truncated, ...said } = result;
    for (const list of ["entities", "relations"]) {
        const key = (item) => JSON.stringify([item.name, item.from, item.to, item.relationType]);
        said[list]?.sort((left, right) => (key(left) < key(right) ? -1 : 1));
    }
    return said;
}
function text(result) {
    const said = result.content[0].text;
    return said.startsWith("{") ? comparable(JSON.parse(said)) : said.startsWith("[") ? JSON.parse(said) : said;
}
let calls = 0;
async function same(name, args) {
    const [their, our] = await Promise.all([theirs, ours].map((client) => client.callTool({ name, arguments: args })));
    const words = `${name} ${JSON.stringify(args)}\n${JSON.stringify(their)}\n${JSON.stringify(our)}`;
    assert.equal(Boolean(our.isError), Boolean(their.isError), words);
    if (!their.isError) {
        assert.deepEqual(comparable(our.structuredContent), comparable(their.structuredContent), words);
        assert.deepEqual(text(our), text(their), words);
    }
    calls += 1;
}

const entity = (name, entityType, ...observations) => ({ name, entityType, observations });
const relation = (from, relationType, to) => ({ from, to, relationType });
await theirs.callTool({ name: "create_entities", arguments: { entities: [entity("anchor", "thing")] } });
await same("read_graph", {});
await same("create_entities", { entities: [entity("Ada", "person", "writes", "counts"), entity("Engine", "machine"), entity("é ü \u{1F600}", "", "a \"b\"\n")] });
await same("create_entities", { entities: [entity("Ada", "other", "ignored"), entity("Byron", "person", "rhymes", "rhymes")] });
await same("create_entities", { entities: [] });
await same("create_relations", { relations: [relation("Ada", "programs", "Engine"), relation("Byron", "fathers", "Ada"), relation("Ada", "is", "Ada")] });
await same("create_relations", { relations: [relation("Ada", "programs", "Engine"), relation("Ada", "admires", "Engine"), relation("Engine", "programs", "Ada")] });
await same("add_observations", { observations: [{ entityName: "Ada", contents: ["writes", "dreams"] }, { entityName: "Ada", contents: ["dreams", "sums"] }] });
await same("add_observations", { observations: [{ entityName: "Engine", contents: ["whirs"] }, { entityName: "Nobody", contents: ["x"] }] });
await same("read_graph", {});
for (const query of ["ada", "PERSON", "whirs", "dream", "nothing has this", "", "é"]) await same("search_nodes", { query });
await same("open_nodes", { names: ["Ada", "Nobody"] });
await same("open_nodes", { names: [] });
await same("delete_observations", { deletions: [{ entityName: "Ada", observations: ["counts", "never"] }, { entityName: "Nobody", observations: ["x"] }, { entityName: "Byron", observations: ["rhymes"] }] });
await same("add_observations", { observations: [{ entityName: "Ada", contents: ["last"] }] });
await same("read_graph", {});
await same("delete_relations", { relations: [relation("Ada", "admires", "Engine"), relation("Ada", "never", "Engine")] });
await same("read_graph", {});
await same("delete_entities", { entityNames: ["Engine", "Nobody"] });
await same("read_graph", {});
for (const [name, args] of [["create_entities", {}], ["search_nodes", { query: 7 }], ["create_entities", { entities: [{ name: "x" }] }]]) await same(name, args);
await same("read_graph", {});

// What the reference takes and a graph cannot hold: a relation to nothing. It is said, and nothing is half done.
const nowhere = await ours.callTool({ name: "create_relations", arguments: { relations: [relation("Ada", "knows", "Byron"), relation("Ada", "knows", "Nobody")] } });
assert.ok(nowhere.isError && nowhere.content[0].text.includes("relations[1].to"), JSON.stringify(nowhere));
await same("read_graph", {});
await Promise.all([theirs.close(), ours.close()]);
console.log(JSON.stringify({ ok: true, tools: Object.keys(own).length, calls }));
process.exit(0);
