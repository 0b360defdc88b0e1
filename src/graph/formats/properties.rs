//! Attributes by the names that other tools give them, turned into what the graph knows.

use std::collections::HashSet;

use super::Problem;
use super::note::Notes;
use crate::graph::{Attributes, BuildError, Node, NodeClass, NodeKind, Value};
use crate::limits::{ATTRIBUTES_MAX, TEXT_BYTES_MAX};

/// In front of a name: an attribute of the graph, and no field of ours whatever the rest of the name says. The
/// exporters write it where the name alone would be taken for a field.
pub(super) const OWN: &str = "swarmcast:";

/// Fields that may stand beside the attributes of a record.
const FIELDS_MAX: usize = 16;

/// Attributes of one record, before it is known which of them the graph has a field for.
#[derive(Debug, Default)]
pub(super) struct Properties {
    list: Vec<Property>,
}

#[derive(Debug)]
struct Property {
    name: Box<str>,
    value: Value,
    /// How the file spells the value, where that says more than the value does.
    spelling: Option<Box<str>>,
    /// The name stood behind [`OWN`].
    own: bool,
}

/// What a record says about a node.
#[derive(Debug)]
pub(super) struct NodeParts {
    pub(super) label: Option<Box<str>>,
    class: NodeClass,
    pub(super) group: Option<Box<str>>,
    pub(super) weight: Option<f32>,
    colour: Option<u32>,
    position: Option<[f32; 3]>,
    pinned: bool,
    attributes: Attributes,
}

/// What a record says about an edge.
#[derive(Debug)]
pub(super) struct EdgeParts {
    pub(super) weight: f64,
    pub(super) directed: Option<bool>,
    pub(super) relation: Option<Box<str>>,
    pub(super) label: Option<Box<str>>,
    pub(super) attributes: Attributes,
}

impl Default for EdgeParts {
    fn default() -> Self {
        Self { weight: 1.0, directed: None, relation: None, label: None, attributes: Attributes::new() }
    }
}

impl Properties {
    /// Adds one; a name that is there already is overwritten, as a later `data` or JSON key does.
    pub(super) fn push(&mut self, name: &str, value: Value, notes: &mut Notes) {
        self.put(name, value, None, notes);
    }

    /// Adds the value that `spelling` spells, as [`typed`] has it. A field that is a text takes the spelling itself, so
    /// that a label of 1.10 does not become 1.1.
    pub(super) fn push_spelled(&mut self, name: &str, spelling: &str, notes: &mut Notes) {
        let value = typed(spelling);
        // Texts and whole numbers are spelled as they are.
        let kept = matches!(value, Value::Float(_) | Value::Bool(_)).then(|| spelling.into());
        self.put(name, value, kept, notes);
    }

    fn put(&mut self, name: &str, value: Value, spelling: Option<Box<str>>, notes: &mut Notes) {
        let (name, own) = plain_name(name);
        if let Some(slot) = self.list.iter_mut().find(|known| known.own == own && &*known.name == name) {
            (slot.value, slot.spelling) = (value, spelling);
        } else if self.list.len() < ATTRIBUTES_MAX + FIELDS_MAX && name.len() <= TEXT_BYTES_MAX {
            self.list.push(Property { name: name.into(), value, spelling, own });
        } else {
            notes.attribute_dropped(name.get(..name.floor_char_boundary(40)).unwrap_or(name));
        }
    }

    /// Adds one unless the name is there already: a default. Gives back the bytes that it takes, about.
    pub(super) fn push_default(&mut self, name: &str, value: &Value, notes: &mut Notes) -> usize {
        let (plain, own) = plain_name(name);
        if self.list.iter().any(|known| known.own == own && &*known.name == plain) {
            return 0;
        }
        self.push(name, value.clone(), notes);
        attribute_bytes(name, value)
    }

