//! Words to a query. Recursive descent, at most [`DEPTH_MAX`] deep.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::ast::{Aggregate, EdgePattern, Expr, Function, Item, NodePattern, Operator, Path, Query, Way};
use super::token::{Kind, Token, tokens, wrong};
use crate::mcp::args::{ToolError, nearest};

/// Brackets, lists and calls inside each other.
const DEPTH_MAX: usize = 32;

/// Nodes and edges of all patterns.
const PATTERNS_MAX: usize = 24;

/// Edges of a path of variable length.
const SPAN_MAX: usize = 6;

/// Words of all expressions.
const WORDS_MAX: usize = 2_048;

/// Rows that `SKIP` and `LIMIT` may name.
const ROWS_MAX: i64 = 100_000;

/// Words of Cypher that begin what is not part of this.
const REFUSED: [&str; 14] = [
    "CREATE", "MERGE", "SET", "DELETE", "DETACH", "REMOVE", "CALL", "LOAD", "FOREACH", "WITH", "UNWIND", "OPTIONAL",
    "UNION", "USE",
];

/// Words that no variable can be.
const KEYWORDS: [&str; 23] = [
    "MATCH", "WHERE", "RETURN", "DISTINCT", "ORDER", "BY", "SKIP", "LIMIT", "AS", "AND", "OR", "NOT", "IN", "STARTS",
    "ENDS", "WITH", "CONTAINS", "IS", "NULL", "TRUE", "FALSE", "ASC", "DESC",
];

struct Parser<'text> {
    text: &'text str,
    tokens: Vec<Token<'text>>,
    at: usize,
    depth: usize,
    params: &'text BTreeMap<String, Json>,
    variables: Vec<String>,
    /// `true` for edges, `false` for nodes.
    is_edge: Vec<bool>,
    patterns: usize,
    columns: Vec<String>,
}

type Parsed<T> = Result<T, ToolError>;

pub(super) fn parse<'text>(text: &'text str, params: &'text BTreeMap<String, Json>) -> Parsed<Query> {
    let tokens = tokens(text)?;
    if tokens.len() > WORDS_MAX {
        return Err(ToolError::new(format!("query has more than {WORDS_MAX} words")));
    }
    let mut parser = Parser {
        text,
        tokens,
        at: 0,
        depth: 0,
        params,
        variables: Vec::new(),
        is_edge: Vec::new(),
        patterns: 0,
        columns: Vec::new(),
    };
    parser.query()
}

