//! The device of the NVIDIA driver: one stream for kernels, one for copies to the host.
//!
//! cudarc loads the driver library when it is first used and panics where the library or a symbol is missing, so
//! [`CudaDevice::open`] looks first, and whoever opens a device uses every call once, inside a `catch_unwind`.

use std::ffi::{CStr, CString, c_void};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::{CudaContext, CudaStream, sys};

use super::device::{Device, DeviceError, HostBuffer};
use super::kernels::{Kernel, MODULES};
use super::layout::World;

/// Looks for the end of a copy without giving the processor away: most copies have ended when they are asked for.
const POLLS_SPINNING: u32 = 2_000;

/// Looks after that, this far apart.
const POLL_NS: u64 = 20_000;

/// Seconds after which a device that does not answer counts as failed.
const ANSWER_SECONDS: u32 = 1;

const POLLS_MAX: u32 = POLLS_SPINNING + (ANSWER_SECONDS as u64 * 1_000_000_000 / POLL_NS) as u32;

/// One device of the machine. All calls come from one thread at a time; the context is bound to whichever it is.
pub(super) struct CudaDevice {
    context: Arc<CudaContext>,
    /// Kernels and writes.
    stream: Arc<CudaStream>,
    /// Copies to the host.
    copies: Arc<CudaStream>,
    /// By [`Kernel`].
    functions: Vec<sys::CUfunction>,
    modules: Vec<sys::CUmodule>,
    /// After the last kernel of a step.
    computed: sys::CUevent,
    /// After the last copy to the host.
    copied: sys::CUevent,
    /// Around what is timed.
    marks: [sys::CUevent; 2],
    name: String,
}

// SAFETY: the handles are the driver's, which takes any of them from any thread that has the context current; `bind` makes
// it so at the beginning of every call, and `&mut self` keeps calls apart.
unsafe impl Send for CudaDevice {}

fn failed(call: &'static str) -> impl Fn(DriverError) -> DeviceError {
    move |DriverError(code)| DeviceError::Driver { call, code: name_of(code) }
}

fn name_of(code: sys::CUresult) -> &'static str {
    let mut name = std::ptr::null();
    // SAFETY: takes any code and a place for a pointer.
    let known = unsafe { sys::cuGetErrorName(code, &mut name) };
    if known != sys::CUresult::CUDA_SUCCESS || name.is_null() {
        return "an unknown error";
    }
    // SAFETY: the driver's names end in a zero byte and are never freed.
    unsafe { CStr::from_ptr(name) }.to_str().unwrap_or("an unknown error")
}

impl CudaDevice {
    /// Opens a device by its number, compiles the kernels for it and makes its streams.
    ///
    /// # Errors
    /// What the driver says.
    ///
    /// # Panics
    /// Inside cudarc, when there is no driver or an old one: see the module's documentation.
    pub(super) fn open(ordinal: usize) -> Result<Self, DeviceError> {
        let context = CudaContext::new(ordinal).map_err(failed("opening the device"))?;
        // SAFETY: nothing has been allocated through the context yet, and streams are ordered by hand below.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(failed("cuStreamCreate"))?;
        let copies = context.new_stream().map_err(failed("cuStreamCreate"))?;
        let name = context.name().map_err(failed("cuDeviceGetName"))?;
        let event =
            || result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING).map_err(failed("cuEventCreate"));
        let (computed, copied) = (event()?, event()?);
        let timed = || result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).map_err(failed("cuEventCreate"));
        let marks = [timed()?, timed()?];
        let (functions, modules) = (Vec::new(), Vec::new());
        let mut device = Self { context, stream, copies, functions, modules, computed, copied, marks, name };
        device.load()?;
        Ok(device)
    }

    fn load(&mut self) -> Result<(), DeviceError> {
        for (ptx, kernels) in MODULES {
            // SAFETY: the text ends in a zero byte, see `MODULES`.
            let module = unsafe { result::module::load_data(ptx.as_ptr().cast::<c_void>()) };
            let module = module.map_err(failed("cuModuleLoadData"))?;
            self.modules.push(module);
            for kernel in *kernels {
                let name = CString::new(kernel.name()).unwrap_or_default();
                // SAFETY: the module was loaded above and is unloaded in `drop` only.
                let function = unsafe { result::module::get_function(module, name) };
                self.functions.push(function.map_err(failed("cuModuleGetFunction"))?);
            }
        }
        Ok(())
    }

    fn bind(&self) -> Result<(), DeviceError> {
        self.context.bind_to_thread().map_err(failed("cuCtxSetCurrent"))
    }
}

impl Device for CudaDevice {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn free_bytes(&mut self) -> Result<usize, DeviceError> {
        self.bind()?;
        result::mem_get_info().map(|(free, _)| free).map_err(failed("cuMemGetInfo"))
    }

