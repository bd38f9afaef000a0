//! The kernel's record of which calls skip a filter, read out of the running kernel.
//!
//! No interface shows it (`/proc/PID/seccomp_cache` is a debugging option that is off nearly
//! everywhere), but a holder of CAP_BPF and CAP_PERFMON may read kernel memory by an eBPF program
//! of the type SYSCALL, and the kernel describes its structures itself (BTF). So this reads
//! `task->seccomp.filter->cache`.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};

use callgate_bpf::Instruction;

use crate::oracle;

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_PROG_TYPE_SYSCALL: u32 = 31;
const BPF_F_SLEEPABLE: u32 = 1 << 4;

/// What the reader and the filtered process share, and the eBPF program's context.
#[repr(C)]
struct Shared {
    /// In: the task to read, or 0 to ask for the caller's own. Out: the latter.
    task: AtomicU64,
    /// Out: 0, or what reading failed with.
    error: AtomicU64,
    /// Out: the start of `struct action_cache`.
    cache: [AtomicU64; MOST_WORDS],
    /// Set by the filtered process when its filter holds, to 1 plus an error number.
    attached: AtomicU64,
}

/// Enough for two bitmaps of 512 calls.
const MOST_WORDS: usize = 32;

/// Reads the bitmaps of filtered processes.
pub struct Reader {
    program: libc::c_int,
    native_words: usize,
    words: usize,
}

/// For each number whether the call skips the filter.
pub struct Bitmaps {
    pub native: Vec<bool>,
    /// Of the 32-bit architecture beside the native one, where there is one.
    pub compat: Vec<bool>,
}

impl Reader {
    /// A reader for this kernel, or why there is none.
    pub fn new() -> Result<Reader, String> {
        let btf = std::fs::read("/sys/kernel/btf/vmlinux")
            .map_err(|error| format!("the kernel does not describe its structures: {error}"))?;
        let btf = Btf { bytes: &btf };
        let find = |structure, member| {
            btf.member(structure, member)
                .ok_or_else(|| format!("the kernel has no {structure}.{member}"))
        };
        let filter = find("task_struct", "seccomp")?.0 + find("seccomp", "filter")?.0;
        let cache = find("seccomp_filter", "cache")?.0;
        let native = find("action_cache", "allow_native")?;
        let native_words = btf.array_length(native.1).ok_or("allow_native is no array")?;
        let compat_words = btf
            .member("action_cache", "allow_compat")
            .and_then(|(_, kind)| btf.array_length(kind))
            .unwrap_or(0);
        let words = native_words + compat_words;
        if native.0 != 0 || words > MOST_WORDS {
            return Err(String::from("the bitmaps are not laid out as known"));
        }
        let program = load(&reading_program(filter, cache, words))?;
        Ok(Reader { program, native_words, words })
    }

    /// The bitmaps of a process that holds this filter alone, or the error number of attaching.
    pub fn read(&self, filter: &[Instruction]) -> Result<Bitmaps, i32> {
        let filter = oracle::filter(filter);
        let shared = map_shared();
        // SAFETY: the child makes system calls and spins; it allocates nothing, takes no lock and
        // never returns.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "fork");
        if child == 0 {
            self.be_filtered(&filter, shared);
        }
        while shared.attached.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        let error = shared.attached.load(Ordering::SeqCst) - 1;
        let read = error == 0 && self.run(shared);
        // SAFETY: `child` is our own child, not yet waited for; after the wait it is gone, and
        // with it its use of the mapping.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
        let bit =
            |index: usize| shared.cache[index / 64].load(Ordering::SeqCst) >> (index % 64) & 1 == 1;
        let bitmaps = Bitmaps {
            native: (0..64 * self.native_words).map(bit).collect(),
            compat: (64 * self.native_words..64 * self.words).map(bit).collect(),
        };
        let failed = shared.error.load(Ordering::SeqCst);
        // SAFETY: mapped by `map_shared` with this length, and not used after this.
        unsafe {
            let start = std::ptr::from_ref(shared).cast_mut().cast::<c_void>();
            libc::munmap(start, size_of::<Shared>());
        }
        if error != 0 {
            return Err(i32::try_from(error).expect("an error number"));
        }
        assert!(read && failed == 0, "reading kernel memory: {failed:#x}");
        Ok(bitmaps)
    }

