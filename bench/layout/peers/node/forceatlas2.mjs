// graphology-layout-forceatlas2 with the settings that it infers for the graph, from random positions: it needs some.

import Graph from "graphology";
import forceAtlas2 from "graphology-layout-forceatlas2";
import helpers from "graphology-layout-forceatlas2/helpers.js";
import iterate from "graphology-layout-forceatlas2/iterate.js";
import defaults from "graphology-layout-forceatlas2/defaults.js";
import { options, randomFrom, readGraph, run } from "./adapter.mjs";

run(["graphology-layout-forceatlas2"], () => {
  const { nodeCount, edges } = readGraph();
  const random = randomFrom(options.seed);
  const graph = new Graph({ type: "undirected" });
  for (let node = 0; node < nodeCount; node += 1) graph.addNode(node, { x: random() * 1000, y: random() * 1000 });
  for (const [source, target] of edges) graph.addEdge(source, target);
  const settings = { ...defaults, ...forceAtlas2.inferSettings(graph) };
  // Its own loop, one iteration at a time, so that it can be timed and ended.
  const matrices = helpers.graphToByteArrays(graph, () => 1);
  const width = matrices.nodes.length / nodeCount;
  return {
    nodeCount,
    tick: () => iterate(settings, matrices.nodes, matrices.edges),
    place: (node) => [matrices.nodes[node * width], matrices.nodes[node * width + 1]],
  };
});
