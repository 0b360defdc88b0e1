//! Expressions to values. What cannot be compared or added is null, as in Cypher.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::ast::{Expr, Function, Operator};
use crate::graph::{Attributes, EdgeId, Graph, NodeIndex, Value as Property};
use crate::mcp::tools::{ShownFields, shown_edge, shown_node};
use crate::mcp::view::View;

/// Bytes of a text that an expression makes.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Val<'g> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'g, str>),
    Node(NodeIndex),
    Edge(EdgeId),
    List(Vec<Val<'g>>),
}

/// What a variable is bound to.
#[derive(Clone, Debug)]
pub(super) enum Bound {
    Nothing,
    Node(NodeIndex),
    Edge(EdgeId),
    Edges(Vec<EdgeId>),
}

impl<'g> Val<'g> {
    fn number(&self) -> Option<f64> {
        match self {
            Self::Int(it) => Some(*it as f64),
            Self::Float(it) => Some(*it),
            _ => None,
        }
    }

    /// True, false, or null.
    pub(super) fn truth(&self) -> Option<bool> {
        if let Self::Bool(it) = self { Some(*it) } else { None }
    }

    /// How two values of a kind compare; `None` where they do not.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) => Some(left.cmp(right)),
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::Node(left), Self::Node(right)) => Some(left.cmp(right)),
            (Self::Edge(left), Self::Edge(right)) => Some(left.cmp(right)),
            _ => self.number()?.partial_cmp(&other.number()?),
        }
    }

    /// An order of all values, for sorting: by kind, then by value; null last.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let rank = |value: &Self| match value {
            Self::Node(_) => 0,
            Self::Edge(_) => 1,
            Self::List(_) => 2,
            Self::Text(_) => 3,
            Self::Bool(_) => 4,
            Self::Int(_) | Self::Float(_) => 5,
            Self::Null => 6,
        };
        match (self, other) {
            (Self::List(left), Self::List(right)) => {
                let first = left.iter().zip(right).map(|(left, right)| left.order(right)).find(|it| it.is_ne());
                first.unwrap_or_else(|| left.len().cmp(&right.len()))
            }
            _ => rank(self).cmp(&rank(other)).then_with(|| self.compare(other).unwrap_or(Ordering::Equal)),
        }
    }

    fn equals(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => None,
            (Self::List(left), Self::List(right)) => Some(left == right),
            _ => Some(self.compare(other) == Some(Ordering::Equal)),
        }
    }

    /// Writes what tells this value from others.
    pub(super) fn key(&self, out: &mut String) {
        match self {
            Self::Null => out.push('n'),
            Self::Bool(it) => out.push(if *it { 't' } else { 'f' }),
            Self::Int(it) => out.push_str(&format!("i{it};")),
            Self::Float(it) if it.fract() == 0.0 && it.abs() < 9e15 => out.push_str(&format!("i{};", *it as i64)),
            Self::Float(it) => out.push_str(&format!("d{};", it.to_bits())),
            Self::Text(it) => out.push_str(&format!("s{};{it}", it.len())),
            Self::Node(it) => out.push_str(&format!("N{};", it.0)),
            Self::Edge(it) => out.push_str(&format!("E{};", it.0)),
            Self::List(list) => {
                out.push_str(&format!("l{};", list.len()));
                list.iter().for_each(|it| it.key(out));
            }
        }
    }
}

fn property<'g>(attributes: &'g Attributes, name: &str) -> Val<'g> {
    match attributes.iter().find(|(key, _)| &**key == name).map(|(_, value)| value) {
        None => Val::Null,
        Some(Property::Bool(it)) => Val::Bool(*it),
        Some(Property::Int(it)) => Val::Int(*it),
        Some(Property::Float(it)) => Val::Float(*it),
        Some(Property::Text(it)) => Val::Text(Cow::Borrowed(it)),
    }
}

fn text(found: Option<&str>) -> Val<'_> {
    found.map_or(Val::Null, |found| Val::Text(Cow::Borrowed(found)))
}

