//! Files that come in parts, since a line is not as long as they are: each under a name that nobody can guess, for whoever began it alone,
//! and for ten minutes after its last part.

use std::sync::Arc;

use super::args::ToolError;
use crate::base::hex;

/// Bytes of one file.
pub const UPLOAD_BYTES_MAX: usize = 16 << 20;

/// Files that one principal has begun.
const EACH_MAX: usize = 4;

/// Bytes of all that wait.
const BYTES_MAX: usize = 64 << 20;

const TIME_NS: u64 = 600_000_000_000;

#[derive(Debug)]
struct Upload {
    name: Box<str>,
    whose: Arc<str>,
    text: String,
    until_ns: u64,
}

/// All of them, oldest first.
#[derive(Debug, Default)]
pub struct Uploads(Vec<Upload>);

impl Uploads {
    /// Takes a part: of a file that was begun, or, without a name, of a new one, which `random` names. Returns the name, and how many bytes
    /// there are of it.
    ///
    /// # Errors
    /// There is no such file of this principal; it or all together are too long; there are too many.
    pub fn take(
        &mut self,
        name: Option<&str>,
        part: &str,
        whose: &Arc<str>,
        random: &[u8; 16],
        now_ns: u64,
    ) -> Result<(Box<str>, usize), ToolError> {
        self.expire(now_ns);
        let all: usize = self.0.iter().map(|upload| upload.text.len()).sum();
        let before = name.map(|name| self.place(name, whose)).transpose()?;
        let bytes = before.and_then(|place| self.0.get(place)).map_or(0, |upload| upload.text.len()) + part.len();
        if bytes > UPLOAD_BYTES_MAX {
            let found = format!("{bytes} bytes long with this part");
            return Err(ToolError::field("data", found, format!("at most {UPLOAD_BYTES_MAX} bytes long in all")));
        }
        if all + part.len() > BYTES_MAX {
            let words =
                format!("{BYTES_MAX} bytes of files that are not whole yet wait already: try again in ten minutes");
            return Err(ToolError::new(words));
        }
        let place = match before {
            Some(place) => place,
            None => {
                if self.0.iter().filter(|upload| upload.whose == *whose).count() >= EACH_MAX {
                    let words = "files that you have begun wait for their rest: end one of them first";
                    return Err(ToolError::new(format!("{EACH_MAX} {words}")));
                }
                let name = hex(random).into();
                let whose = Arc::clone(whose);
                self.0.push(Upload { name, whose, text: String::new(), until_ns: 0 });
                self.0.len() - 1
            }
        };
        let upload = self.0.get_mut(place).ok_or_else(unknown)?;
        upload.text.push_str(part);
        upload.until_ns = now_ns + TIME_NS;
        Ok((upload.name.clone(), upload.text.len()))
    }

    /// The whole of a file whose last part this is. It is let go of, unless `keep`: then it is as it was before.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn end(
        &mut self,
        name: &str,
        part: &str,
        whose: &Arc<str>,
        keep: bool,
        now_ns: u64,
    ) -> Result<String, ToolError> {
        self.take(Some(name), part, whose, &[0; 16], now_ns)?;
        let place = self.place(name, whose)?;
        if !keep {
            return Ok(self.0.remove(place).text);
        }
        let upload = self.0.get_mut(place).ok_or_else(unknown)?;
        let whole = upload.text.clone();
        upload.text.truncate(whole.len() - part.len());
        Ok(whole)
    }

    /// Lets go of those whose time is over.
    pub fn expire(&mut self, now_ns: u64) {
        self.0.retain(|upload| now_ns < upload.until_ns);
    }

    fn place(&self, name: &str, whose: &Arc<str>) -> Result<usize, ToolError> {
        self.0.iter().position(|upload| *upload.name == *name && upload.whose == *whose).ok_or_else(unknown)
    }
}

#[cold]
fn unknown() -> ToolError {
    ToolError::new("upload: there is no file of yours of this name, any more: begin it again without upload")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_parts_and_nobody_elses() {
        let mut uploads = Uploads::default();
        let (ada, bob): (Arc<str>, Arc<str>) = ("ada".into(), "bob".into());
        let (name, bytes) = uploads.take(None, "one ", &ada, &[7; 16], 0).unwrap();
        assert_eq!((&*name, bytes), (&*"07".repeat(16), 4));
        assert_eq!(uploads.take(Some(&name), "two ", &ada, &[0; 16], 1).unwrap().1, 8);
        assert!(uploads.take(Some(&name), "x", &bob, &[0; 16], 1).is_err());
        assert!(uploads.end(&name, "x", &bob, false, 1).is_err());
        assert_eq!(uploads.end(&name, "three", &ada, true, 1).unwrap(), "one two three");
        assert_eq!(uploads.end(&name, "3", &ada, false, 1).unwrap(), "one two 3");
        assert!(uploads.end(&name, "", &ada, false, 1).is_err());
    }

    #[test]
    fn bytes_files_and_time_have_an_end() {
        let mut uploads = Uploads::default();
        let who = |number: u8| -> Arc<str> { format!("p{number}").into() };
        let most = "x".repeat(UPLOAD_BYTES_MAX);
        let (name, _) = uploads.take(None, &most, &who(0), &[0; 16], 0).unwrap();
        let said = uploads.take(Some(&name), "y", &who(0), &[0; 16], 0).unwrap_err().0;
        assert!(said.contains("16777216"), "{said}");
        for number in 1..4 {
            uploads.take(None, &most, &who(number), &[number; 16], 0).unwrap();
        }
        assert!(uploads.take(None, "y", &who(4), &[4; 16], 0).is_err(), "all of them have a limit");
        assert!(uploads.take(None, "y", &who(4), &[4; 16], TIME_NS).is_ok(), "and a time");
        for number in 5..8 {
            uploads.take(None, "y", &who(4), &[number; 16], TIME_NS).unwrap();
        }
        assert!(uploads.take(None, "y", &who(4), &[9; 16], TIME_NS).unwrap_err().0.contains("4 files"));
    }
}
