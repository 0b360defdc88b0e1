//! A device for tests on machines without one: the kernels compiled for the processor, see `tests/kernels/host.cpp`.
//!
//! The same launches as on a device, of the same sources, so what is tested is all of the backend but the driver's calls.
//! What it does can be written down, for a program under sanitizers to do again.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use super::device::{Device, DeviceError, HostBuffer};
use super::kernels::Kernel;
use super::layout::World;

/// What a test sees of a device and does to it from outside.
#[derive(Debug, Default)]
pub(super) struct Strings {
    /// Launches and writes fail from now on.
    pub(super) broken: bool,
    /// Bytes that the device pretends to have.
    pub(super) memory_bytes: Option<usize>,
    /// Allocations from now that still succeed.
    pub(super) allocations_left: Option<usize>,
    /// Writes to parameters arrive changed.
    pub(super) garbled: bool,
    /// Memory held now.
    pub(super) held_bytes: usize,
    /// Kernels launched so far, by name.
    pub(super) launched: Vec<&'static str>,
    /// All that was done, when it is to be done again.
    pub(super) trace: Option<Vec<u8>>,
}

/// The device.
pub(super) struct HostDevice {
    library: &'static Library,
    memory: HashMap<u64, Vec<u128>>,
    strings: Arc<Mutex<Strings>>,
    reverse: bool,
}

type Launch = unsafe extern "C" fn(*const c_char, c_uint, c_uint, c_uint, *const World) -> c_int;
type Reverse = unsafe extern "C" fn(c_int);

struct Library {
    launch: Launch,
    reverse: Reverse,
    /// One block at a time in the whole process.
    turn: Mutex<()>,
}

impl HostDevice {
    /// A device that runs blocks and threads in order, or backwards.
    pub(super) fn new(reverse: bool) -> (Self, Arc<Mutex<Strings>>) {
        static LIBRARY: OnceLock<Library> = OnceLock::new();
        let library =
            LIBRARY.get_or_init(|| load(&build("libkernels.so", &["host.cpp"], &["-O2", "-fPIC", "-shared"])));
        let strings = Arc::new(Mutex::new(Strings::default()));
        (Self { library, memory: HashMap::new(), strings: Arc::clone(&strings), reverse }, strings)
    }

    fn strings(&self) -> MutexGuard<'_, Strings> {
        self.strings.lock().unwrap()
    }

    fn check(&self) -> Result<(), DeviceError> {
        if self.strings().broken {
            return Err(DeviceError::Driver { call: "a test", code: "a fault" });
        }
        Ok(())
    }

    /// One line of the trace: a letter, the address, the length, the bytes.
    fn note(&self, what: u8, address: u64, bytes: &[u8], length: usize) {
        if let Some(trace) = &mut self.strings().trace {
            trace.push(what);
            trace.extend(address.to_le_bytes());
            trace.extend((length as u64).to_le_bytes());
            trace.extend(bytes);
        }
    }

    fn bytes(&self, address: u64, length: usize) -> &[u8] {
        let words = self.memory.get(&address).expect("an address that was allocated");
        assert!(length <= words.len() * 16, "no more than was allocated");
        // SAFETY: the words are initialised, and as long as asserted.
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), length) }
    }
}

/// Compiles a program of `tests/kernels` into `target/kernels`, unless it is newer than all its sources.
pub(super) fn build(name: &str, sources: &[&str], options: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (from, to) = (root.join("tests/kernels"), root.join("target/kernels"));
    std::fs::create_dir_all(&to).unwrap();
    let made = to.join(name);
    let changed = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let inputs = [&from, &root.join("kernels")].map(|folder| std::fs::read_dir(folder).unwrap().flatten());
    let newest = inputs
        .into_iter()
        .flatten()
        .filter(|file| file.path().is_file())
        .filter_map(|file| changed(&file.path()))
        .max();
    if changed(&made) > newest {
        return made;
    }
    // Tests run side by side, in several processes.
    let scratch = to.join(format!("{name}.{}", std::process::id()));
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "g++".to_owned());
    let mut command = Command::new(&compiler);
    command.args(["-std=c++20", "-g1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-function"]);
    command.args(["-ffp-contract=off", "-I."]).args(options).arg("-o").arg(&scratch).args(sources).arg("-ldl");
    let done =
        command.current_dir(&from).output().unwrap_or_else(|error| panic!("{compiler}, a C++20 compiler: {error}"));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::rename(&scratch, &made).unwrap();
    made
}

fn load(path: &Path) -> Library {
    let path = CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a library of ours, which does nothing when it is loaded.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!library.is_null(), "{:?} does not load", path);
    let symbol = |name: &CStr| {
        // SAFETY: the library is open and never closed.
        let found = unsafe { libc::dlsym(library, name.as_ptr()) };
        assert!(!found.is_null(), "{name:?} is missing");
        found
    };
    // SAFETY: host.cpp declares it so.
    let launch = unsafe { std::mem::transmute::<*mut c_void, Launch>(symbol(c"host_launch")) };
    // SAFETY: as above.
    let reverse = unsafe { std::mem::transmute::<*mut c_void, Reverse>(symbol(c"host_reverse")) };
    Library { launch, reverse, turn: Mutex::new(()) }
}

