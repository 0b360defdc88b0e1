//! Clock, pinning, host facts, slots: knows nothing of graphs or sockets.
//!
//! Unsafe code lives in [`clock`] only: three libc calls.

pub mod clock;
pub mod cores;
pub mod effort;
pub mod fault;
mod file;
pub mod host;
mod idle;
mod rate;
mod slab;

pub use file::open_file;
pub use idle::Idle;
pub use rate::Rate;
pub use slab::{Handle, Slab};

/// Two digits for each byte, in lower case.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// Says a line on standard error. One who has closed it does not want to know, and is no reason to end.
pub fn say(words: std::fmt::Arguments<'_>) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{words}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_byte_is_two_digits() {
        assert_eq!(super::hex(&[0, 0x0f, 0xa0, 0xff]), "000fa0ff");
        assert_eq!(super::hex(&[]), "");
    }
}