    /// The fields of a node, the rest as attributes. A value that does not fit its field stays an attribute.
    ///
    /// # Errors
    /// [`BuildError::TextTooLong`] for a label.
    pub(super) fn into_node(mut self, notes: &mut Notes) -> Result<NodeParts, Problem> {
        let label = self.take_text(&["label", "name", "title"]);
        let kind = self.take(&["class", "kind", "type"], |value| NodeKind::from_name(&text(value)?.to_lowercase()));
        let private = self.take(&["private"], truth).unwrap_or(false);
        let parts = NodeParts {
            label: checked(label)?,
            class: NodeClass { kind: kind.unwrap_or_default(), private },
            group: checked(self.take_text(&["group", "community", "modularity_class", "layer"]))?,
            weight: self.take(&["weight", "size"], |value| positive(number(value)?)),
            colour: self.take(&["colour", "color"], |value| colour(&text(value)?)),
            position: self.position(),
            pinned: self.take(&["pinned"], truth).unwrap_or(false),
            attributes: Attributes::new(),
        };
        Ok(NodeParts { attributes: self.rest(notes), ..parts })
    }

    /// The fields of an edge, the rest as attributes.
    ///
    /// # Errors
    /// [`BuildError::TextTooLong`] for a label, [`Problem::Expected`] for a weight that is no number. Whether
    /// the number will do is the builder's to say.
    pub(super) fn into_edge(mut self, notes: &mut Notes) -> Result<EdgeParts, Problem> {
        let mut parts = EdgeParts::default();
        if let Some(weight) = self.take(&["weight"], |value| Some(value.clone())) {
            let wrong = || Problem::expected("a weight, a finite number >= 0", &text(&weight).unwrap_or_default());
            parts.weight = number(&weight).ok_or_else(wrong)?;
        } else if let Some(weight) = self.take(&["value"], number) {
            parts.weight = weight;
        }
        parts.directed = self
            .take(&["directed"], truth)
            .or_else(|| self.take(&["type", "directed"], |value| direction(&text(value)?)));
        parts.relation = checked(self.take_text(&["relation", "relationship", "predicate", "type", "kind"]))?;
        parts.label = checked(self.take_text(&["label", "name", "title"]))?;
        parts.attributes = self.rest(notes);
        Ok(parts)
    }

    /// Takes out the first attribute whose name is in `names`, earlier names first, and whose value `fits`.
    fn take<T>(&mut self, names: &[&str], fits: impl Fn(&Value) -> Option<T>) -> Option<T> {
        if self.list.is_empty() {
            return None;
        }
        names.iter().find_map(|name| {
            let place = self.place(name)?;
            let taken = fits(&self.list.get(place)?.value)?;
            self.list.remove(place);
            Some(taken)
        })
    }

    /// Takes out the first attribute whose name is in `names`, earlier names first, as it is spelled.
    fn take_text(&mut self, names: &[&str]) -> Option<Box<str>> {
        let place = names.iter().find_map(|name| self.place(name))?;
        let taken = self.list.remove(place);
        taken.spelling.or_else(|| text(&taken.value))
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.list.iter().position(|known| !known.own && known.name.eq_ignore_ascii_case(name))
    }

    /// x, y and, where there is one, z; all of them or none.
    fn position(&mut self) -> Option<[f32; 3]> {
        let find = |name: &str| {
            let known = self.list.iter().find(|known| !known.own && known.name.eq_ignore_ascii_case(name))?;
            number(&known.value).map(|number| number as f32).filter(|narrow| narrow.is_finite())
        };
        let position = [find("x")?, find("y")?, find("z").unwrap_or(0.0)];
        for name in ["x", "y", "z"] {
            self.take(&[name], |value| number(value).filter(|number| (*number as f32).is_finite()));
        }
        Some(position)
    }

