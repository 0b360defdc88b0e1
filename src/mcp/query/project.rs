//! Matches to rows: columns, groups, order, pages.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::ast::{Aggregate, Expr, Query};
use super::eval::{Bound, Val, value};
use super::matcher::{self, Steps};
use crate::graph::Graph;
use crate::mcp::args::ToolError;
use crate::mcp::view::{Bounds, View};

/// Rows, groups and collected values that are held at once.
const HELD_MAX: usize = 100_000;

/// Bytes of texts that are held at once, about.
const HELD_BYTES_MAX: usize = 64 << 20;

pub(super) struct Found<'g> {
    pub(super) rows: Vec<Vec<Val<'g>>>,
    /// There are rows behind these.
    pub(super) more: bool,
    pub(super) truncated: bool,
}

/// One row and what it is sorted by.
struct Row<'g> {
    cells: Vec<Val<'g>>,
    keys: Vec<Val<'g>>,
}

/// What an aggregate has seen.
struct State<'g> {
    count: i64,
    sum: f64,
    whole: bool,
    whole_sum: i64,
    best: Val<'g>,
    list: Vec<Val<'g>>,
    seen: HashSet<String>,
}

impl Default for State<'_> {
    fn default() -> Self {
        Self { count: 0, sum: 0.0, whole: true, whole_sum: 0, best: Val::Null, list: Vec::new(), seen: HashSet::new() }
    }
}

impl<'g> State<'g> {
    /// Takes a value; how many are held more.
    fn take(&mut self, aggregate: Aggregate, distinct: bool, value: Val<'g>) -> usize {
        if value == Val::Null {
            return 0;
        }
        let mut held = 0;
        if distinct {
            let mut key = String::new();
            value.key(&mut key);
            if !self.seen.insert(key) {
                return 0;
            }
            held += 1;
        }
        self.count += 1;
        match aggregate {
            Aggregate::Count => {}
            Aggregate::Collect => {
                self.list.push(value);
                held += 1;
            }
            Aggregate::Min if self.best == Val::Null || value.order(&self.best) == Ordering::Less => self.best = value,
            Aggregate::Max if self.best == Val::Null || value.order(&self.best) == Ordering::Greater => {
                self.best = value
            }
            Aggregate::Min | Aggregate::Max => {}
            Aggregate::Sum | Aggregate::Average => match value {
                Val::Int(number) => {
                    self.sum += number as f64;
                    let sum = self.whole_sum.checked_add(number);
                    self.whole &= sum.is_some();
                    self.whole_sum = sum.unwrap_or(0);
                }
                Val::Float(number) => {
                    self.sum += number;
                    self.whole = false;
                }
                _ => self.count -= 1,
            },
        }
        held
    }

    fn end(self, aggregate: Aggregate) -> Val<'g> {
        match aggregate {
            Aggregate::Count => Val::Int(self.count),
            Aggregate::Collect => Val::List(self.list),
            Aggregate::Min | Aggregate::Max => self.best,
            Aggregate::Sum if self.whole => Val::Int(self.whole_sum),
            Aggregate::Sum => Val::Float(self.sum),
            Aggregate::Average if self.count == 0 => Val::Null,
            Aggregate::Average => Val::Float(self.sum / self.count as f64),
        }
    }
}

/// One group: its columns that are no aggregates, and the states of the others.
struct Group<'g> {
    cells: Vec<Val<'g>>,
    states: Vec<State<'g>>,
}

