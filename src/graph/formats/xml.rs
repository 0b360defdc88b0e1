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

/// Attributes of one element, by local name.
pub(super) struct Element {
    pub(super) name: Box<str>,
    attributes: Vec<(Box<str>, Box<str>)>,
    pub(super) line: u64,
}

impl Element {
    /// The attribute called `name`, without its prefix.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| &**known == name).map(|(_, value)| &**value)
    }
}

/// A piece of the document.
pub(super) enum Piece {
    /// An element starts.
    Start(Element),
    /// The element that was started last ends. With the text that stood directly in it.
    End {
        /// Its local name.
        name: Box<str>,
        /// Text and character data, references resolved.
        text: String,
    },
    /// The document is over.
    Over,
}

/// Reads a document as a stream.
pub(super) struct Xml<'a> {
    reader: Reader<Source<'a>>,
    buffer: Vec<u8>,
    /// Text of every open element.
    open: Vec<String>,
    any: bool,
}

impl<'a> Xml<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        let mut reader = Reader::from_reader(source);
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buffer: Vec::new(), open: Vec::new(), any: false }
    }

    /// Elements that are open.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// The next piece.
    pub(super) fn next(&mut self, intake: &Intake) -> Result<Piece, ImportError> {
        loop {
            self.buffer.clear();
            let (line, column) = (self.reader.get_ref().line(), self.reader.get_ref().column());
            let place = Place { line, column, intake };
            let event = match self.reader.read_event_into(&mut self.buffer) {
                Ok(event) => event,
                Err(error) => return Err(place.error(&error, self.reader.get_ref().line())),
            };
            match event {
                Event::Start(start) => {
                    if self.open.len() >= DEPTH_MAX {
                        return Err(ImportError::TooDeep { path: intake.path().into(), line, limit: DEPTH_MAX });
                    }
                    self.open.push(String::new());
                    self.any = true;
                    return place.element(&start).map(Piece::Start);
                }
                Event::End(end) => {
                    let name = end.local_name().as_ref().into();
                    return Ok(Piece::End { name, text: self.open.pop().unwrap_or_default() });
                }
                Event::Text(text) => keep(&mut self.open, &text.xml10_content()),
                Event::CData(text) => keep(&mut self.open, &text.xml10_content()),
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(|error| place.error(&error, line))?;
                    let known = quick_xml::escape::resolve_xml_entity(&reference);
                    match (character, known) {
                        (Some(character), _) => keep(&mut self.open, character.encode_utf8(&mut [0; 4])),
                        (None, Some(known)) => keep(&mut self.open, known),
                        (None, None) => return Err(place.entity(&format!("&{};", &*reference))),
                    }
                }
                Event::DocType(doctype) => {
                    if let Some(at) = doctype.find("<!ENTITY") {
                        return Err(place.entity(doctype.get(at..).unwrap_or_default()));
                    }
                }
                Event::Eof if !self.open.is_empty() || !self.any => {
                    let expected = if self.any { "the end tags of all elements" } else { "an XML document" };
                    return Err(place.syntax(line, expected, "the end of the file".into()));
                }
                Event::Eof => return Ok(Piece::Over),
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }
}

/// Appends to the text of the innermost element; text outside of all elements is nobody's.
fn keep(open: &mut [String], text: &str) {
    if let Some(innermost) = open.last_mut()
        && innermost.len() + text.len() <= TEXT_BYTES_KEPT
    {
        innermost.push_str(text);
    }
}

/// Where a piece starts.
struct Place<'i> {
    line: u64,
    column: u64,
    intake: &'i Intake,
}

impl Place<'_> {
    fn element(&self, start: &BytesStart<'_>) -> Result<Element, ImportError> {
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| self.error(&Error::InvalidAttr(error), self.line))?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|error| match error {
                Error::Escape(_) => self.entity(&attribute.value),
                error => self.error(&error, self.line),
            })?;
            attributes.push((attribute.key.local_name().as_ref().into(), value.into()));
        }
        Ok(Element { name: start.local_name().as_ref().into(), attributes, line: self.line })
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