/// A property of a node: its own names first, then its attributes.
pub(super) fn of_node<'g>(graph: &'g Graph, index: NodeIndex, name: &str) -> Val<'g> {
    let Some(node) = graph.node(index) else { return Val::Null };
    match name {
        "id" => text(Some(&node.key)),
        "node_id" => Val::Int(i64::from(node.id.get())),
        "label" => text(Some(&node.label)),
        "kind" => text(Some(node.class.kind.name())),
        "group" => text(node.group.as_deref()),
        "weight" => Val::Float(f64::from(node.weight)),
        "degree" => Val::Int(graph.incident(index).len() as i64),
        "pinned" => Val::Bool(node.pinned),
        _ => property(&node.attributes, name),
    }
}

/// The same of an edge.
pub(super) fn of_edge<'g>(graph: &'g Graph, id: EdgeId, name: &str) -> Val<'g> {
    let Some(edge) = graph.edge(id) else { return Val::Null };
    match name {
        "id" => Val::Int(i64::from(edge.id.0)),
        "type" => text(edge.relation.as_deref()),
        "label" => text(edge.label()),
        "weight" => Val::Float(f64::from(edge.weight)),
        "directed" => Val::Bool(edge.directed),
        _ => property(edge.attributes(), name),
    }
}

/// The value of an expression. Variables that are not bound are null.
pub(super) fn value<'g>(expr: &Expr, graph: &'g Graph, bound: &[Bound]) -> Val<'g> {
    let of = |inner: &Expr| value(inner, graph, bound);
    match expr {
        Expr::Null | Expr::Aggregate(..) | Expr::Column(_) => Val::Null,
        Expr::Bool(it) => Val::Bool(*it),
        Expr::Int(it) => Val::Int(*it),
        Expr::Float(it) => Val::Float(*it),
        Expr::Text(it) => Val::Text(Cow::Owned(it.clone())),
        Expr::List(list) => Val::List(list.iter().map(of).collect()),
        Expr::Variable(variable) => match bound.get(*variable) {
            Some(Bound::Node(index)) => Val::Node(*index),
            Some(Bound::Edge(id)) => Val::Edge(*id),
            Some(Bound::Edges(ids)) => Val::List(ids.iter().map(|id| Val::Edge(*id)).collect()),
            Some(Bound::Nothing) | None => Val::Null,
        },
        Expr::Property(variable, name) => match bound.get(*variable) {
            Some(Bound::Node(index)) => of_node(graph, *index, name),
            Some(Bound::Edge(id)) => of_edge(graph, *id, name),
            _ => Val::Null,
        },
        Expr::Not(inner) => of(inner).truth().map_or(Val::Null, |it| Val::Bool(!it)),
        Expr::Negative(inner) => match of(inner) {
            Val::Int(it) => Val::Int(it.saturating_neg()),
            Val::Float(it) => Val::Float(-it),
            _ => Val::Null,
        },
        Expr::IsNull(inner) => Val::Bool(of(inner) == Val::Null),
        Expr::Two(operator @ (Operator::And | Operator::Or), left, right) => {
            let decides = *operator == Operator::Or;
            match (of(left).truth(), of(right).truth()) {
                (Some(it), _) | (_, Some(it)) if it == decides => Val::Bool(decides),
                (Some(_), Some(_)) => Val::Bool(!decides),
                _ => Val::Null,
            }
        }
        Expr::Two(operator, left, right) => two(*operator, of(left), of(right)),
        Expr::Call(function, arguments) => call(*function, arguments.iter().map(of).collect(), graph),
    }
}

fn two<'g>(operator: Operator, left: Val<'g>, right: Val<'g>) -> Val<'g> {
    use Operator as O;
    let truth = |it: Option<bool>| it.map_or(Val::Null, Val::Bool);
    match operator {
        O::Equal => truth(left.equals(&right)),
        O::Unequal => truth(left.equals(&right).map(|it| !it)),
        O::Less => truth(left.compare(&right).map(Ordering::is_lt)),
        O::AtMost => truth(left.compare(&right).map(Ordering::is_le)),
        O::More => truth(left.compare(&right).map(Ordering::is_gt)),
        O::AtLeast => truth(left.compare(&right).map(Ordering::is_ge)),
        O::In => match &right {
            Val::List(list) if left != Val::Null => {
                let found = list.iter().map(|it| left.equals(it));
                let any = found.clone().any(|it| it == Some(true));
                truth(if any { Some(true) } else { found.clone().all(|it| it.is_some()).then_some(false) })
            }
            _ => Val::Null,
        },
        O::StartsWith | O::EndsWith | O::Contains => match (&left, &right) {
            (Val::Text(left), Val::Text(right)) => Val::Bool(match operator {
                O::StartsWith => left.starts_with(&**right),
                O::EndsWith => left.ends_with(&**right),
                _ => left.contains(&**right),
            }),
            _ => Val::Null,
        },
        _ => arithmetic(operator, left, right),
    }
}

