//! Who asked for a change, and why: what the log keeps and everybody who watches is told.

/// Characters of an author's own name and of the reason.
pub const AUTHOR_LETTERS_MAX: usize = 280;

/// Who asked for a batch, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Author {
    /// As the door knows him: a principal, a session, a part of the engine, or what a request by REST calls itself.
    pub principal: Box<str>,
    /// What he calls himself: the agent that he registered as, or his program. `None` where he has not said.
    pub name: Option<Box<str>>,
    /// Why, for people: a line of text.
    pub why: Option<Box<str>>,
}

impl Author {
    /// Bytes of all of it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let length = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        self.principal.len() + length(&self.name) + length(&self.why)
    }
}

impl From<&str> for Author {
    fn from(principal: &str) -> Self {
        Self { principal: principal.into(), ..Self::default() }
    }
}

impl From<String> for Author {
    fn from(principal: String) -> Self {
        Self { principal: principal.into(), ..Self::default() }
    }
}

impl From<Box<str>> for Author {
    fn from(principal: Box<str>) -> Self {
        Self { principal, ..Self::default() }
    }
}

impl std::fmt::Display for Author {
    /// `ada (agent)`, or the principal alone.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(formatter, "{name} ({})", self.principal),
            None => formatter.write_str(&self.principal),
        }
    }
}
