//! Where the store lies when nobody says otherwise.

use std::ffi::OsString;
use std::path::PathBuf;

/// `swarmcast/graph.db` in the user's data folder: `$XDG_DATA_HOME`, else `~/.local/share`. `None` without a home.
///
/// Source: XDG Base Directory Specification 0.8; a path that is not absolute does not count.
#[must_use]
pub fn default_path(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")))?;
    Some(data.join("swarmcast").join("graph.db"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_folder_goes_before_the_home_and_relative_ones_do_not_count() {
        let place = |data: Option<&str>, home: Option<&str>| {
            default_path(|name| match name {
                "XDG_DATA_HOME" => data.map(OsString::from),
                "HOME" => home.map(OsString::from),
                other => panic!("{other} is asked for"),
            })
        };
        assert_eq!(place(Some("/data"), Some("/home/a")), Some("/data/swarmcast/graph.db".into()));
        for data in [None, Some(""), Some("data")] {
            assert_eq!(place(data, Some("/home/a")), Some("/home/a/.local/share/swarmcast/graph.db".into()));
        }
        assert_eq!(place(None, None), None);
    }
}
