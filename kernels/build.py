#!/usr/bin/env python3
"""Compiles the kernels to PTX, and holds them to their budget of registers.

    build.py            writes ptx/*.ptx
    build.py --check    compiles again and fails where ptx/ differs by a byte, or a kernel goes over budget.txt
    build.py --budget   writes budget.txt from what the assembler says now

No CUDA toolkit and no GPU is needed: the compiler (NVRTC) and the assembler (ptxas) come from the pinned wheels of
requirements.txt, which setup.sh installs into .venv beside this file.
"""

import ctypes
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SITE = next(HERE.glob(".venv/lib/python3*/site-packages"), None)
# One PTX for all chips from Volta on. -lineinfo names source lines to compute-sanitizer and Nsight.
OPTIONS = ["--gpu-architecture=compute_70", "--std=c++17", "-lineinfo", f"-I{HERE}"]
CHIPS = ["sm_75", "sm_80", "sm_90", "sm_120"]


def fail(why):
    sys.exit(f"kernels/build.py: {why}")


def tool(*parts):
    path = SITE.joinpath("nvidia", *parts) if SITE else None
    if path is None or not path.exists():
        fail("the pinned compiler is not installed: run sh kernels/setup.sh")
    return path


class Nvrtc:
    """The few calls of NVRTC that turn one source into PTX."""

    def __init__(self):
        libraries = tool("cuda_nvrtc", "lib")
        # NVRTC opens its builtins by name: loaded first, they are found wherever they lie.
        ctypes.CDLL(str(libraries / "libnvrtc-builtins.so.12.0"), ctypes.RTLD_GLOBAL)
        self.library = ctypes.CDLL(str(libraries / "libnvrtc.so.12"))
        self.library.nvrtcGetErrorString.restype = ctypes.c_char_p

    def call(self, name, *arguments):
        code = getattr(self.library, name)(*arguments)
        return None if code == 0 else f"{name}: {self.library.nvrtcGetErrorString(code).decode()}"

    def text(self, program, what):
        size = ctypes.c_size_t()
        self.call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self.call(f"nvrtcGet{what}", program, buffer)
        return buffer.value.decode()

    def compile(self, source):
        program = ctypes.c_void_p()
        # A bare file name, or the directory would end up in the line information.
        error = self.call("nvrtcCreateProgram", ctypes.byref(program), source.read_bytes(), source.name.encode(), 0, None, None)
        if error is None:
            options = (ctypes.c_char_p * len(OPTIONS))(*(option.encode() for option in OPTIONS))
            error = self.call("nvrtcCompileProgram", program, len(OPTIONS), options)
        log = self.text(program, "ProgramLog")
        if error or "warning" in log:
            fail(f"{source.name}: {error or 'warnings'}\n{log}")
        return portable(self.text(program, "PTX"))


def portable(ptx):
    """Without the folder that the compiler was called in and the date of the source, which it writes beside its name."""
    return re.sub(r'^(\s*\.file\s+\d+\s+")(?:[^"]*/)?([^"/]*").*$', r"\1\2", ptx, flags=re.MULTILINE)


def registers(ptx_files):
    """Per kernel, the most registers and spilled bytes on any chip."""
    most = {}
    with tempfile.TemporaryDirectory() as scratch:
        for ptx in ptx_files:
            for chip in CHIPS:
                command = [str(tool("cuda_nvcc", "bin", "ptxas")), "-v", f"-arch={chip}", "-o", f"{scratch}/out", str(ptx)]
                said = subprocess.run(command, capture_output=True, text=True, check=False)
                if said.returncode:
                    fail(f"{ptx.name} for {chip}: {said.stderr}")
                kernels = re.split(r"Compiling entry function '(\w+)'", said.stderr)
                for name, text in zip(kernels[1::2], kernels[2::2]):
                    used = int(re.search(r"Used (\d+) registers", text).group(1))
                    spilled = sum(int(count) for count in re.findall(r"(\d+) bytes spill", text))
                    before = most.get(name, (0, 0))
                    most[name] = (max(before[0], used), max(before[1], spilled))
    return most


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    sources = sorted(HERE.glob("*.cu"))
    nvrtc = Nvrtc()
    compiled = {HERE / "ptx" / f"{source.stem}.ptx": nvrtc.compile(source) for source in sources}
    if mode != "--check":
        (HERE / "ptx").mkdir(exist_ok=True)
        for path, text in compiled.items():
            path.write_text(text)
    stale = [path.name for path in sorted((HERE / "ptx").glob("*.ptx")) if path not in compiled]
    stale += [path.name for path, text in compiled.items() if not path.exists() or path.read_text() != text]
    if stale:
        fail(f"these are not what their sources compile to; run kernels/build.py: {', '.join(stale)}")
    budget_file = HERE / "budget.txt"
    used = registers(compiled)
    if mode == "--budget":
        lines = [f"{name} {count} {spilled}\n" for name, (count, spilled) in sorted(used.items())]
        head = f"# kernel, registers a thread, bytes spilled: the most on {', '.join(CHIPS)}. build.py --check fails above.\n"
        budget_file.write_text(head + "".join(lines))
    elif mode == "--check":
        budget = {}
        for line in budget_file.read_text().splitlines():
            if line and not line.startswith("#"):
                name, count, spilled = line.split()
                budget[name] = (int(count), int(spilled))
        if budget.keys() != used.keys():
            fail(f"budget.txt and the kernels name different ones: {sorted(budget.keys() ^ used.keys())}")
        over = [f"{name}: {used[name]} over {budget[name]}" for name in used if max(map(int.__sub__, used[name], budget[name])) > 0]
        if over:
            fail("over budget (registers, spilled bytes): " + "; ".join(over))
    print(f"{len(compiled)} files, {len(used)} kernels, PTX as committed, registers and spills within budget"
          if mode == "--check" else f"{len(compiled)} files, {len(used)} kernels")


main()