    fn rest(mut self, notes: &mut Notes) -> Attributes {
        if self.list.iter().any(|known| known.own) {
            let own: HashSet<Box<str>> =
                self.list.iter().filter(|known| known.own).map(|own| own.name.clone()).collect();
            self.list.retain(|known| known.own || !own.contains(&known.name));
        }
        for dropped in self.list.iter().skip(ATTRIBUTES_MAX) {
            notes.attribute_dropped(dropped.name.get(..dropped.name.floor_char_boundary(40)).unwrap_or_default());
        }
        self.list.truncate(ATTRIBUTES_MAX);
        let mut list: Attributes = self.list.into_iter().map(|known| (known.name, known.value)).collect();
        for (name, value) in &mut list {
            match value {
                Value::Text(long) if long.len() > TEXT_BYTES_MAX => {
                    *long = long.get(..long.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default().into();
                    notes.text_cut(name);
                }
                // An attribute is a finite number; what is not keeps its spelling.
                Value::Float(float) if !float.is_finite() => *value = Value::Text(float.to_string().into()),
                _ => {}
            }
        }
        list
    }
}

impl NodeParts {
    /// Writes what the record says over what `node` has.
    pub(super) fn apply(self, node: &mut Node) {
        if let Some(label) = self.label {
            node.label = label;
        }
        node.class = self.class;
        node.group = self.group;
        node.weight = self.weight.unwrap_or(1.0);
        node.colour = self.colour;
        node.position = self.position;
        node.pinned = self.pinned;
        node.attributes = self.attributes;
    }
}

/// What an attribute takes in memory, about.
pub(super) fn attribute_bytes(name: &str, value: &Value) -> usize {
    32 + name.len() + if let Value::Text(text) = value { text.len() } else { 0 }
}

/// The name without [`OWN`], and whether it had it.
fn plain_name(name: &str) -> (&str, bool) {
    name.strip_prefix(OWN).map_or((name, false), |rest| (rest, true))
}

/// The value that `text` spells: a whole number, a number with a point or an exponent, true or false, else the text
/// itself. Digits that a whole number would not keep are text: those behind a zero, as 007, and those that do not fit
/// an `i64`. A number with a point is one however many zeros end it, as in a column of prices.
pub(super) fn typed(text: &str) -> Value {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.starts_with(|first: char| first.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0') || digits.starts_with("0."));
    if plain {
        if let Ok(whole) = text.parse() {
            return Value::Int(whole);
        }
        let whole = digits.bytes().all(|digit| digit.is_ascii_digit());
        if let Some(float) = text.parse().ok().filter(|float: &f64| !whole && float.is_finite()) {
            return Value::Float(float);
        }
    }
    match text {
        "true" | "True" => Value::Bool(true),
        "false" | "False" => Value::Bool(false),
        _ => Value::Text(text.into()),
    }
}

fn checked(text: Option<Box<str>>) -> Result<Option<Box<str>>, Problem> {
    match text {
        Some(text) if text.len() > TEXT_BYTES_MAX => Err(BuildError::TextTooLong { bytes: text.len() }.into()),
        text => Ok(text.filter(|text| !text.is_empty())),
    }
}

/// Any value as a person would write it. Always `Some`, so that it serves [`Properties::take`].
pub(super) fn text(value: &Value) -> Option<Box<str>> {
    Some(match value {
        Value::Bool(truth) => truth.to_string().into(),
        Value::Int(whole) => whole.to_string().into(),
        Value::Float(float) => float.to_string().into(),
        Value::Text(text) => text.clone(),
    })
}

/// The number that a value is or spells.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(whole) => Some(*whole as f64),
        Value::Float(float) => Some(*float),
        Value::Text(text) => text.trim().parse().ok(),
        Value::Bool(_) => None,
    }
}

fn positive(number: f64) -> Option<f32> {
    let narrow = number as f32;
    (narrow.is_finite() && narrow > 0.0).then_some(narrow)
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
        // What has no booleans, as GML, writes them so.
        Value::Int(whole @ (0 | 1)) => Some(*whole == 1),
        _ => None,
    }
}

/// The words that Gephi puts into an edge's `type`.
pub(super) fn direction(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "directed" => Some(true),
        "undirected" | "mutual" => Some(false),
        _ => None,
    }
}

