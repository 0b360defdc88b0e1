// ngraph.forcelayout with its defaults.

import createGraph from "ngraph.graph";
import createLayout from "ngraph.forcelayout";
import { options, readGraph, run } from "./adapter.mjs";

run(["ngraph.forcelayout"], () => {
  const { nodeCount, edges } = readGraph();
  const graph = createGraph();
  for (let node = 0; node < nodeCount; node += 1) graph.addNode(node);
  for (const [source, target] of edges) graph.addLink(source, target);
  const layout = createLayout(graph, { dimensions: options.dimensions });
  return {
    nodeCount,
    tick: () => layout.step(),
    place: (node) => {
      const { x, y, z } = layout.getNodePosition(node);
      return options.dimensions === 3 ? [x, y, z] : [x, y];
    },
  };
});
