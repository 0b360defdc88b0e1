//! XML as the graph formats use it: elements with their lines, and errors in words.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::errors::Error;
use quick_xml::events::{BytesStart, Event};

use super::import::unreadable;
use super::intake::Intake;
use super::source::Source;
use super::{Found, ImportError};

/// Elements inside of each other. Nested graphs use three levels each.
const DEPTH_MAX: usize = 100;

/// Bytes of text in one element that are kept.
const TEXT_BYTES_KEPT: usize = 1 << 20;

/// An element as it starts. Texts are of the reader's own memory, which every element uses again.
#[derive(Clone, Copy)]
pub(super) struct Element<'x> {
    /// Its local name.
    pub(super) name: &'x str,
    /// Names and values of the attributes, one behind the other, and where each ends.
    texts: &'x str,
    ends: &'x [(usize, usize)],
    pub(super) line: u64,
    /// Whether it is the first of all.
    pub(super) is_root: bool,
}

impl<'x> Element<'x> {
    /// The attribute called `name`, without its prefix.
    pub(super) fn get(&self, name: &str) -> Option<&'x str> {
        let mut from = 0;
        for (name_end, value_end) in self.ends {
            if self.texts.get(from..*name_end) == Some(name) {
                return self.texts.get(*name_end..*value_end);
            }
            from = *value_end;
        }
        None
    }
}

/// A piece of the document.
pub(super) enum Piece<'x> {
    /// An element starts.
    Start(Element<'x>),
    /// The element that was started last ends. With the text that stood directly in it.
    End {
        /// Its local name.
        name: &'x str,
        /// Text and character data, references resolved.
        text: &'x str,
    },
    /// The document is over.
    Over,
}

/// The same before anything is lent.
enum Kind {
    Start { line: u64 },
    End { text_from: usize },
    Over,
}

/// Reads a document as a stream.
pub(super) struct Xml<'a> {
    reader: Reader<Source<'a>>,
    buffer: Vec<u8>,
    /// Name of the element that a piece is about.
    name: String,
    /// See [`Element`].
    attributes: String,
    ends: Vec<(usize, usize)>,
    /// Text of every open element, the outermost first.
    texts: String,
    /// Where that of each begins.
    open: Vec<usize>,
    /// Text from here on is of an element that has ended.
    ended: Option<usize>,
    any: bool,
}

impl<'a> Xml<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        let mut reader = Reader::from_reader(source);
        reader.config_mut().expand_empty_elements = true;
        Self {
            reader,
            buffer: Vec::new(),
            name: String::new(),
            attributes: String::new(),
            ends: Vec::new(),
            texts: String::new(),
            open: Vec::new(),
            ended: None,
            any: false,
        }
    }

    /// The next piece.
    pub(super) fn next(&mut self, intake: &Intake) -> Result<Piece<'_>, ImportError> {
        Ok(match self.find(intake)? {
            Kind::Start { line } => {
                let (name, is_root) = (&self.name, self.open.len() == 1);
                Piece::Start(Element { name, texts: &self.attributes, ends: &self.ends, line, is_root })
            }
            Kind::End { text_from } => {
                Piece::End { name: &self.name, text: self.texts.get(text_from..).unwrap_or_default() }
            }
            Kind::Over => Piece::Over,
        })
    }

    fn find(&mut self, intake: &Intake) -> Result<Kind, ImportError> {
        let Self { reader, buffer, name, attributes, ends, texts, open, ended, any } = self;
        if let Some(from) = ended.take() {
            texts.truncate(from);
        }
        loop {
            buffer.clear();
            let (line, column) = (reader.get_ref().line(), reader.get_ref().column());
            let place = Place { line, column, intake };
            let event = match reader.read_event_into(buffer) {
                Ok(event) => event,
                Err(error) => return Err(place.error(&error, reader.get_ref().line())),
            };
            match event {
                Event::Start(start) => {
                    if open.len() >= DEPTH_MAX {
                        return Err(ImportError::TooDeep { path: intake.path().into(), line, limit: DEPTH_MAX });
                    }
                    open.push(texts.len());
                    *any = true;
                    name.clear();
                    name.push_str(start.local_name().as_ref());
                    place.take_attributes(&start, attributes, ends)?;
                    return Ok(Kind::Start { line });
                }
                Event::End(end) => {
                    name.clear();
                    name.push_str(end.local_name().as_ref());
                    let text_from = open.pop().unwrap_or_default();
                    *ended = Some(text_from);
                    return Ok(Kind::End { text_from });
                }
                Event::Text(text) => keep(texts, open, &text.xml10_content()),
                Event::CData(text) => keep(texts, open, &text.xml10_content()),
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(|error| place.error(&error, line))?;
                    let known = quick_xml::escape::resolve_xml_entity(&reference);
                    match (character, known) {
                        (Some(character), _) => keep(texts, open, character.encode_utf8(&mut [0; 4])),
                        (None, Some(known)) => keep(texts, open, known),
                        (None, None) => return Err(place.entity(&format!("&{};", &*reference))),
                    }
                }
                Event::DocType(doctype) => {
                    if let Some(at) = doctype.find("<!ENTITY") {
                        return Err(place.entity(doctype.get(at..).unwrap_or_default()));
                    }
                }
                Event::Eof if !open.is_empty() || !*any => {
                    let expected = if *any { "the end tags of all elements" } else { "an XML document" };
                    return Err(place.syntax(line, expected, "the end of the file".into()));
                }
                Event::Eof => return Ok(Kind::Over),
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }
}

/// Appends to the text of the innermost element; text outside of all elements is nobody's.
fn keep(texts: &mut String, open: &[usize], text: &str) {
    if let Some(from) = open.last()
        && texts.len() - from + text.len() <= TEXT_BYTES_KEPT
    {
        texts.push_str(text);
    }
}

/// Where a piece starts.
struct Place<'i> {
    line: u64,
    column: u64,
    intake: &'i Intake,
}

impl Place<'_> {
    fn take_attributes(
        &self,
        start: &BytesStart<'_>,
        texts: &mut String,
        ends: &mut Vec<(usize, usize)>,
    ) -> Result<(), ImportError> {
        texts.clear();
        ends.clear();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| self.error(&Error::InvalidAttr(error), self.line))?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|error| match error {
                Error::Escape(_) => self.entity(&attribute.value),
                error => self.error(&error, self.line),
            })?;
            texts.push_str(attribute.key.local_name().as_ref());
            let name_end = texts.len();
            texts.push_str(&value);
            ends.push((name_end, texts.len()));
        }
        Ok(())
    }

    fn error(&self, error: &Error, line_after: u64) -> ImportError {
        let path = self.intake.path();
        match error {
            Error::Io(reason) => unreadable(path, std::io::Error::new(reason.kind(), reason.to_string())),
            Error::Encoding(_) => ImportError::NotUtf8 { path: path.into(), line: line_after },
            Error::Escape(reason) => self.entity(&reason.to_string()),
            Error::Syntax(reason) => self.syntax(self.line, "XML", Found::words(&reason.to_string())),
            Error::IllFormed(reason) => self.syntax(self.line, "XML", Found::words(&reason.to_string())),
            error => self.syntax(self.line, "XML", Found::words(&error.to_string())),
        }
    }

    fn syntax(&self, line: u64, expected: &'static str, found: Box<str>) -> ImportError {
        ImportError::Syntax { path: self.intake.path().into(), line, column: Some(self.column), expected, found }
    }

    fn entity(&self, found: &str) -> ImportError {
        ImportError::Entity { path: self.intake.path().into(), line: self.line, found: Found::new(found) }
    }
}