    /// The child's part: says who it is, takes the filter, waits for its end. Any system call
    /// after the filter might be refused or deadly, so there is none.
    fn be_filtered(&self, filter: &[libc::sock_filter], shared: &Shared) -> ! {
        let error = if self.run(shared) && oracle::set_no_new_privs() {
            oracle::attach(filter, 0)
        } else {
            libc::EPERM
        };
        shared.attached.store(1 + u64::from(error.unsigned_abs()), Ordering::SeqCst);
        loop {
            std::hint::spin_loop();
        }
    }

    /// Runs the eBPF program once, here and now.
    fn run(&self, shared: &Shared) -> bool {
        /// `union bpf_attr`, the part for BPF_PROG_TEST_RUN.
        #[repr(C)]
        #[derive(Default)]
        struct TestRun {
            program: u32,
            unused: [u32; 9],
            context_size: u32,
            context_size_out: u32,
            context: u64,
            context_out: u64,
            flags: u32,
            cpu: u32,
            batch_size: u32,
            padding: u32,
        }
        let attributes = TestRun {
            program: self.program.unsigned_abs(),
            context_size: u32::try_from(size_of::<Shared>()).expect("a small structure"),
            context: address(shared),
            ..TestRun::default()
        };
        // SAFETY: the attributes live through the call; the context is `Shared`, of the given
        // size, all of whose fields may be written behind a shared reference.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_PROG_TEST_RUN,
                &raw const attributes,
                size_of::<TestRun>(),
            )
        };
        result == 0
    }
}

fn address<T: ?Sized>(value: &T) -> u64 {
    let pointer = std::ptr::from_ref(value).cast::<u8>();
    u64::try_from(pointer.addr()).expect("an address fits 64 bits")
}

/// Zeroed memory that a child of fork shares.
fn map_shared() -> &'static Shared {
    // SAFETY: a fresh mapping, aligned to a page and zeroed, which is a valid `Shared`.
    unsafe {
        let memory = libc::mmap(
            std::ptr::null_mut(),
            size_of::<Shared>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(memory, libc::MAP_FAILED, "mmap");
        &*memory.cast::<Shared>()
    }
}

/// One eBPF instruction: code, registers, offset, immediate.
type Ebpf = [u8; 8];

fn ebpf(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Ebpf {
    let registers = if cfg!(target_endian = "little") {
        source << 4 | destination
    } else {
        destination << 4 | source
    };
    let ([o0, o1], [i0, i1, i2, i3]) = (offset.to_ne_bytes(), immediate.to_ne_bytes());
    [code, registers, o0, o1, i0, i1, i2, i3]
}

/// With the context's `task` 0 puts the caller's task there; else copies the start of that task's
/// filter's cache.
fn reading_program(filter: u32, cache: u32, words: usize) -> Vec<Ebpf> {
    const GET_CURRENT_TASK: i32 = 35;
    const PROBE_READ_KERNEL: i32 = 113;
    let signed = |n: usize| i16::try_from(n).expect("a small offset");
    let immediate = |n: u32| i32::try_from(n).expect("a small offset");
    let load = |to, from, offset| ebpf(0x79, to, from, offset, 0);
    let store = |to, from, offset| ebpf(0x7b, to, from, offset, 0);
    let copy = |to, from| ebpf(0xbf, to, from, 0, 0);
    let set = |to, value| ebpf(0xb7, to, 0, 0, value);
    let add = |to, value| ebpf(0x07, to, 0, 0, value);
    let call = |helper| ebpf(0x85, 0, 0, 0, helper);
    let exit = ebpf(0x95, 0, 0, 0, 0);
    let bytes = 8 * signed(words);
    // Copies `size` bytes from `from` + offset to the stack, `size` below its top.
    let read = |size: i16, from, offset: u32| {
        [
            copy(1, 10),
            add(1, -i32::from(size)),
            set(2, i32::from(size)),
            copy(3, from),
            add(3, immediate(offset)),
            call(PROBE_READ_KERNEL),
        ]
    };
    let mut program = vec![
        copy(6, 1),
        load(7, 6, 0),
        // If a task is given, on to reading.
        ebpf(0x55, 7, 0, 4, 0),
        call(GET_CURRENT_TASK),
        store(6, 0, 0),
        set(0, 0),
        exit,
    ];
    program.extend(read(8, 7, filter));
    program.push(load(8, 10, -8));
    program.extend(read(bytes, 8, cache));
    program.push(store(6, 0, 8));
    for word in 0..words {
        program.push(load(1, 10, 8 * signed(word) - bytes));
        program.push(store(6, 1, 16 + 8 * signed(word)));
    }
    program.extend([set(0, 0), exit]);
    program
}

/// Loads an eBPF program of the type SYSCALL.
fn load(program: &[Ebpf]) -> Result<libc::c_int, String> {
    /// `union bpf_attr`, the part for BPF_PROG_LOAD.
    #[repr(C)]
    #[derive(Default)]
    struct Load {
        kind: u32,
        instructions: u32,
        program: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
    }
    let mut log = vec![0u8; 0x1_0000];
    let attributes = Load {
        kind: BPF_PROG_TYPE_SYSCALL,
        instructions: u32::try_from(program.len()).expect("a short program"),
        program: address(program),
        // Reading kernel memory is open to compatible licences alone.
        license: address(c"Dual MIT/GPL"),
        log_level: 1,
        log_size: u32::try_from(log.len()).expect("a small buffer"),
        log: u64::try_from(log.as_mut_ptr().addr()).expect("an address fits 64 bits"),
        flags: BPF_F_SLEEPABLE,
        ..Load::default()
    };
    // SAFETY: program, licence and log live through the call with the sizes given; the kernel
    // writes to the log alone, which nobody else refers to.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attributes, size_of::<Load>())
    };
    libc::c_int::try_from(result).ok().filter(|fd| *fd >= 0).ok_or_else(|| {
        let error = std::io::Error::last_os_error();
        let log = String::from_utf8_lossy(&log);
        format!("bpf(2) needs CAP_BPF and CAP_PERFMON: {error}\n{}", log.trim_end_matches('\0'))
    })
}

