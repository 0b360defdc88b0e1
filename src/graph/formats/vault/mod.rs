//! Markdown vaults.
use super::{ImportError, ImportOptions, Imported, Progress};
use std::path::Path;
pub(super) fn import(path: &Path, _: &ImportOptions, _: &mut dyn Progress) -> Result<Imported, ImportError> {
    Err(ImportError::NoPages { path: path.into() })
}
