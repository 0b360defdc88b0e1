//! What the channels of the picture make of nodes and edges that are drawn, as the viewer has them.

use serde_json::{Map, Value};

use crate::graph::{Edge, NodeKind};
use crate::mcp::args::ToolError;
use crate::mcp::encoding::{Channel, Icon, Rule, Scheme, Shown, of_edge, of_node};
use crate::mcp::view::{Bounds, View};

/// Rows of a legend that are drawn.
const ROWS_DRAWN_MAX: usize = 9;

/// Of nodes without a value.
const NONE: u32 = 0x7F_90_AB;

/// The rules in force, made for the values there are.
pub(super) struct Dress<'a> {
    view: &'a View<'a>,
    schemes: Vec<(Channel, &'a Rule, Scheme<'a>)>,
}

impl<'a> Dress<'a> {
    /// By what is in force for everybody; `grouped` is what colours are by where nothing says what they mean.
    pub(super) fn of(view: &'a View<'a>, grouped: Option<&'a Rule>, bounds: &Bounds<'_>) -> Result<Self, ToolError> {
        let rules = view.stage.encoding().map(|(_, encoding)| &encoding.channels);
        let mut set: Vec<(Channel, &Rule)> =
            rules.into_iter().flatten().map(|(channel, rule)| (*channel, rule)).collect();
        if let Some(rule) = grouped.filter(|_| !set.iter().any(|(channel, _)| *channel == Channel::Color)) {
            set.insert(0, (Channel::Color, rule));
        }
        let made = |(channel, rule): (Channel, &'a Rule)| {
            Ok((channel, rule, Scheme::of(channel, rule, view, usize::MAX, Some(bounds))?))
        };
        Ok(Self { view, schemes: set.into_iter().map(made).collect::<Result<_, ToolError>>()? })
    }

    fn scheme(&self, channel: Channel) -> Option<(&Rule, &Scheme<'a>)> {
        self.schemes.iter().find(|(of, ..)| *of == channel).map(|(_, rule, scheme)| (*rule, scheme))
    }

    fn node(&self, channel: Channel, index: usize) -> Option<Shown> {
        let (rule, scheme) = self.scheme(channel)?;
        scheme.show(of_node(self.view, index, rule.by, rule.property.as_deref()))
    }

    fn edge(&self, channel: Channel, edge: &Edge) -> Option<Shown> {
        let (rule, scheme) = self.scheme(channel)?;
        scheme.show(of_edge(edge, rule.by, rule.property.as_deref()))
    }

    /// The colour of a node; `None` where nothing says what colours mean.
    pub(super) fn colour(&self, index: usize) -> Option<u32> {
        self.scheme(Channel::Color)?;
        Some(self.node(Channel::Color, index).and_then(colour_of).unwrap_or(NONE))
    }

    /// How many times as large as a plain one a node is; `None` where nothing says what sizes mean.
    pub(super) fn size(&self, index: usize) -> Option<f32> {
        self.scheme(Channel::Size)?;
        Some(self.node(Channel::Size, index).and_then(number_of).unwrap_or(1.0))
    }

    /// The outline of a node.
    pub(super) fn icon(&self, index: usize, kind: NodeKind) -> Icon {
        match self.node(Channel::Icon, index) {
            Some(Shown::Icon(icon)) => icon,
            _ if self.scheme(Channel::Icon).is_some() => Icon::Disc,
            _ => match kind {
                NodeKind::Knowledge => Icon::Disc,
                NodeKind::Agent => Icon::Diamond,
                NodeKind::OntologyClass | NodeKind::OntologyIndividual | NodeKind::OntologyProperty => Icon::Square,
            },
        }
    }

    /// The dot at a node.
    pub(super) fn badge(&self, index: usize) -> Option<u32> {
        self.node(Channel::Badge, index).and_then(colour_of)
    }

    /// What is written at a node; `None` is its label.
    pub(super) fn label(&self, index: usize) -> Option<Box<str>> {
        if let Some(Shown::Text(text)) = self.node(Channel::Label, index) { Some(text) } else { None }
    }

    /// From 0, nothing is seen, to 1.
    pub(super) fn opacity(&self, index: usize) -> f32 {
        self.node(Channel::Opacity, index).and_then(number_of).unwrap_or(1.0)
    }

    /// The colour of an edge, where it has one of its own.
    pub(super) fn edge_colour(&self, edge: &Edge) -> Option<u32> {
        self.edge(Channel::EdgeColor, edge).and_then(colour_of)
    }

    /// How wide an edge is, pixels.
    pub(super) fn edge_width(&self, edge: &Edge) -> f32 {
        self.edge(Channel::EdgeWidth, edge).and_then(number_of).unwrap_or(1.0)
    }

    /// What the colours of the picture mean, as rows to be drawn into it.
    pub(super) fn rows(&self) -> Vec<(String, u32)> {
        let Some((_, scheme)) = self.scheme(Channel::Color) else { return Vec::new() };
        let rows = scheme.rows(ROWS_DRAWN_MAX).filter_map(|(value, _, shown)| {
            let colour = shown.and_then(colour_of)?;
            Some((value.to_owned(), colour))
        });
        rows.collect()
    }

    /// The legends of all channels that are set.
    pub(super) fn legends(&self) -> Value {
        let legends = self.schemes.iter().map(|(channel, rule, scheme)| {
            let mut legend = scheme.legend();
            if let Value::Object(legend) = &mut legend {
                legend.insert("by".to_owned(), rule.by.into());
                legend.insert("property".to_owned(), rule.property.as_deref().into());
            }
            (channel.name().to_owned(), legend)
        });
        Value::Object(legends.collect::<Map<String, Value>>())
    }
}

fn colour_of(shown: Shown) -> Option<u32> {
    if let Shown::Colour(rgb) = shown { Some(rgb) } else { None }
}

fn number_of(shown: Shown) -> Option<f32> {
    if let Shown::Number(number) = shown { Some(number) } else { None }
}