/// `#rgb`, `#rrggbb`, `#rrggbbaa`, `0xrrggbb`, `rgb(r, g, b)`, `r,g,b` or a basic colour name as `0xRRGGBB`.
pub(super) fn colour(text: &str) -> Option<u32> {
    let text = text.trim().to_ascii_lowercase();
    if let Some(hex) = text.strip_prefix('#').or_else(|| text.strip_prefix("0x")) {
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let value = u32::from_str_radix(hex, 16).ok()?;
        return match hex.len() {
            3 => Some([8, 4, 0].iter().fold(0, |sum, shift| (sum << 8) | (((value >> shift) & 0xf) * 0x11))),
            6 => Some(value),
            8 => Some(value >> 8),
            _ => None,
        };
    }
    let inner = text.strip_prefix("rgb(").or_else(|| text.strip_prefix("rgba(")).map(|rest| rest.trim_end_matches(')'));
    let parts: Vec<&str> = inner.unwrap_or(&text).split(',').map(str::trim).collect();
    if let [red, green, blue] | [red, green, blue, _] = parts.as_slice() {
        return [red, green, blue]
            .iter()
            .try_fold(0, |sum, part| Some((sum << 8) | u32::from(part.parse::<u8>().ok()?)));
    }
    const NAMES: [(&str, u32); 19] = [
        ("black", 0),
        ("white", 0xff_ffff),
        ("red", 0xff_0000),
        ("green", 0x00_8000),
        ("lime", 0x00_ff00),
        ("blue", 0x00_00ff),
        ("yellow", 0xff_ff00),
        ("orange", 0xff_a500),
        ("purple", 0x80_0080),
        ("cyan", 0x00_ffff),
        ("aqua", 0x00_ffff),
        ("magenta", 0xff_00ff),
        ("gray", 0x80_8080),
        ("grey", 0x80_8080),
        ("navy", 0x00_0080),
        ("teal", 0x00_8080),
        ("maroon", 0x80_0000),
        ("pink", 0xff_c0cb),
        ("brown", 0xa5_2a2a),
    ];
    NAMES.iter().find(|(name, _)| *name == text).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(&str, Value)]) -> Properties {
        let (mut properties, mut notes) = (Properties::default(), Notes::default());
        for (name, value) in list {
            properties.push(name, value.clone(), &mut notes);
        }
        properties
    }

    fn words(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn a_node_takes_its_fields_and_keeps_the_rest() {
        let list = [
            ("name", words("n")),
            ("Label", words("l")),
            ("type", words("person")),
            ("kind", words("Agent")),
            ("community", Value::Int(4)),
            ("size", Value::Float(2.5)),
            ("color", words("#0F8")),
            ("x", Value::Int(1)),
            ("y", words("2.5")),
            ("pinned", Value::Bool(true)),
            ("age", Value::Int(9)),
        ];
        let parts = of(&list).into_node(&mut Notes::default()).unwrap();
        assert_eq!((parts.label.as_deref(), parts.group.as_deref()), (Some("l"), Some("4")));
        assert_eq!((parts.class.kind, parts.weight), (NodeKind::Agent, Some(2.5)));
        assert_eq!((parts.colour, parts.position, parts.pinned), (Some(0x00_ff88), Some([1.0, 2.5, 0.0]), true));
        let names: Vec<&str> = parts.attributes.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["name", "type", "age"]);
    }

    #[test]
    fn what_does_not_fit_its_field_stays_an_attribute() {
        let list =
            [("weight", Value::Int(-3)), ("color", words("loud")), ("x", Value::Int(1)), ("f", Value::Float(f64::NAN))];
        let parts = of(&list).into_node(&mut Notes::default()).unwrap();
        assert_eq!((parts.weight, parts.colour, parts.position), (None, None, None));
        assert_eq!(parts.attributes.len(), 4);
        assert_eq!(parts.attributes.last().unwrap().1, words("NaN"));
    }

    #[test]
    fn an_edge_takes_weight_direction_and_relation() {
        let parts = of(&[("value", Value::Int(3)), ("Type", words("Directed")), ("kind", words("knows"))]);
        let parts = parts.into_edge(&mut Notes::default()).unwrap();
        assert_eq!((parts.weight, parts.directed, parts.relation.as_deref()), (3.0, Some(true), Some("knows")));
        let wrong = of(&[("weight", words("heavy"))]).into_edge(&mut Notes::default()).unwrap_err();
        assert_eq!(wrong.to_string(), "expected a weight, a finite number >= 0, found \"heavy\"");
    }

    #[test]
    fn texts_keep_their_spelling_and_attributes_their_types() {
        let list =
            [("Name", "1.10"), ("group", "1e3"), ("price", "1.50"), ("done", "True"), ("swarmcast:label", "2.0")];
        let (mut properties, mut notes) = (Properties::default(), Notes::default());
        for (name, spelling) in list {
            properties.push_spelled(name, spelling, &mut notes);
        }
        let parts = properties.into_node(&mut notes).unwrap();
        assert_eq!((parts.label.as_deref(), parts.group.as_deref()), (Some("1.10"), Some("1e3")));
        let expected: [(Box<str>, Value); 3] = [
            ("price".into(), Value::Float(1.5)),
            ("done".into(), Value::Bool(true)),
            ("label".into(), Value::Float(2.0)),
        ];
        assert_eq!(parts.attributes, expected);
        // A later value of the same name brings its own spelling.
        let mut twice = Properties::default();
        twice.push_spelled("relation", "1.10", &mut notes);
        twice.push("relation", Value::Float(2.5), &mut notes);
        assert_eq!(twice.into_edge(&mut notes).unwrap().relation.as_deref(), Some("2.5"));
    }

    #[test]
    fn long_texts_are_cut_and_too_many_attributes_dropped() {
        let (mut properties, mut notes) = (Properties::default(), Notes::default());
        properties.push("long", words(&"é".repeat(TEXT_BYTES_MAX)), &mut notes);
        for index in 0..ATTRIBUTES_MAX {
            properties.push(&format!("a{index}"), Value::Int(0), &mut notes);
        }
        let parts = properties.into_node(&mut notes).unwrap();
        assert_eq!(parts.attributes.len(), ATTRIBUTES_MAX);
        assert!(matches!(&parts.attributes[0].1, Value::Text(text) if text.len() == TEXT_BYTES_MAX));
        assert_eq!(notes.into_list().len(), 2);
        let label = of(&[("label", words(&"x".repeat(TEXT_BYTES_MAX + 1)))]).into_node(&mut Notes::default());
        assert!(matches!(label, Err(Problem::Refused(BuildError::TextTooLong { .. }))));
    }

    #[test]
    fn spellings_make_types_and_colours() {
        let cases = [
            ("7", Value::Int(7)),
            ("-7", Value::Int(-7)),
            ("-9223372036854775808", Value::Int(i64::MIN)),
            ("0.5", Value::Float(0.5)),
            ("1.10", Value::Float(1.1)),
            ("1e3", Value::Float(1000.0)),
        ];
        for (spelling, value) in cases {
            assert_eq!(typed(spelling), value);
        }
        let texts = ["007", "+7", "nan", "inf", "1e999", "", "-", "7 apples"];
        for spelling in texts.into_iter().chain(["12345678901234567890", "-9223372036854775809"]) {
            assert_eq!(typed(spelling), words(spelling));
        }
        for (spelling, value) in
            [("rgb(255, 128,0)", 0xff_8000), ("#ff800080", 0xff_8000), ("Teal", 0x00_8080), ("1,2,3", 0x01_0203)]
        {
            assert_eq!(colour(spelling), Some(value), "{spelling}");
        }
        for spelling in ["", "#12", "#+12345", "rgb(1,2)", "256,0,0", "#é1"] {
            assert_eq!(colour(spelling), None, "{spelling}");
        }
    }
}
