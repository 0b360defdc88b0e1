//! The CUDA backend: the same model as [`super::cpu`], on an NVIDIA device.
//!
//! Nothing is linked: the driver is looked for when the program starts, and without one, or with one that fails the
//! self-test, the CPU computes. The kernels stand in `kernels/`, the PTX made of them beside them.
//!
//! Up to 32,768 nodes all pairs are summed; above, a tree over a Hilbert order. State stays on the device. A step is launched,
//! the one before it is taken from pinned memory, and its own output follows while the next tick is waited for: what a frame
//! shows is one step old.

#![allow(unsafe_code)]

mod arrays;
mod asked;
mod backend;
mod counts;
mod device;
mod driver;
#[cfg(test)]
mod host;
mod kernels;
mod layout;
mod scene;
mod self_test;
#[cfg(test)]
mod tests;

use std::panic::catch_unwind;

use cudarc::driver::{CudaContext, sys};

pub use backend::{CudaBackend, MakeCpu};
pub use device::{DeviceError, MemoryUse};

use super::{BackendError, SimParams};
use driver::CudaDevice;

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

/// Why there is no CUDA backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCuda {
    /// No driver library is installed.
    #[error("there is no NVIDIA driver")]
    NoDriver,
    /// A call that we need is missing in it.
    #[error("the NVIDIA driver is too old")]
    OldDriver,
    /// The device refused, or failed the self-test.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The graph could not be taken there.
    #[error(transparent)]
    Graph(#[from] BackendError),
}

/// Opens the first device that the driver shows (`CUDA_VISIBLE_DEVICES` says which that is) and tests it. Never panics.
///
/// # Errors
/// [`NoCuda`], the reason.
pub fn open(params: SimParams, failures_max: u32, make_cpu: MakeCpu) -> Result<CudaBackend, NoCuda> {
    // SAFETY: only opens the library and looks whether that worked.
    if !unsafe { sys::is_culib_present() } {
        return Err(NoCuda::NoDriver);
    }
    // cudarc panics where a driver lacks a symbol. The self-test makes every call that a step makes.
    let device = catch_unwind(|| {
        let mut device = CudaDevice::open(0)?;
        self_test::run(&mut device)?;
        Ok::<_, DeviceError>(device)
    });
    let device = device.map_err(|_| NoCuda::OldDriver)??;
    Ok(CudaBackend::new(Box::new(device), params, failures_max, make_cpu))
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
            Self::Named(names) => out.write_str(&names.join(", ")),
        }
    }
}
