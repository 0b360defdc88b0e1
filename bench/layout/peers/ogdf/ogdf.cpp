// OGDF's FM3, FMME and PMDS. The command line and the answer are those of ../node/adapter.mjs:
//
//     ogdf PEER GRAPH.edges OUT.csv 2 TICKS SEED SECONDS
//
// Built by ../../setup.sh into build/, from the headers and the library that the Python package ogdf-wheel brings. OGDF is under
// the GPL: this program is neither shipped nor linked with anything of ours.

#include <sys/resource.h>

#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <ogdf/basic/Graph.h>
#include <ogdf/basic/GraphAttributes.h>
#include <ogdf/energybased/FMMMLayout.h>
#include <ogdf/energybased/FastMultipoleEmbedder.h>
#include <ogdf/energybased/PivotMDS.h>
#include <ogdf/packing/ComponentSplitterLayout.h>

static double cpu_ms() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto ms = [](const timeval& time) { return time.tv_sec * 1e3 + time.tv_usec / 1e3; };
    return ms(usage.ru_utime) + ms(usage.ru_stime);
}

int main(int count, char** arguments) {
    if (count != 8 || std::string(arguments[4]) != "2") {
        std::cerr << "ogdf PEER GRAPH.edges OUT.csv 2 TICKS SEED SECONDS\n";
        return 2;
    }
    const std::string peer = arguments[1];
    const int seed = std::stoi(arguments[6]);
    std::ifstream in(arguments[2]);
    int nodes = 0, edges = 0;
    in >> nodes >> edges;
    ogdf::Graph graph;
    std::vector<ogdf::node> node_of;
    for (int node = 0; node < nodes; ++node) {
        node_of.push_back(graph.newNode());
    }
    for (int left, right; in >> left >> right;) {
        graph.newEdge(node_of[left], node_of[right]);
    }
    ogdf::GraphAttributes at(graph, ogdf::GraphAttributes::nodeGraphics | ogdf::GraphAttributes::edgeGraphics);
    for (ogdf::node node : node_of) {
        at.width(node) = at.height(node) = 1;
    }
    ogdf::setSeed(seed);

    const double began = cpu_ms();
    if (peer == "fm3") {
        ogdf::FMMMLayout layout;
        layout.useHighLevelOptions(true);
        layout.unitEdgeLength(20);
        layout.newInitialPlacement(true);
        layout.qualityVersusSpeed(ogdf::FMMMOptions::QualityVsSpeed::GorgeousAndEfficient);
        layout.randSeed(seed);
        layout.call(at);
    } else if (peer == "fmme") {
        ogdf::ComponentSplitterLayout layout;
        layout.setLayoutModule(new ogdf::FastMultipoleMultilevelEmbedder());
        layout.call(at);
    } else if (peer == "pmds") {
        ogdf::ComponentSplitterLayout layout;
        layout.setLayoutModule(new ogdf::PivotMDS());
        layout.call(at);
    } else {
        std::cerr << "no peer is called " << peer << "\n";
        return 2;
    }
    const double whole = cpu_ms() - began;

    std::ofstream out(arguments[3]);
    out.precision(17);
    out << "id,x,y\n";
    for (int node = 0; node < nodes; ++node) {
        out << node << ',' << at.x(node_of[node]) << ',' << at.y(node_of[node]) << '\n';
    }
    std::cout << "{\"version\": \"OGDF " << OGDF_WHEEL << "\", \"whole_ms\": " << whole << "}\n";
}
