//! What is wrong with a scenario: all of it, each with its place.

use std::fmt;

/// Problems that are reported; nobody reads more.
const PROBLEMS_MAX: usize = 50;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1; `None` where it is about no line, or came from the command line.
    pub line: Option<usize>,
    /// Path of the key, such as `group[2].rate` (the second group); empty where it is about none.
    pub key: String,
    /// What is wrong, and what would be right.
    pub wrong: String,
}

/// Everything that is wrong with a scenario: never empty, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// The file, as it was given.
    pub file: String,
    /// At most 50.
    pub problems: Vec<Problem>,
}

impl ScenarioError {
    /// In the order of the file, those about no line first.
    pub(crate) fn new(file: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line);
        problems.dedup();
        problems.truncate(PROBLEMS_MAX);
        Self { file: file.to_owned(), problems }
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{}", self.file)?;
            problem.line.iter().try_for_each(|line| write!(f, ":{line}"))?;
            if !problem.key.is_empty() {
                write!(f, ": {}", problem.key)?;
            }
            write!(f, ": {}", problem.wrong)?;
        }
        Ok(())
    }
}

impl std::error::Error for ScenarioError {}