impl<'text> Parser<'text> {
    fn peek(&self) -> &Kind<'text> {
        self.tokens.get(self.at).map_or(&Kind::End, |token| &token.kind)
    }

    fn wrong<T>(&self, words: &str) -> Parsed<T> {
        let at = self.tokens.get(self.at).map_or(self.text.len(), |token| token.at);
        Err(wrong(self.text, at, words))
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Kind::Name(name) if name.eq_ignore_ascii_case(word))
    }

    fn word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        self.at += usize::from(is);
        is
    }

    fn sign(&mut self, sign: &str) -> bool {
        let is = matches!(self.peek(), Kind::Sign(found) if *found == sign);
        self.at += usize::from(is);
        is
    }

    fn need(&mut self, sign: &str) -> Parsed<()> {
        if self.sign(sign) { Ok(()) } else { self.wrong(&format!("{sign} is missing")) }
    }

    fn name(&mut self, what: &str) -> Parsed<String> {
        let name = match self.peek() {
            Kind::Name(name) => (*name).to_owned(),
            Kind::Quoted(name) => name.clone(),
            _ => return self.wrong(&format!("{what} is missing")),
        };
        self.at += 1;
        Ok(name)
    }

    fn query(&mut self) -> Parsed<Query> {
        let (mut paths, mut filter) = (Vec::new(), Vec::new());
        while self.word("MATCH") {
            paths.push(self.path()?);
            while self.sign(",") {
                paths.push(self.path()?);
            }
            if self.word("WHERE") {
                conjuncts(self.expression()?, &mut filter);
            }
        }
        if paths.is_empty() || !self.is_word("RETURN") {
            let refused = REFUSED.iter().find(|word| self.is_word(word));
            return match refused {
                Some(word) => self
                    .wrong(&format!("{word} is not part of this language, which only reads: MATCH … WHERE … RETURN")),
                None => self.wrong("MATCH … WHERE … RETURN is expected"),
            };
        }
        if filter.iter().any(Expr::has_aggregate) {
            return self.wrong("WHERE cannot use count and its like");
        }
        self.at += 1;
        let distinct = self.word("DISTINCT");
        let mut returns = vec![self.item()?];
        while self.sign(",") {
            returns.push(self.item()?);
        }
        self.columns = returns.iter().map(|item| item.name.clone()).collect();
        let mut order = Vec::new();
        if self.word("ORDER") {
            if !self.word("BY") {
                return self.wrong("BY is missing");
            }
            loop {
                let key = self.order_key()?;
                let descends = self.word("DESC") || self.word("DESCENDING");
                let _ = !descends && (self.word("ASC") || self.word("ASCENDING"));
                order.push((key, descends));
                if !self.sign(",") {
                    break;
                }
            }
        }
        let skip = if self.word("SKIP") { self.rows("SKIP")? } else { 0 };
        let limit = if self.word("LIMIT") { Some(self.rows("LIMIT")?) } else { None };
        if !matches!(self.peek(), Kind::End) {
            return self.wrong("the query should end here");
        }
        let aggregates = returns.iter().any(|item| item.expr.has_aggregate());
        let columns_only = order.iter().all(|(key, _)| matches!(key, Expr::Column(_)));
        if (aggregates || distinct) && !columns_only {
            return self.wrong("with count and its like, or DISTINCT, ORDER BY names columns: give one a name with AS");
        }
        let variables = std::mem::take(&mut self.variables);
        Ok(Query { paths, filter, returns, distinct, order, skip, limit, variables })
    }

    fn rows(&mut self, what: &str) -> Parsed<usize> {
        let value = self.primary()?;
        match value {
            Expr::Int(rows @ 0..=ROWS_MAX) => Ok(rows as usize),
            _ => self.wrong(&format!("{what} is a whole number from 0 to {ROWS_MAX}")),
        }
    }

    /// One column. Without a name it is called as it is written.
    fn item(&mut self) -> Parsed<Item> {
        let from = self.tokens.get(self.at).map_or(0, |token| token.at);
        let expr = self.expression()?;
        let to = self.tokens.get(self.at).map_or(self.text.len(), |token| token.at);
        let written: String = self.text.get(from..to).unwrap_or("").trim().chars().take(128).collect();
        let name = if self.word("AS") { self.name("the name of a column")? } else { written };
        Ok(Item { expr, name })
    }

    /// A column by its name, or an expression of the variables.
    fn order_key(&mut self) -> Parsed<Expr> {
        let from = self.tokens.get(self.at).map_or(0, |token| token.at);
        if let Kind::Name(name) = self.peek()
            && let Some(column) = self.columns.iter().position(|column| column == name)
            && !matches!(self.tokens.get(self.at + 1).map(|token| &token.kind), Some(Kind::Sign("." | "(")))
        {
            self.at += 1;
            return Ok(Expr::Column(column));
        }
        let expr = self.expression()?;
        let to = self.tokens.get(self.at).map_or(self.text.len(), |token| token.at);
        let written = self.text.get(from..to).unwrap_or("").trim();
        match self.columns.iter().position(|column| column == written) {
            Some(column) => Ok(Expr::Column(column)),
            None if expr.has_aggregate() => self.wrong("ORDER BY names a column: give it a name with AS"),
            None => Ok(expr),
        }
    }

    fn path(&mut self) -> Parsed<Path> {
        let mut path = Path { nodes: vec![self.node()?], edges: Vec::new() };
        while matches!(self.peek(), Kind::Sign("-" | "<-")) {
            path.edges.push(self.edge()?);
            path.nodes.push(self.node()?);
        }
        Ok(path)
    }

    /// A variable; the same name is the same thing.
    fn variable(&mut self, is_edge: bool) -> Parsed<usize> {
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            return self.wrong(&format!("a query has at most {PATTERNS_MAX} nodes and edges"));
        }
        let named = match self.peek() {
            Kind::Name(name) => !KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(name)),
            Kind::Quoted(_) => true,
            _ => false,
        };
        let name = if named { self.name("a variable")? } else { String::new() };
        if !name.is_empty()
            && let Some(known) = self.variables.iter().position(|known| *known == name)
        {
            return match (is_edge, self.is_edge.get(known)) {
                (false, Some(false)) => Ok(known),
                _ => self.wrong("this variable names something else already"),
            };
        }
        self.variables.push(name);
        self.is_edge.push(is_edge);
        Ok(self.variables.len() - 1)
    }

    fn node(&mut self) -> Parsed<NodePattern> {
        self.need("(")?;
        let variable = self.variable(false)?;
        let labels = self.names("a label")?;
        let props = self.props()?;
        self.need(")")?;
        Ok(NodePattern { variable, labels, props })
    }

    /// `:A|B` or `:A:B`, which here are both "one of".
    fn names(&mut self, what: &str) -> Parsed<Vec<String>> {
        let mut names = Vec::new();
        if self.sign(":") {
            names.push(self.name(what)?);
            while self.sign("|") {
                self.sign(":");
                names.push(self.name(what)?);
            }
            if matches!(self.peek(), Kind::Sign(":")) {
                return self.wrong("a node has one kind and one group: write :A|B for one of several");
            }
        }
        Ok(names)
    }

    fn props(&mut self) -> Parsed<Vec<(String, Expr)>> {
        let mut props = Vec::new();
        if self.sign("{") {
            loop {
                let key = self.name("a property")?;
                self.need(":")?;
                let value = self.expression()?;
                let mut constant = true;
                value.visit(&mut |inner| {
                    constant &= !matches!(inner, Expr::Aggregate(..) | Expr::Variable(_) | Expr::Property(..))
                });
                if !constant {
                    return self.wrong("a property in a pattern is a value: compare with WHERE");
                }
                props.push((key, value));
                if !self.sign(",") {
                    break;
                }
            }
            self.need("}")?;
        }
        Ok(props)
    }

    fn edge(&mut self) -> Parsed<EdgePattern> {
        let left = self.sign("<-");
        if !left {
            self.need("-")?;
        }
        let (mut variable, mut types, mut props, mut span) = (None, Vec::new(), Vec::new(), None);
        if self.sign("[") {
            variable = Some(self.variable(true)?);
            types = self.names("a type")?;
            span = self.span()?;
            props = self.props()?;
            self.need("]")?;
        }
        let right = self.sign("->");
        if !right {
            self.need("-")?;
        }
        let way = match (left, right) {
            (true, true) | (false, false) => Way::Either,
            (true, false) => Way::Left,
            (false, true) => Way::Right,
        };
        let variable = match variable {
            Some(variable) => variable,
            None => {
                self.variables.push(String::new());
                self.is_edge.push(true);
                self.variables.len() - 1
            }
        };
        Ok(EdgePattern { variable, types, props, way, span })
    }

    /// `*`, `*2`, `*1..3`, `*..3`, `*2..`.
    fn span(&mut self) -> Parsed<Option<(usize, usize)>> {
        if !self.sign("*") {
            return Ok(None);
        }
        let count = |parser: &mut Self| match parser.peek() {
            Kind::Int(count) => {
                let count = usize::try_from(*count).unwrap_or(usize::MAX);
                parser.at += 1;
                Some(count)
            }
            _ => None,
        };
        let from = count(self);
        let (from, to) = match (from, self.sign("..")) {
            (from, true) => (from.unwrap_or(1), count(self).unwrap_or(SPAN_MAX)),
            (Some(exactly), false) => (exactly, exactly),
            (None, false) => (1, SPAN_MAX),
        };
        if from > to || to > SPAN_MAX {
            return self.wrong(&format!("a path has from 0 to {SPAN_MAX} edges, as in *1..3"));
        }
        Ok(Some((from, to)))
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEPTH_MAX {
            return self.wrong(&format!("this is nested more than {DEPTH_MAX} deep"));
        }
        self.depth += 1;
        let parsed = inner(self);
        self.depth -= 1;
        parsed
    }

    fn expression(&mut self) -> Parsed<Expr> {
        self.deeper(|parser| parser.level(0))
    }

    /// Or, and, not, comparisons, sums, products: each level binds tighter.
    fn level(&mut self, level: usize) -> Parsed<Expr> {
        match level {
            2 if self.word("NOT") => {
                let inner = self.deeper(|parser| parser.level(2))?;
                return Ok(Expr::Not(Box::new(inner)));
            }
            6 => return self.unary(),
            _ => {}
        }
        let mut left = self.level(level + 1)?;
        // A chain hangs to the left, and each link is one deeper for whoever walks it: it is bounded like brackets.
        let mut links = 0;
        while let Some((operator, negated)) = self.operator(level)? {
            links += 1;
            if links > 4 * DEPTH_MAX {
                return self.wrong(&format!("there are more than {} of these in a row", 4 * DEPTH_MAX));
            }
            if let Some(operator) = operator {
                let right = self.level(level + 1)?;
                left = Expr::Two(operator, Box::new(left), Box::new(right));
            } else {
                left = Expr::IsNull(Box::new(left));
            }
            if negated {
                left = Expr::Not(Box::new(left));
            }
        }
        Ok(left)
    }

    /// The operator of this level that comes next, and whether what it says is turned round; `None` inside is IS NULL.
    #[allow(clippy::option_option, reason = "no operator, and the one without a right side")]
    fn operator(&mut self, level: usize) -> Parsed<Option<(Option<Operator>, bool)>> {
        use Operator as O;
        let signs: &[(&str, O)] = match level {
            3 => &[
                ("=", O::Equal),
                ("<>", O::Unequal),
                ("<=", O::AtMost),
                (">=", O::AtLeast),
                ("<", O::Less),
                (">", O::More),
            ],
            4 => &[("+", O::Add), ("-", O::Subtract)],
            5 => &[("*", O::Multiply), ("/", O::Divide), ("%", O::Remainder)],
            _ => &[],
        };
        if let Some((_, operator)) = signs.iter().copied().find(|(sign, _)| self.sign(sign)) {
            return Ok(Some((Some(operator), false)));
        }
        let found = match level {
            0 if self.word("OR") => O::Or,
            1 if self.word("AND") => O::And,
            3 if self.word("IN") => O::In,
            3 if self.word("CONTAINS") => O::Contains,
            3 if self.is_word("STARTS") || self.is_word("ENDS") => {
                let operator = if self.word("STARTS") { O::StartsWith } else { O::EndsWith };
                let _ = operator == O::EndsWith && self.word("ENDS");
                if !self.word("WITH") {
                    return self.wrong("WITH is missing");
                }
                operator
            }
            3 if self.word("IS") => {
                let negated = self.word("NOT");
                return if self.word("NULL") { Ok(Some((None, negated))) } else { self.wrong("NULL is missing") };
            }
            _ => return Ok(None),
        };
        Ok(Some((Some(found), false)))
    }

    fn unary(&mut self) -> Parsed<Expr> {
        if self.sign("-") {
            let inner = self.deeper(Self::unary)?;
            return Ok(match inner {
                Expr::Int(number) => Expr::Int(number.saturating_neg()),
                Expr::Float(number) => Expr::Float(-number),
                other => Expr::Negative(Box::new(other)),
            });
        }
        self.primary()
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let kind = self.peek().clone();
        self.at += 1;
        Ok(match kind {
            Kind::Int(number) => Expr::Int(number),
            Kind::Float(number) => Expr::Float(number),
            Kind::Text(text) => Expr::Text(text),
            Kind::Param(name) => match self.params.get(name) {
                Some(value) => return self.deeper(|parser| parser.literal(value)),
                None => {
                    self.at -= 1;
                    return self.wrong(&format!("params has no {name}"));
                }
            },
            Kind::Sign("(") => {
                let inner = self.expression()?;
                self.need(")")?;
                inner
            }
            Kind::Sign("[") => {
                let mut list = Vec::new();
                while !self.sign("]") {
                    if !list.is_empty() {
                        self.need(",")?;
                    }
                    list.push(self.expression()?);
                }
                Expr::List(list)
            }
            Kind::Name(name) => return self.named(name),
            Kind::Quoted(name) => return self.of_variable(&name),
            _ => {
                self.at -= 1;
                return self.wrong("a value is expected");
            }
        })
    }

    fn named(&mut self, name: &str) -> Parsed<Expr> {
        if matches!(self.peek(), Kind::Sign("(")) {
            return self.call(name);
        }
        match name {
            _ if name.eq_ignore_ascii_case("null") => Ok(Expr::Null),
            _ if name.eq_ignore_ascii_case("true") => Ok(Expr::Bool(true)),
            _ if name.eq_ignore_ascii_case("false") => Ok(Expr::Bool(false)),
            _ => self.of_variable(name),
        }
    }

    fn of_variable(&mut self, name: &str) -> Parsed<Expr> {
        let Some(variable) = self.variables.iter().position(|known| known == name && !known.is_empty()) else {
            self.at -= 1;
            let known = self.variables.iter().map(String::as_str).filter(|known| !known.is_empty());
            let near = nearest(name, known).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return self.wrong(&format!("there is no variable {name}{near}"));
        };
        if self.sign(".") {
            return Ok(Expr::Property(variable, self.name("a property")?));
        }
        Ok(Expr::Variable(variable))
    }

    fn call(&mut self, name: &str) -> Parsed<Expr> {
        self.need("(")?;
        if let Some((_, aggregate)) = Aggregate::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            if *aggregate == Aggregate::Count && self.sign("*") {
                self.need(")")?;
                return Ok(Expr::Aggregate(*aggregate, false, None));
            }
            let distinct = self.word("DISTINCT");
            let inner = self.expression()?;
            if inner.has_aggregate() {
                return self.wrong("one of count and its like cannot be inside another");
            }
            self.need(")")?;
            return Ok(Expr::Aggregate(*aggregate, distinct, Some(Box::new(inner))));
        }
        let Some((_, function, least, most)) =
            Function::ALL.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name))
        else {
            let known = Function::ALL.iter().map(|it| it.0).chain(Aggregate::ALL.iter().map(|it| it.0));
            let names: Vec<&str> = known.clone().collect();
            let near = nearest(name, known).map(|near| format!("did you mean {near}? ")).unwrap_or_default();
            return self.wrong(&format!("there is no function {name}; {near}there are {}", names.join(", ")));
        };
        let mut arguments = vec![self.expression()?];
        while self.sign(",") {
            arguments.push(self.expression()?);
        }
        self.need(")")?;
        if !(*least..=*most).contains(&arguments.len()) {
            return self.wrong(&format!("{name} takes {least} to {most} arguments"));
        }
        Ok(Expr::Call(*function, arguments))
    }

    /// The value of a parameter.
    fn literal(&mut self, value: &Json) -> Parsed<Expr> {
        Ok(match value {
            Json::Null => Expr::Null,
            Json::Bool(it) => Expr::Bool(*it),
            Json::Number(it) => it.as_i64().map_or_else(|| Expr::Float(it.as_f64().unwrap_or(f64::NAN)), Expr::Int),
            Json::String(it) => Expr::Text(it.clone()),
            Json::Array(list) => {
                let list = list.iter().map(|inner| self.deeper(|parser| parser.literal(inner)));
                Expr::List(list.collect::<Parsed<_>>()?)
            }
            Json::Object(_) => return self.wrong("a parameter is a value or a list of values, not an object"),
        })
    }
}

/// `a AND b AND c` as a list.
fn conjuncts(expr: Expr, out: &mut Vec<Expr>) {
    match expr {
        Expr::Two(Operator::And, left, right) => {
            conjuncts(*left, out);
            conjuncts(*right, out);
        }
        other => out.push(other),
    }
}
