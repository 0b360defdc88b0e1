//! Values that are one of a few names.

/// Declares an enum whose variants have names, with the list of all of them in order.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every name, in the order of the variants.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// The name in files, environment and flags.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The variant called `name`, or `None`.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

choice! {
    /// How a graph file is read.
    GraphFormat {
        /// By the path: a folder is a vault, a file goes by its extension and first bytes.
        Auto = "auto",
        /// A folder of Markdown notes that link to each other.
        Vault = "vault",
        /// Comma-separated edges or nodes.
        Csv = "csv",
        /// Tab-separated edges or nodes.
        Tsv = "tsv",
        /// Edges, one a line, separated by blanks.
        Whitespace = "whitespace",
        /// Nodes and edges as JSON.
        Json = "json",
        /// GraphML.
        Graphml = "graphml",
        /// GEXF.
        Gexf = "gexf",
        /// GML.
        Gml = "gml",
        /// Graphviz's language.
        Dot = "dot",
        /// Matrix Market.
        Mtx = "mtx",
        /// Apache Parquet, in builds that read it.
        Parquet = "parquet",
    }
}

choice! {
    /// What computes the layout.
    BackendChoice {
        /// An NVIDIA device where there is one that passes the self-test, otherwise the processor.
        Auto = "auto",
        /// The processor.
        Cpu = "cpu",
        /// An NVIDIA device; without one the program does not start.
        Cuda = "cuda",
    }
}

choice! {
    /// Whether agents connect by HTTP.
    AgentsHttp {
        /// While they do by TCP.
        Auto = "auto",
        /// They do.
        On = "on",
        /// They do not.
        Off = "off",
    }
}

choice! {
    /// What agents may do that show no token.
    AnonymousAgents {
        /// Nothing.
        None = "none",
        /// Look.
        Read = "read",
        /// Look, change the graph, and be agents in it.
        Write = "write",
    }
}

choice! {
    /// What a thread does while it has nothing to do.
    IdleStrategy {
        /// `spin_then_park` where the thread has an isolated core of its own, otherwise `park`.
        Auto = "auto",
        /// Sleeps in the kernel at once.
        Park = "park",
        /// Looks again for `threads.spin_us`, then sleeps.
        SpinThenPark = "spin_then_park",
        /// Never sleeps: takes its whole core.
        Spin = "spin",
    }
}

choice! {
    /// Tools that are offered to agents together.
    Toolset {
        /// Read, change, picture, agents: what most work needs.
        Core = "core",
        /// The tools of the reference memory server, by its names.
        Memory = "memory",
        /// Stepping the simulation.
        Sim = "sim",
        /// Snapshots, clearing, the engine's figures.
        Admin = "admin",
        /// Files into the graph and out of it.
        Io = "io",
        /// Messages and tasks among agents.
        Agents = "agents",
        /// Where people who watch look, and what colour and size mean.
        View = "view",
    }
}

choice! {
    /// The least severe message that is logged.
    LogLevel {
        /// What stopped something from working.
        Error = "error",
        /// What someone should look at.
        Warn = "warn",
        /// Starts, stops and what changed.
        Info = "info",
        /// Every decision.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

choice! {
    /// How a log line is written.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}
