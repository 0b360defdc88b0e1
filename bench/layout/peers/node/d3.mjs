// d3-force in the plane, d3-force-3d in space: links, charge and centre as their documentation shows them, all defaults.

import * as d3 from "d3-force";
import * as d3in3d from "d3-force-3d";
import { options, readGraph, run } from "./adapter.mjs";

const space = options.dimensions === 3;
const force = space ? d3in3d : d3;
const axes = ["x", "y", "z"].slice(0, options.dimensions);
let nodes;

run(
  [space ? "d3-force-3d" : "d3-force"],
  () => {
    const graph = readGraph();
    nodes = Array.from({ length: graph.nodeCount }, (_, index) => ({ index }));
    const links = graph.edges.map(([source, target]) => ({ source, target }));
    const simulation = space ? force.forceSimulation(nodes, 3) : force.forceSimulation(nodes);
    simulation
      .force("link", force.forceLink(links))
      .force("charge", force.forceManyBody())
      .force("center", force.forceCenter())
      .stop();
    return {
      nodeCount: graph.nodeCount,
      tick: () => simulation.tick(),
      place: (node) => axes.map((axis) => nodes[node][axis]),
    };
  },
  // How far its repulsion is from the exact sum at the end: rms of the difference over rms of the force.
  () => (nodes.length > 20000 ? {} : { repulsion_error: repulsionError() }),
);

function repulsionError() {
  const charge = (theta) => {
    const still = nodes.map((node) => ({ index: node.index, x: node.x, y: node.y, z: node.z, vx: 0, vy: 0, vz: 0 }));
    const manyBody = force.forceManyBody().theta(theta);
    manyBody.initialize(still, ...(space ? [Math.random, 3] : [Math.random]));
    manyBody(1);
    return still;
  };
  const [fast, exact] = [charge(0.9), charge(0)];
  let [difference, size] = [0, 0];
  fast.forEach((node, index) => {
    for (const axis of axes) {
      difference += (node[`v${axis}`] - exact[index][`v${axis}`]) ** 2;
      size += exact[index][`v${axis}`] ** 2;
    }
  });
  return Math.sqrt(difference / size);
}
