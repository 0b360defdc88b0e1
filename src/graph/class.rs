//! What kind of thing a node is, and the flag bits that carry it on the wire.

/// The kind of a node. Exactly one; privacy is apart, see [`NodeClass`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// A page, a package, a thing that people know.
    #[default]
    Knowledge,
    /// An AI agent at work.
    Agent,
    /// A class of an ontology.
    OntologyClass,
    /// An individual of an ontology.
    OntologyIndividual,
    /// A property of an ontology.
    OntologyProperty,
}

impl NodeKind {
    /// The name in JSON and in imported files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Knowledge => "knowledge",
            Self::Agent => "agent",
            Self::OntologyClass => "ontology_class",
            Self::OntologyIndividual => "ontology_individual",
            Self::OntologyProperty => "ontology_property",
        }
    }

    /// The kind called `name`, or `None`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        const ALL: [NodeKind; 5] = [
            NodeKind::Knowledge,
            NodeKind::Agent,
            NodeKind::OntologyClass,
            NodeKind::OntologyIndividual,
            NodeKind::OntologyProperty,
        ];
        ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Kind and privacy of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct NodeClass {
    /// What the node is.
    #[serde(rename = "class")]
    pub kind: NodeKind,
    /// Not to be shown to everyone; carried as a flag.
    pub private: bool,
}

impl NodeClass {
    /// The class as bits 26 to 31 of a wire id: 31 agent, 30 knowledge, 29 private, 28 property,
    /// 27 individual, 26 ontology class.
    #[must_use]
    pub const fn wire_bits(self) -> u32 {
        let kind = match self.kind {
            NodeKind::Agent => 1 << 31,
            NodeKind::Knowledge => 1 << 30,
            NodeKind::OntologyProperty => 1 << 28,
            NodeKind::OntologyIndividual => 1 << 27,
            NodeKind::OntologyClass => 1 << 26,
        };
        if self.private { kind | 1 << 29 } else { kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::NODE_ID_MAX;

    #[test]
    fn class_bits_never_touch_the_id() {
        for kind in ["knowledge", "agent", "ontology_class", "ontology_individual", "ontology_property"] {
            for private in [false, true] {
                let class = NodeClass { kind: NodeKind::from_name(kind).unwrap(), private };
                assert_eq!(class.wire_bits() & NODE_ID_MAX, 0);
                assert_eq!(class.wire_bits().count_ones(), 1 + u32::from(private));
            }
        }
        assert_eq!(NodeKind::from_name("page"), None);
    }
}