    fn allocate(&mut self, bytes: usize) -> Result<u64, DeviceError> {
        self.bind()?;
        // SAFETY: the content is undefined, as this function says.
        match unsafe { result::malloc_sync(bytes) } {
            Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                Err(DeviceError::Memory { needed: bytes, available: self.free_bytes()? })
            }
            answer => answer.map_err(failed("cuMemAlloc")),
        }
    }

    fn release(&mut self, address: u64) {
        // A device that is lost has lost its memory too; there is nobody to tell.
        if self.bind().is_ok() {
            // SAFETY: the address is `allocate`'s and given back once. The call waits for what still uses it.
            let _ = unsafe { result::free_sync(address) };
        }
    }

    fn allocate_host(&mut self, bytes: usize) -> Result<HostBuffer, DeviceError> {
        self.bind()?;
        // Flags 0: write-combined memory would be read sixty times slower.
        // SAFETY: zeroed below before anybody reads it.
        let address = unsafe { result::malloc_host(bytes.max(1), 0) }.map_err(failed("cuMemHostAlloc"))?.cast::<u8>();
        // SAFETY: the driver gave `bytes` bytes at `address`.
        unsafe { address.write_bytes(0, bytes) };
        Ok(HostBuffer { address, bytes })
    }

    fn release_host(&mut self, buffer: HostBuffer) {
        if self.bind().is_ok() {
            // SAFETY: the address is `allocate_host`'s, and the buffer, given by value, is not used again.
            let _ = unsafe { result::free_host(buffer.address.cast::<c_void>()) };
        }
    }

    fn write(&mut self, to: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.bind()?;
        // SAFETY: `to` has room for `bytes`, as the shapes say. They are pageable, so the driver has copied them to memory of
        // its own when it returns.
        unsafe { result::memcpy_htod_async(to, bytes, self.stream.cu_stream()) }.map_err(failed("cuMemcpyHtoD"))
    }

    fn read(&mut self, from: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        self.bind()?;
        let stream = self.stream.cu_stream();
        // SAFETY: `from` holds as many bytes, and the stream is waited for below, before `bytes` is looked at.
        unsafe { result::memcpy_dtoh_async(bytes, from, stream) }.map_err(failed("cuMemcpyDtoH"))?;
        // SAFETY: the stream lives as long as `self`.
        unsafe { result::stream::synchronize(stream) }.map_err(failed("cuStreamSynchronize"))
    }

    fn launch(&mut self, kernel: Kernel, grid: (u32, u32), threads: u32, world: &World) -> Result<(), DeviceError> {
        self.bind()?;
        let Some(function) = self.functions.get(kernel as usize) else {
            return Err(DeviceError::Driver { call: kernel.name(), code: "not loaded" });
        };
        let mut argument = [std::ptr::from_ref(world).cast_mut().cast::<c_void>()];
        // SAFETY: the function is of a loaded module and takes one `World`, which the driver copies before it returns; the
        // addresses in it are of memory that `allocate` gave and that is given back after a wait only.
        let launched = unsafe {
            result::launch_kernel(
                *function,
                (grid.0, grid.1, 1),
                (threads, 1, 1),
                0,
                self.stream.cu_stream(),
                &mut argument,
            )
        };
        launched.map_err(failed(kernel.name()))
    }

    fn send(&mut self, from: u64, buffer: &mut HostBuffer, bytes: usize) -> Result<(), DeviceError> {
        self.bind()?;
        let copies = self.copies.cu_stream();
        // SAFETY: event and streams live as long as `self`.
        unsafe { result::event::record(self.computed, self.stream.cu_stream()) }.map_err(failed("cuEventRecord"))?;
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: as above.
        unsafe { result::stream::wait_event(copies, self.computed, flags) }.map_err(failed("cuStreamWaitEvent"))?;
        let bytes = bytes.min(buffer.bytes);
        let Some(to) = buffer.as_mut_slice().get_mut(..bytes) else { return Ok(()) };
        // SAFETY: `from` holds as many bytes. The buffer is pinned, outlives the copy, and is not looked at before `receive`.
        unsafe { result::memcpy_dtoh_async(to, from, copies) }.map_err(failed("cuMemcpyDtoH"))?;
        // SAFETY: as above.
        unsafe { result::event::record(self.copied, copies) }.map_err(failed("cuEventRecord"))
    }

    fn receive(&mut self) -> Result<(), DeviceError> {
        self.bind()?;
        for poll in 0..POLLS_MAX {
            // SAFETY: the event lives as long as `self`.
            match unsafe { result::event::query(self.copied) } {
                Err(DriverError(sys::CUresult::CUDA_ERROR_NOT_READY)) if poll < POLLS_SPINNING => {
                    std::hint::spin_loop()
                }
                Err(DriverError(sys::CUresult::CUDA_ERROR_NOT_READY)) => sleep(Duration::from_nanos(POLL_NS)),
                answer => return answer.map_err(failed("cuEventQuery")),
            }
        }
        Err(DeviceError::Silent { seconds: ANSWER_SECONDS })
    }

    fn mark(&mut self, end: usize) -> Result<(), DeviceError> {
        self.bind()?;
        let Some(event) = self.marks.get(end) else { return Ok(()) };
        // SAFETY: event and stream live as long as `self`.
        unsafe { result::event::record(*event, self.stream.cu_stream()) }.map_err(failed("cuEventRecord"))
    }

    fn between_ms(&mut self) -> Result<f32, DeviceError> {
        self.bind()?;
        let [start, end] = self.marks;
        // SAFETY: the event lives as long as `self`.
        unsafe { result::event::synchronize(end) }.map_err(failed("cuEventSynchronize"))?;
        // SAFETY: both are of this context, on one stream, and were made to be timed.
        unsafe { result::event::elapsed(start, end) }.map_err(failed("cuEventElapsedTime"))
    }
}

impl Drop for CudaDevice {
    fn drop(&mut self) {
        if self.bind().is_err() {
            return;
        }
        for module in self.modules.drain(..) {
            // SAFETY: loaded in `load`, unloaded here alone, and no function of it is launched any more.
            let _ = unsafe { result::module::unload(module) };
        }
        for event in [self.computed, self.copied].into_iter().chain(self.marks) {
            // SAFETY: created in `open` and destroyed here alone.
            let _ = unsafe { result::event::destroy(event) };
        }
    }
}
