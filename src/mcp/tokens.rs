//! The file of named tokens: who may come in, as whom, for what, until when. Text in, tokens or faults out.
//!
//! A fault never repeats what is in its line: one column too few, and it would show a token.

use std::collections::HashSet;
use std::fmt;

use super::agents::AUTHOR;
use super::sources::rfc3339;
use super::{Admitted, Principal, Scopes};
use crate::limits::MCP_TOKENS_MAX;

/// Characters of a token: with 16 of them a guess does not hit in the life of an engine.
const TOKEN_LENGTHS: std::ops::RangeInclusive<usize> = 16..=256;

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 64;

/// Names that the engine gives itself: the owner of the first token, whoever shows none, and the author of what agents look like.
const RESERVED: [&str; 3] = ["agent", "anonymous", AUTHOR];

/// One line.
#[derive(Clone, PartialEq, Eq)]
pub struct NamedToken {
    /// The secret.
    pub token: String,
    /// Who shows it, and until when that counts.
    pub admitted: Admitted,
    /// Its line, from 1.
    pub line: usize,
}

impl fmt::Debug for NamedToken {
    /// Without the secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("NamedToken").field("admitted", &self.admitted).finish_non_exhaustive()
    }
}

/// A line that is not what it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// What was expected.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.expected)
    }
}

/// Reads lines `NAME SCOPES TOKEN [UNTIL]`, blank ones and what is behind `#` at the beginning of a line or behind white space left out.
///
/// # Errors
/// Every line that is wrong.
pub fn tokens(text: &str) -> Result<Vec<NamedToken>, Vec<Problem>> {
    let (mut found, mut problems): (Vec<NamedToken>, Vec<Problem>) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for (line, content) in (1..).zip(text.lines()) {
        let words: Vec<&str> = content.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
        if words.is_empty() {
            continue;
        }
        let read = token(&words, line).and_then(|token| match () {
            () if !seen.insert(token.token.clone()) => Err("TOKEN is on an earlier line already".to_owned()),
            () if found.len() >= MCP_TOKENS_MAX => Err(format!("there are more than {MCP_TOKENS_MAX} tokens")),
            () => Ok(token),
        });
        match read {
            Ok(token) => found.push(token),
            Err(expected) => problems.push(Problem { line, expected }),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

fn token(words: &[&str], line: usize) -> Result<NamedToken, String> {
    let (name, scopes, token, until) = match *words {
        [name, scopes, token] => (name, scopes, token, None),
        [name, scopes, token, until] => (name, scopes, token, Some(until)),
        _ => return Err(format!("NAME SCOPES TOKEN [UNTIL] was expected, and there are {} words", words.len())),
    };
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.len() > NAME_BYTES_MAX || !name.bytes().all(letters) {
        return Err(format!("NAME must be 1 to {NAME_BYTES_MAX} of A-Z, a-z, 0-9, \"_\", \".\" and \"-\""));
    }
    if RESERVED.contains(&name) {
        return Err(format!("NAME must be none of {}: the engine has them itself", RESERVED.join(", ")));
    }
    let admitted = Admitted {
        principal: Principal { name: name.into(), scopes: scopes_of(scopes)? },
        until_ms: until.map(until_ms).transpose()?,
        token: None,
    };
    if !TOKEN_LENGTHS.contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let (least, most) = (TOKEN_LENGTHS.start(), TOKEN_LENGTHS.end());
        return Err(format!("TOKEN must be {least} to {most} visible characters of ASCII"));
    }
    Ok(NamedToken { token: token.to_owned(), admitted, line })
}

/// A comma between two; each by its short name or by the one that refusals name.
fn scopes_of(list: &str) -> Result<Scopes, String> {
    list.split(',').try_fold(Scopes::NONE, |all, name| {
        let scope = match name {
            "read" => Scopes::READ,
            "write" => Scopes::WRITE,
            "agent" => Scopes::AGENT,
            other => Scopes::from_name(other).ok_or(
                "SCOPES must be a list, with commas and no spaces, of read, write, agent and admin \
                 (or graph:read, graph:write, agent:report)",
            )?,
        };
        Ok(all.with(scope))
    })
}

fn until_ms(text: &str) -> Result<u64, String> {
    let is_utc = text.ends_with(['Z', 'z']);
    let moment = rfc3339(text).filter(|_| is_utc);
    moment.ok_or_else(|| "UNTIL must be a moment of RFC 3339 in UTC, such as 2027-01-31T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    #[test]
    fn a_file_is_read_line_by_line() {
        let text = format!(
            "# who may come in\n\n  ada\tread,write  {SECRET}1 # a comment\nada.2-x graph:read,agent:report,admin {SECRET}#2 2027-01-31T00:00:00Z\r\n"
        );
        let found = tokens(&text).unwrap();
        let of = |at: usize| {
            let NamedToken { token, admitted, line } = &found[at];
            let names: Vec<&str> = admitted.principal.scopes.names().collect();
            (token.as_str(), &*admitted.principal.name, names, admitted.until_ms, *line)
        };
        assert_eq!(found.len(), 2);
        assert_eq!(of(0), ("0123456789abcdef1", "ada", vec!["graph:read", "graph:write"], None, 3));
        let scopes = vec!["graph:read", "agent:report", "admin"];
        assert_eq!(of(1), ("0123456789abcdef#2", "ada.2-x", scopes, Some(1_801_353_600_000), 4));
        assert!(!format!("{found:?}").contains(SECRET), "a secret is never shown");
        assert_eq!(tokens(""), Ok(Vec::new()));
    }

    #[test]
    fn every_wrong_line_is_named_and_none_repeated() {
        let table = [
            ("ada read", "NAME SCOPES TOKEN [UNTIL]"),
            ("ada read TTTTTTTTTTTTTTTT 2027-01-01T00:00:00Z more", "5 words"),
            ("a/b read TTTTTTTTTTTTTTTT", "NAME must be"),
            ("agent read TTTTTTTTTTTTTTTT", "NAME must be none of agent, anonymous"),
            ("ada TTTTTTTTTTTTTTTT read", "SCOPES must be"),
            ("ada read,,write TTTTTTTTTTTTTTTT", "SCOPES must be"),
            ("ada READ TTTTTTTTTTTTTTTT", "SCOPES must be"),
            ("ada read TTTTTTTTTTTTTTT", "TOKEN must be 16 to 256"),
            ("ada read TTTTTTTTTTTTTTTT\u{e9}", "TOKEN must be 16 to 256"),
            ("ada read TTTTTTTTTTTTTTTT tomorrow", "UNTIL must be"),
            ("ada read TTTTTTTTTTTTTTTT 2027-01-01", "UNTIL must be"),
            ("ada read TTTTTTTTTTTTTTTT 2027-01-01T00:00:00+02:00", "UNTIL must be"),
        ];
        let text: String = table.iter().map(|(line, _)| format!("{line}\n")).collect();
        let problems = tokens(&text).unwrap_err();
        assert_eq!(problems.len(), table.len());
        for ((problem, (line, expected)), number) in problems.iter().zip(table).zip(1..) {
            assert_eq!(problem.line, number);
            assert!(problem.expected.contains(expected), "{line}: {problem}");
            assert!(!problem.expected.contains("TTTT"), "{problem}");
        }
        let twice = tokens(&format!("ada read {SECRET}\nbob read {SECRET}\n")).unwrap_err();
        assert_eq!((twice.len(), twice[0].line), (1, 2));
        let many: String = (0..=MCP_TOKENS_MAX).map(|n| format!("a read {SECRET}{n}\n")).collect();
        assert_eq!(tokens(&many).unwrap_err().len(), 1);
    }
}
