//! The formats by name, by file extension, and by how a file starts.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A format that can be imported, or the wish to have it found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// By extension, else by the first bytes.
    #[default]
    Auto,
    /// A folder of Markdown pages: Logseq, Obsidian, or plain.
    Vault,
    /// Edge list with commas or semicolons.
    Csv,
    /// Edge list with tabs.
    Tsv,
    /// Edge list with runs of blanks.
    Whitespace,
    /// Node-link JSON, or JSON Graph Format.
    Json,
    /// GraphML.
    GraphMl,
    /// GEXF 1.1 to 1.3.
    Gexf,
    /// GML.
    Gml,
    /// Graphviz's language.
    Dot,
    /// Matrix Market coordinate files.
    MatrixMarket,
    /// Apache Parquet, a table of edges; only in builds with the feature `parquet`, and only from a file.
    Parquet,
}

/// No format has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of auto, {names}, found {0}", names = Format::NAMES)]
pub struct UnknownFormat(pub super::Found);

impl Format {
    /// Every format but [`Self::Auto`], by name.
    pub const NAMES: &'static str = "vault, csv, tsv, whitespace, json, graphml, gexf, gml, dot, mtx, parquet";

    const ALL: [Self; 12] = [
        Self::Auto,
        Self::Vault,
        Self::Csv,
        Self::Tsv,
        Self::Whitespace,
        Self::Json,
        Self::GraphMl,
        Self::Gexf,
        Self::Gml,
        Self::Dot,
        Self::MatrixMarket,
        Self::Parquet,
    ];

    /// The name in the configuration and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Vault => "vault",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Whitespace => "whitespace",
            Self::Json => "json",
            Self::GraphMl => "graphml",
            Self::Gexf => "gexf",
            Self::Gml => "gml",
            Self::Dot => "dot",
            Self::MatrixMarket => "mtx",
            Self::Parquet => "parquet",
        }
    }

    /// The format that a file name's extension promises; `None` for those that promise nothing, as `.txt`.
    #[must_use]
    pub fn of_extension(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "csv" => Self::Csv,
            "tsv" | "tab" => Self::Tsv,
            "json" | "jgf" => Self::Json,
            "graphml" => Self::GraphMl,
            "gexf" => Self::Gexf,
            "gml" => Self::Gml,
            "dot" | "gv" => Self::Dot,
            "mtx" => Self::MatrixMarket,
            "parquet" | "pq" => Self::Parquet,
            _ => return None,
        })
    }

    /// The format that only one kind of file starts like: XML by its root, JSON by its bracket, Matrix Market by
    /// its banner, GML and DOT by their first words. `head` starts after a byte order mark.
    #[must_use]
    pub fn of_signature(head: &str) -> Option<Self> {
        let text = head.trim_start();
        if text.get(..14).is_some_and(|banner| banner.eq_ignore_ascii_case("%%matrixmarket")) {
            return Some(Self::MatrixMarket);
        }
        if text.starts_with('<') {
            let root = |name: &str| text.find(name).unwrap_or(usize::MAX);
            let (graphml, gexf) = (root("<graphml"), root("<gexf"));
            return match graphml.cmp(&gexf) {
                std::cmp::Ordering::Less => Some(Self::GraphMl),
                std::cmp::Ordering::Greater => Some(Self::Gexf),
                std::cmp::Ordering::Equal => None,
            };
        }
        if text.starts_with(['{', '[']) {
            return Some(Self::Json);
        }
        super::gml::starts(text).then_some(Self::Gml).or_else(|| super::dot::starts(text).then_some(Self::Dot))
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| UnknownFormat(super::Found::new(name)))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            assert!(format == Format::Auto || Format::NAMES.split(", ").any(|name| name == format.name()));
        }
        let error = "svg".parse::<Format>().unwrap_err().to_string();
        assert_eq!(error, format!("expected one of auto, {}, found \"svg\"", Format::NAMES));
    }

    #[test]
    fn a_signature_is_certain() {
        assert_eq!(Format::of_signature("%%MatrixMarket matrix"), Some(Format::MatrixMarket));
        assert_eq!(Format::of_signature("<?xml version='1.0'?>\n<graphml xmlns=''>"), Some(Format::GraphMl));
        assert_eq!(Format::of_signature("<gexf><!-- <graphml> -->"), Some(Format::Gexf));
        assert_eq!(Format::of_signature(" \n[]"), Some(Format::Json));
        assert_eq!(Format::of_signature("# made by hand\ngraph [ directed 1"), Some(Format::Gml));
        assert_eq!(Format::of_signature("Creator \"igraph\"\nVersion 1"), Some(Format::Gml));
        assert_eq!(Format::of_signature("// c\n/* c */ strict digraph \"a b\" {"), Some(Format::Dot));
        assert_eq!(Format::of_signature("graph { a"), Some(Format::Dot));
        assert_eq!(Format::of_signature("graph theory is"), None);
        assert_eq!(Format::of_signature("graph,b"), None);
        assert_eq!(Format::of_signature("<html>"), None);
        assert_eq!(Format::of_signature("a,b"), None);
    }
}
