//! What a layout needs of a device: memory, kernels in one order, and copies that run beside them.

use super::kernels::Kernel;
use super::layout::World;

/// What a device refused or got wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The driver's answer to a call.
    #[error("{call} failed with {code}")]
    Driver {
        /// What was called.
        call: &'static str,
        /// The driver's name for the error.
        code: &'static str,
    },
    /// More memory than there is.
    #[error("{needed} bytes are needed on the device, and {available} are free")]
    Memory {
        /// Bytes.
        needed: usize,
        /// Bytes.
        available: usize,
    },
    /// What was uploaded reads back differently.
    #[error("{what} read back from the device differ from what was uploaded")]
    Differs {
        /// What.
        what: &'static str,
    },
    /// A copy did not end in time.
    #[error("the device did not answer within {seconds} s")]
    Silent {
        /// How long it had.
        seconds: u32,
    },
    /// The self-test's step is not that of the CPU.
    #[error("the self-test differs from the CPU by {parts_per_million} parts in a million")]
    SelfTest {
        /// Relative RMS difference.
        parts_per_million: u32,
    },
}

/// Memory of the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Bytes that we hold.
    pub used: usize,
    /// Bytes that nobody holds.
    pub free: usize,
}

/// Memory of the host that a device copies into by itself.
#[derive(Debug)]
pub(super) struct HostBuffer {
    /// Where it is.
    pub(super) address: *mut u8,
    /// How long it is.
    pub(super) bytes: usize,
}

// SAFETY: the buffer is plain memory, owned by whoever owns this value, and no thread's own.
unsafe impl Send for HostBuffer {}

/// One device, with one order of writes and launches.
///
/// An address is that of [`Self::allocate`] or inside it. Everything is ordered as called; only `send` runs beside what
/// is launched after it.
pub(super) trait Device: Send {
    /// As the driver names it.
    fn name(&self) -> String;

    /// Bytes free on the device.
    fn free_bytes(&mut self) -> Result<usize, DeviceError>;

    /// Memory of the device, its content undefined.
    fn allocate(&mut self, bytes: usize) -> Result<u64, DeviceError>;

    /// Gives [`Self::allocate`]'s memory back. What was launched before still has it.
    fn release(&mut self, address: u64);

    /// Pinned memory of the host, zeroed.
    fn allocate_host(&mut self, bytes: usize) -> Result<HostBuffer, DeviceError>;

    /// Gives [`Self::allocate_host`]'s memory back, after a [`Self::send`] into it has ended.
    fn release_host(&mut self, buffer: HostBuffer);

    /// Copies to the device. `bytes` may be reused as soon as it returns.
    fn write(&mut self, to: u64, bytes: &[u8]) -> Result<(), DeviceError>;

    /// Copies from the device once all before it is done.
    fn read(&mut self, from: u64, bytes: &mut [u8]) -> Result<(), DeviceError>;

    /// Launches a kernel. Both parts of the grid are at least 1, `threads` whole warps.
    fn launch(&mut self, kernel: Kernel, grid: (u32, u32), threads: u32, world: &World) -> Result<(), DeviceError>;

    /// Begins to copy `bytes` to the front of `buffer`, which nobody reads until [`Self::receive`], once all that was launched before it
    /// is done.
    fn send(&mut self, from: u64, buffer: &mut HostBuffer, bytes: usize) -> Result<(), DeviceError>;

    /// Waits for the last [`Self::send`].
    fn receive(&mut self) -> Result<(), DeviceError>;

    /// Notes the device's time when all that was launched before is done: 0, where a measurement begins, 1, where it ends.
    fn mark(&mut self, end: usize) -> Result<(), DeviceError>;

    /// Waits for the second mark; the time between the two, ms by the device's clock.
    fn between_ms(&mut self) -> Result<f32, DeviceError>;
}

impl HostBuffer {
    /// What was copied here.
    pub(super) fn as_slice(&self) -> &[u8] {
        // SAFETY: `allocate_host` gave `bytes` initialised bytes at `address`, and they are given back only by value.
        unsafe { std::slice::from_raw_parts(self.address, self.bytes) }
    }

    /// To fill it.
    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` is the only way there: a device writes only between `send`, which takes `&mut`,
        // and `receive`, and who owns the buffer does not look at it between the two.
        unsafe { std::slice::from_raw_parts_mut(self.address, self.bytes) }
    }
}
