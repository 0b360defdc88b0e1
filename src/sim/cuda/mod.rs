//! What can be said of NVIDIA devices on this machine. This version simulates on the CPU; it only reports what is there.

#![allow(unsafe_code)]

use std::panic::catch_unwind;

use cudarc::driver::{CudaContext, sys};

/// A machine's NVIDIA devices, as far as they can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Devices {
    /// No driver library is installed.
    NoDriver,
    /// The driver is there and cannot be used; why.
    Unusable(String),
    /// Names, in the driver's order.
    Named(Vec<String>),
}

/// Asks the driver, if there is one. Never fails and never panics: a missing driver is an answer.
#[must_use]
pub fn devices() -> Devices {
    // SAFETY: only opens the library and looks whether that worked.
    if !unsafe { sys::is_culib_present() } {
        return Devices::NoDriver;
    }
    // cudarc panics where a driver lacks a symbol that it needs.
    let asked = catch_unwind(|| {
        let count = CudaContext::device_count()?;
        (0..count).map(|ordinal| CudaContext::new(ordinal as usize)?.name()).collect::<Result<Vec<_>, _>>()
    });
    match asked {
        Ok(Ok(names)) => Devices::Named(names),
        Ok(Err(error)) => Devices::Unusable(format!("{:?}", error.0)),
        Err(_) => Devices::Unusable("the driver is too old".to_owned()),
    }
}

impl std::fmt::Display for Devices {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoDriver => out.write_str("none (no NVIDIA driver)"),
            Self::Unusable(why) => write!(out, "unusable ({why})"),
            Self::Named(names) if names.is_empty() => out.write_str("none"),
            Self::Named(names) => write!(out, "{} (not used: this version simulates on the CPU)", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_driver_is_an_answer() {
        let answer = devices();
        assert!(!answer.to_string().is_empty());
        // SAFETY: as above.
        let present = unsafe { sys::is_culib_present() };
        assert_eq!(answer == Devices::NoDriver, !present);
    }
}