fn arithmetic<'g>(operator: Operator, left: Val<'g>, right: Val<'g>) -> Val<'g> {
    use Operator as O;
    match (&left, &right) {
        (Val::Text(left), Val::Text(right)) if operator == O::Add && left.len() + right.len() <= TEXT_BYTES_MAX => {
            Val::Text(Cow::Owned(format!("{left}{right}")))
        }
        (Val::Int(left), Val::Int(right)) => {
            let exact = match operator {
                O::Add => left.checked_add(*right),
                O::Subtract => left.checked_sub(*right),
                O::Multiply => left.checked_mul(*right),
                O::Divide => left.checked_div(*right),
                _ => left.checked_rem(*right),
            };
            exact.map_or(Val::Null, Val::Int)
        }
        _ => {
            let Some((left, right)) = left.number().zip(right.number()) else { return Val::Null };
            let found = match operator {
                O::Add => left + right,
                O::Subtract => left - right,
                O::Multiply => left * right,
                O::Divide => left / right,
                _ => left % right,
            };
            if found.is_finite() { Val::Float(found) } else { Val::Null }
        }
    }
}

fn call<'g>(function: Function, arguments: Vec<Val<'g>>, graph: &'g Graph) -> Val<'g> {
    let first = arguments.first().cloned().unwrap_or(Val::Null);
    match (function, first) {
        (Function::Coalesce, _) => arguments.into_iter().find(|it| *it != Val::Null).unwrap_or(Val::Null),
        (Function::Id, Val::Node(index)) => of_node(graph, index, "id"),
        (Function::Id, Val::Edge(id)) => of_edge(graph, id, "id"),
        (Function::Type, Val::Edge(id)) => of_edge(graph, id, "type"),
        (Function::Labels, Val::Node(index)) => {
            let labels = ["kind", "group"].map(|name| of_node(graph, index, name));
            Val::List(labels.into_iter().filter(|label| *label != Val::Null).collect())
        }
        (Function::Degree, Val::Node(index)) => of_node(graph, index, "degree"),
        (Function::ToLower, Val::Text(text)) => Val::Text(Cow::Owned(text.to_lowercase())),
        (Function::ToUpper, Val::Text(text)) => Val::Text(Cow::Owned(text.to_uppercase())),
        (Function::Size, Val::Text(text)) => Val::Int(text.chars().count() as i64),
        (Function::Size, Val::List(list)) => Val::Int(list.len() as i64),
        (Function::Abs, Val::Int(number)) => Val::Int(number.saturating_abs()),
        (Function::Abs, Val::Float(number)) => Val::Float(number.abs()),
        _ => Val::Null,
    }
}

/// One row of a result.
pub(super) struct ShownRow<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) row: &'a [Val<'a>],
}

struct Shown<'a>(&'a View<'a>, &'a Val<'a>);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view = self.0;
        match self.1 {
            Val::Null => serializer.serialize_none(),
            Val::Bool(it) => serializer.serialize_bool(*it),
            Val::Int(it) => serializer.serialize_i64(*it),
            Val::Float(it) => serializer.serialize_f64(*it),
            Val::Text(it) => serializer.serialize_str(it),
            Val::Node(index) => shown_node(view, *index, ShownFields::brief()).serialize(serializer),
            Val::Edge(id) => match view.graph.edge(*id) {
                Some(edge) => shown_edge(view.graph, edge).serialize(serializer),
                None => serializer.serialize_none(),
            },
            Val::List(list) => serializer.collect_seq(list.iter().map(|it| Shown(view, it))),
        }
    }
}

impl Serialize for ShownRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut cells = serializer.serialize_seq(Some(self.row.len()))?;
        for cell in self.row {
            cells.serialize_element(&Shown(self.view, cell))?;
        }
        cells.end()
    }
}