/// Runs a query; at most `limit` rows, behind the first `offset` of its rows.
pub(super) fn run<'g>(
    query: &Query,
    steps: &Steps<'_>,
    (offset, limit): (usize, usize),
    view: &View<'g>,
    bounds: &Bounds<'_>,
) -> Result<Found<'g>, ToolError> {
    for item in &query.returns {
        if item.expr.has_aggregate() && !matches!(item.expr, Expr::Aggregate(..)) {
            let words = "stand alone in a column here: compute with their results yourself";
            return Err(ToolError::new(format!("query: count and its like {words}")));
        }
    }
    let skip = query.skip.saturating_add(offset);
    let own_limit = query.limit.map(|own| own.saturating_sub(offset));
    let wanted = own_limit.unwrap_or(usize::MAX).min(limit);
    let grouped = query.returns.iter().any(|item| item.expr.has_aggregate());
    let (mut rows, cut) = if grouped {
        groups(query, steps, view, bounds)?
    } else {
        // Without an order the first rows are as good as any; one more shows that there are more.
        let enough = if query.order.is_empty() { skip.saturating_add(wanted).saturating_add(1) } else { HELD_MAX };
        plain(query, steps, view, bounds, enough.min(HELD_MAX))?
    };
    let exhausted = bounds.is_exhausted();
    if !query.order.is_empty() {
        rows = sorted(rows, query, bounds)?;
    }
    let left = rows.len().saturating_sub(skip);
    let more = left > wanted && own_limit.is_none_or(|limit| limit > wanted);
    let truncated = more || exhausted || (cut && own_limit.is_none_or(|limit| left < limit));
    let rows = rows.into_iter().skip(skip).take(wanted).map(|row| row.cells).collect();
    Ok(Found { rows, more, truncated })
}

/// Rows that are sorted, or merged, between two looks at whether to stop: some milliseconds of it.
const SORTED_PER_LOOK: usize = 4_096;

fn compare(query: &Query, left: &Row<'_>, right: &Row<'_>) -> Ordering {
    let keys = left.keys.iter().zip(&right.keys).zip(&query.order);
    let first = keys.map(|((left, right), (_, descends))| {
        let order = left.order(right);
        if *descends { order.reverse() } else { order }
    });
    first.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Rows in their order, alike ones in that of their finding: runs are sorted, then merged in pairs.
fn sorted<'g>(rows: Vec<Row<'g>>, query: &Query, bounds: &Bounds<'_>) -> Result<Vec<Row<'g>>, ToolError> {
    let (mut runs, mut rows) = (Vec::new(), rows.into_iter());
    loop {
        let mut run: Vec<Row<'g>> = rows.by_ref().take(SORTED_PER_LOOK).collect();
        if run.is_empty() {
            break;
        }
        run.sort_by(|left, right| compare(query, left, right));
        bounds.go_on()?;
        runs.push(run);
    }
    while runs.len() > 1 {
        let (mut longer, mut pairs) = (Vec::with_capacity(runs.len().div_ceil(2)), runs.into_iter());
        while let Some(first) = pairs.next() {
            longer.push(match pairs.next() {
                Some(second) => merged(first, second, query, bounds)?,
                None => first,
            });
        }
        runs = longer;
    }
    Ok(runs.pop().unwrap_or_default())
}

fn merged<'g>(
    first: Vec<Row<'g>>,
    second: Vec<Row<'g>>,
    query: &Query,
    bounds: &Bounds<'_>,
) -> Result<Vec<Row<'g>>, ToolError> {
    let mut merged = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter().peekable(), second.into_iter().peekable());
    loop {
        let from_second = match (first.peek(), second.peek()) {
            (Some(left), Some(right)) => compare(query, left, right) == Ordering::Greater,
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (None, None) => return Ok(merged),
        };
        merged.extend(if from_second { second.next() } else { first.next() });
        if merged.len() % SORTED_PER_LOOK == 0 {
            bounds.go_on()?;
        }
    }
}

