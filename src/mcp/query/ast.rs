//! A query, taken apart.

/// A whole query.
#[derive(Debug)]
pub(super) struct Query {
    /// Paths that must all match.
    pub(super) paths: Vec<Path>,
    /// Conditions that must all hold.
    pub(super) filter: Vec<Expr>,
    /// What is returned.
    pub(super) returns: Vec<Item>,
    pub(super) distinct: bool,
    /// Keys, and whether they descend.
    pub(super) order: Vec<(Expr, bool)>,
    pub(super) skip: usize,
    pub(super) limit: Option<usize>,
    /// Names of the variables; a variable is a place in it. Those without a name are "".
    pub(super) variables: Vec<String>,
}

/// Nodes with an edge between each two.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) nodes: Vec<NodePattern>,
    pub(super) edges: Vec<EdgePattern>,
}

#[derive(Debug)]
pub(super) struct NodePattern {
    pub(super) variable: usize,
    /// Any of them; none is all.
    pub(super) labels: Vec<String>,
    pub(super) props: Vec<(String, Expr)>,
}

#[derive(Debug)]
pub(super) struct EdgePattern {
    pub(super) variable: usize,
    /// Any of them; none is all.
    pub(super) types: Vec<String>,
    pub(super) props: Vec<(String, Expr)>,
    /// From the left node to the right one, the other way, or either.
    pub(super) way: Way,
    /// How many edges, from and to; `None` is one, and no list.
    pub(super) span: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Right,
    Left,
    Either,
}

impl Way {
    pub(super) fn turned(self) -> Self {
        match self {
            Self::Right => Self::Left,
            Self::Left => Self::Right,
            Self::Either => Self::Either,
        }
    }
}

/// One column.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) expr: Expr,
    pub(super) name: String,
}

#[derive(Clone, Debug)]
pub(super) enum Expr {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Expr>),
    Variable(usize),
    Property(usize, String),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    IsNull(Box<Expr>),
    Two(Operator, Box<Expr>, Box<Expr>),
    Call(Function, Vec<Expr>),
    /// Of all rows of a group; `None` is `count(*)`.
    Aggregate(Aggregate, bool, Option<Box<Expr>>),
    /// In `ORDER BY`: a column.
    Column(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    In,
    StartsWith,
    EndsWith,
    Contains,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Id,
    Type,
    Labels,
    Degree,
    ToLower,
    ToUpper,
    Size,
    Abs,
    Coalesce,
}

impl Function {
    pub(super) const ALL: [(&'static str, Self, usize, usize); 9] = [
        ("id", Self::Id, 1, 1),
        ("type", Self::Type, 1, 1),
        ("labels", Self::Labels, 1, 1),
        ("degree", Self::Degree, 1, 1),
        ("toLower", Self::ToLower, 1, 1),
        ("toUpper", Self::ToUpper, 1, 1),
        ("size", Self::Size, 1, 1),
        ("abs", Self::Abs, 1, 1),
        ("coalesce", Self::Coalesce, 1, 16),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Count,
    Collect,
    Min,
    Max,
    Sum,
    Average,
}

impl Aggregate {
    pub(super) const ALL: [(&'static str, Self); 6] = [
        ("count", Self::Count),
        ("collect", Self::Collect),
        ("min", Self::Min),
        ("max", Self::Max),
        ("sum", Self::Sum),
        ("avg", Self::Average),
    ];
}

impl Expr {
    /// Calls `look` with this and everything in it. The parser bounds the depth.
    pub(super) fn visit(&self, look: &mut dyn FnMut(&Self)) {
        look(self);
        match self {
            Self::List(list) | Self::Call(_, list) => list.iter().for_each(|inner| inner.visit(look)),
            Self::Not(inner) | Self::Negative(inner) | Self::IsNull(inner) | Self::Aggregate(_, _, Some(inner)) => {
                inner.visit(look);
            }
            Self::Two(_, left, right) => {
                left.visit(look);
                right.visit(look);
            }
            _ => {}
        }
    }

    pub(super) fn has_aggregate(&self) -> bool {
        let mut found = false;
        self.visit(&mut |inner| found |= matches!(inner, Self::Aggregate(..)));
        found
    }
}