/// The kernel's description of its types (`Documentation/bpf/btf.rst`).
struct Btf<'a> {
    bytes: &'a [u8],
}

impl Btf<'_> {
    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..at + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    }

    fn index(&self, at: usize) -> Option<usize> {
        usize::try_from(self.word(at)?).ok()
    }

    /// Places of all types, in the order of their ids, which start at 1.
    fn types(&self) -> impl Iterator<Item = usize> {
        let header = self.index(4).unwrap_or(0);
        let start = header + self.index(8).unwrap_or(0);
        let end = start + self.index(12).unwrap_or(0);
        std::iter::successors(Some(start), move |at| {
            let info = self.index(at + 4)?;
            let members = info & 0xffff;
            let more = match info >> 24 & 0x1f {
                1 | 14 | 17 => 4,
                3 => 12,
                4 | 5 | 15 | 19 => 12 * members,
                6 | 13 => 8 * members,
                _ => 0,
            };
            Some(at + 12 + more)
        })
        .take_while(move |at| *at < end)
    }

    fn is_named(&self, offset: usize, name: &str) -> bool {
        let strings = || Some(self.index(4)? + self.index(16)?);
        strings()
            .and_then(|strings| self.bytes.get(strings + offset..))
            .and_then(|rest| rest.strip_prefix(name.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&0))
    }

    /// Bytes from the start of a structure, and the type, of one of its members.
    fn member(&self, structure: &str, member: &str) -> Option<(u32, usize)> {
        let at = self.types().find(|at| {
            let is_structure = self.index(at + 4).is_some_and(|info| info >> 24 & 0x1f == 4);
            is_structure && self.index(*at).is_some_and(|name| self.is_named(name, structure))
        })?;
        let members = self.index(at + 4)? & 0xffff;
        (0..members).map(|number| at + 12 + 12 * number).find_map(|at| {
            let found = self.is_named(self.index(at)?, member);
            // Bits; the upper 8 are the width of a bit field.
            found.then_some(((self.word(at + 8)? & 0xff_ffff) / 8, self.index(at + 4)?))
        })
    }

    /// Elements of an array.
    fn array_length(&self, id: usize) -> Option<usize> {
        let at = self.types().nth(id.checked_sub(1)?)?;
        (self.index(at + 4)? >> 24 & 0x1f == 3).then(|| self.index(at + 20))?
    }
}