fn keys<'g>(query: &Query, graph: &'g Graph, cells: &[Val<'g>], bound: &[Bound]) -> Vec<Val<'g>> {
    let key = |(expr, _): &(Expr, bool)| match expr {
        Expr::Column(column) => cells.get(*column).cloned().unwrap_or(Val::Null),
        other => value(other, graph, bound),
    };
    query.order.iter().map(key).collect()
}

fn bytes(values: &[Val<'_>]) -> usize {
    let of = |value: &Val<'_>| match value {
        Val::Text(Cow::Owned(text)) => text.len(),
        Val::List(list) => list.len() * 32,
        _ => 0,
    };
    values.iter().map(of).sum::<usize>() + values.len() * 32
}

fn plain<'g>(
    query: &Query,
    steps: &Steps<'_>,
    view: &View<'g>,
    bounds: &Bounds<'_>,
    enough: usize,
) -> Result<(Vec<Row<'g>>, bool), ToolError> {
    let graph = view.graph;
    let (mut rows, mut seen, mut held, mut cut) = (Vec::new(), HashSet::new(), 0, false);
    matcher::run(query, steps, view, bounds, &mut |bound| {
        let cells: Vec<Val<'g>> = query.returns.iter().map(|item| value(&item.expr, graph, bound)).collect();
        if query.distinct {
            let mut key = String::new();
            cells.iter().for_each(|cell| cell.key(&mut key));
            held += key.len();
            if !seen.insert(key) {
                return Ok(true);
            }
        }
        let keys = keys(query, graph, &cells, bound);
        held += bytes(&cells) + bytes(&keys);
        rows.push(Row { cells, keys });
        cut = rows.len() >= enough || held > HELD_BYTES_MAX;
        Ok(!cut)
    })?;
    Ok((rows, cut))
}

fn groups<'g>(
    query: &Query,
    steps: &Steps<'_>,
    view: &View<'g>,
    bounds: &Bounds<'_>,
) -> Result<(Vec<Row<'g>>, bool), ToolError> {
    let graph = view.graph;
    let aggregates: Vec<(Aggregate, bool, Option<&Expr>)> = query
        .returns
        .iter()
        .filter_map(|item| match &item.expr {
            Expr::Aggregate(aggregate, distinct, inner) => Some((*aggregate, *distinct, inner.as_deref())),
            _ => None,
        })
        .collect();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<Group<'g>> = Vec::new();
    let all_aggregates = aggregates.len() == query.returns.len();
    let mut held = 0;
    let fresh = |cells| Group { cells, states: aggregates.iter().map(|_| State::default()).collect() };
    matcher::run(query, steps, view, bounds, &mut |bound| {
        let plain = query.returns.iter().filter(|item| !matches!(item.expr, Expr::Aggregate(..)));
        let cells: Vec<Val<'g>> = plain.map(|item| value(&item.expr, graph, bound)).collect();
        let mut key = String::new();
        cells.iter().for_each(|cell| cell.key(&mut key));
        let place = *places.entry(key).or_insert_with(|| {
            held += 1;
            groups.push(fresh(cells));
            groups.len() - 1
        });
        let Some(group) = groups.get_mut(place) else { return Ok(false) };
        for (state, (aggregate, distinct, inner)) in group.states.iter_mut().zip(&aggregates) {
            let found = inner.map_or(Val::Bool(true), |inner| value(inner, graph, bound));
            held += state.take(*aggregate, *distinct, found);
        }
        Ok(held <= HELD_MAX)
    })?;
    if held > HELD_MAX {
        let words = "its groups and collected values are more than 100,000: match less, or count instead of collecting";
        return Err(ToolError::new(format!("query: {words}")));
    }
    if groups.is_empty() && all_aggregates {
        groups.push(fresh(Vec::new()));
    }
    let rows = groups.into_iter().map(|group| {
        let (mut plain, mut states) = (group.cells.into_iter(), group.states.into_iter());
        let cells: Vec<Val<'g>> = query
            .returns
            .iter()
            .map(|item| match &item.expr {
                Expr::Aggregate(aggregate, ..) => states.next().map_or(Val::Null, |state| state.end(*aggregate)),
                _ => plain.next().unwrap_or(Val::Null),
            })
            .collect();
        let keys = keys(query, graph, &cells, &[]);
        Row { cells, keys }
    });
    let mut rows: Vec<Row<'g>> = rows.collect();
    if query.distinct {
        let mut seen = HashSet::new();
        rows.retain(|row| {
            let mut key = String::new();
            row.cells.iter().for_each(|cell| cell.key(&mut key));
            seen.insert(key)
        });
    }
    Ok((rows, bounds.is_exhausted()))
}