impl Device for HostDevice {
    fn name(&self) -> String {
        "the processor".to_owned()
    }

    fn free_bytes(&mut self) -> Result<usize, DeviceError> {
        let strings = self.strings();
        Ok(strings.memory_bytes.unwrap_or(usize::MAX / 2).saturating_sub(strings.held_bytes))
    }

    fn allocate(&mut self, bytes: usize) -> Result<u64, DeviceError> {
        self.check()?;
        let available = self.free_bytes()?;
        let mut strings = self.strings();
        if let Some(left) = &mut strings.allocations_left {
            *left = left.checked_sub(1).ok_or(DeviceError::Memory { needed: bytes, available })?;
        }
        strings.held_bytes += bytes;
        drop(strings);
        // Not zeros: what relies on them would work here and not on a device. All ones are NaN and the largest index.
        let words = vec![u128::MAX; bytes.div_ceil(16)];
        let address = words.as_ptr() as u64;
        self.memory.insert(address, words);
        self.note(b'A', address, &[], bytes);
        Ok(address)
    }

    fn release(&mut self, address: u64) {
        let words = self.memory.remove(&address).expect("given back once");
        self.strings().held_bytes -= words.len() * 16;
        self.note(b'F', address, &[], 0);
    }

    fn allocate_host(&mut self, bytes: usize) -> Result<HostBuffer, DeviceError> {
        self.check()?;
        let words = vec![0u128; bytes.div_ceil(16)].into_boxed_slice();
        Ok(HostBuffer { address: Box::into_raw(words).cast::<u8>(), bytes })
    }

    fn release_host(&mut self, buffer: HostBuffer) {
        let words = std::ptr::slice_from_raw_parts_mut(buffer.address.cast::<u128>(), buffer.bytes.div_ceil(16));
        // SAFETY: made so in `allocate_host`, and given back by value.
        drop(unsafe { Box::from_raw(words) });
    }

    fn write(&mut self, to: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        self.check()?;
        let mut bytes = bytes.to_vec();
        if self.strings().garbled
            && let Some(first) = bytes.first_mut()
        {
            *first ^= 1;
        }
        self.note(b'W', to, &bytes, bytes.len());
        let words = self.memory.get_mut(&to).expect("an address that was allocated");
        assert!(bytes.len() <= words.len() * 16, "no more than was allocated");
        // SAFETY: as long as asserted.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), words.as_mut_ptr().cast::<u8>(), bytes.len()) };
        Ok(())
    }

    fn read(&mut self, from: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        self.check()?;
        bytes.copy_from_slice(self.bytes(from, bytes.len()));
        self.note(b'R', from, bytes, bytes.len());
        Ok(())
    }

    fn launch(&mut self, kernel: Kernel, grid: (u32, u32), threads: u32, world: &World) -> Result<(), DeviceError> {
        self.check()?;
        assert!(
            grid.0 > 0 && grid.1 > 0 && grid.1 <= 65_535 && threads.is_multiple_of(32) && threads <= 1_024,
            "a device takes it"
        );
        self.strings().launched.push(kernel.name());
        // SAFETY: `World` is plain words without padding.
        let argument =
            unsafe { std::slice::from_raw_parts(std::ptr::from_ref(world).cast::<u8>(), size_of::<World>()) };
        let mut line = Vec::new();
        for number in [kernel.name().len() as u32, grid.0, grid.1, threads] {
            line.extend(number.to_le_bytes());
        }
        line.extend(kernel.name().as_bytes());
        line.extend(argument);
        self.note(b'L', u64::from(self.reverse), &line, line.len());
        let name = CString::new(kernel.name()).unwrap();
        let _turn = self.library.turn.lock().unwrap();
        // SAFETY: the library is loaded; the kernel reads and writes the memory that `world` names, which is `self.memory`.
        unsafe { (self.library.reverse)(c_int::from(self.reverse)) };
        // SAFETY: as above.
        let found = unsafe { (self.library.launch)(name.as_ptr(), grid.0, grid.1, threads, world) };
        assert_eq!(found, 0, "{} is not in the library", kernel.name());
        Ok(())
    }

    fn send(&mut self, from: u64, buffer: &mut HostBuffer, bytes: usize) -> Result<(), DeviceError> {
        self.read(from, &mut buffer.as_mut_slice()[..bytes])
    }

    fn receive(&mut self) -> Result<(), DeviceError> {
        self.check()
    }

    fn mark(&mut self, _end: usize) -> Result<(), DeviceError> {
        self.check()
    }

    fn between_ms(&mut self) -> Result<f32, DeviceError> {
        Ok(0.0)
    }
}

impl Drop for HostDevice {
    fn drop(&mut self) {
        assert!(self.memory.is_empty() || std::thread::panicking(), "all memory is given back");
    }
}
