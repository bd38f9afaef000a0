//! bpf(2): the system call itself.
//!
//! # Safety
//!
//! Every structure handed to the kernel is `repr(C)`, laid out as the part of `union bpf_attr`
//! that its command reads, without padding; pointers within come from slices and references that
//! outlive the call, and their lengths go with them or follow from the map.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_long};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use super::assembler::Instruction;
use crate::errno::Errno;

/// The commands of `linux/bpf.h`.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Command {
    MapCreate = 0,
    MapUpdate = 2,
    MapDelete = 3,
    MapNextKey = 4,
    MapLookup = 1,
    ProgramLoad = 5,
    ObjectInfo = 15,
    RawTracepointOpen = 17,
    TypesLoad = 18,
}

/// What a map is to be.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(super) struct MapAttributes {
    pub(super) kind: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) flags: u32,
    pub(super) inner: u32,
    pub(super) numa_node: u32,
    pub(super) name: [u8; 16],
    pub(super) interface: u32,
    pub(super) types: u32,
    pub(super) key_type: u32,
    pub(super) value_type: u32,
}

#[derive(Clone, Copy, Default)]
#[repr(C)]
struct ProgramAttributes {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
    types: u32,
    function_record: u32,
    functions: u64,
    function_count: u32,
    line_record: u32,
    lines: u64,
    line_count: u32,
    attach_to: u32,
    attach_program: u32,
    unused: u32,
}

#[derive(Default)]
#[repr(C)]
struct ElementAttributes {
    map: u32,
    unused: u32,
    key: u64,
    /// Or the next key.
    value: u64,
    flags: u64,
}

#[derive(Default)]
#[repr(C)]
struct OpenAttributes {
    name: u64,
    program: u32,
    unused: u32,
    cookie: u64,
}

#[derive(Default)]
#[repr(C)]
struct InfoAttributes {
    object: u32,
    length: u32,
    info: u64,
}

#[derive(Default)]
#[repr(C)]
struct TypesAttributes {
    types: u64,
    log: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    unused: u32,
}

/// A structure of this module: as long as the fields of `linux/bpf.h` that it has, so that there is
/// no padding, whose bytes nobody would have set.
trait Attributes {
    const LENGTH: usize;
}

impl Attributes for MapAttributes {
    const LENGTH: usize = 7 * 4 + 16 + 4 * 4;
}

impl Attributes for ProgramAttributes {
    const LENGTH: usize = 2 * 4 + 2 * 8 + 2 * 4 + 8 + 2 * 4 + 16 + 4 * 4 + 8 + 2 * 4 + 8 + 4 * 4;
}

impl Attributes for ElementAttributes {
    const LENGTH: usize = 2 * 4 + 3 * 8;
}

impl Attributes for OpenAttributes {
    const LENGTH: usize = 8 + 2 * 4 + 8;
}

impl Attributes for InfoAttributes {
    const LENGTH: usize = 2 * 4 + 8;
}

impl Attributes for TypesAttributes {
    const LENGTH: usize = 2 * 8 + 4 * 4;
}

/// BPF_MAP_CREATE.
pub(super) fn map_create(attributes: &MapAttributes) -> Result<OwnedFd, Errno> {
    descriptor(bpf(Command::MapCreate, attributes)?)
}

/// BPF_MAP_LOOKUP_ELEM, into a value of the map's size; `None` where there is no such key.
pub(super) fn map_lookup(
    map: BorrowedFd<'_>,
    key: &[u8],
    value: &mut [u8],
) -> Result<Option<()>, Errno> {
    let value = address(value.as_mut_ptr());
    found(bpf(Command::MapLookup, &element(map, address(key.as_ptr()), value)))
}

/// BPF_MAP_UPDATE_ELEM, whether the key is there or not.
pub(super) fn map_update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> Result<(), Errno> {
    let value = address(value.as_ptr());
    bpf(Command::MapUpdate, &element(map, address(key.as_ptr()), value)).map(drop)
}

/// BPF_MAP_DELETE_ELEM.
pub(super) fn map_delete(map: BorrowedFd<'_>, key: &[u8]) -> Result<Option<()>, Errno> {
    found(bpf(Command::MapDelete, &element(map, address(key.as_ptr()), 0)))
}

/// BPF_MAP_GET_NEXT_KEY: the key after `key`, or the first one.
pub(super) fn map_next_key(
    map: BorrowedFd<'_>,
    key: Option<&[u8]>,
    next: &mut [u8],
) -> Result<Option<()>, Errno> {
    let key = key.map_or(0, |key| address(key.as_ptr()));
    found(bpf(Command::MapNextKey, &element(map, key, address(next.as_mut_ptr()))))
}

/// A tracing program that is called at a typed raw tracepoint (BPF_TRACE_RAW_TP), which takes the
/// number of the tracepoint's type. The kernel writes into `log` what it thought of it.
pub(super) fn program_load(
    name: &CStr,
    code: &[Instruction],
    tracepoint: u32,
    log: &mut [u8],
) -> Result<OwnedFd, Errno> {
    /// `BPF_PROG_TYPE_TRACING` and `BPF_TRACE_RAW_TP`.
    const TRACING: u32 = 26;
    const RAW_TRACEPOINT: u32 = 23;
    /// The helpers that read kernel memory are for programs that say they are under a licence
    /// compatible with the GPL; that of this project, the MIT licence, is one.
    const LICENSE: &CStr = c"Dual MIT/GPL";
    let attributes = ProgramAttributes {
        kind: TRACING,
        count: length(code.len())?,
        instructions: address(code.as_ptr()),
        license: address(LICENSE.as_ptr()),
        log_level: u32::from(!log.is_empty()),
        log_size: length(log.len())?,
        log: if log.is_empty() { 0 } else { address(log.as_mut_ptr()) },
        name: object_name(name),
        attach_type: RAW_TRACEPOINT,
        attach_to: tracepoint,
        ..ProgramAttributes::default()
    };
    descriptor(bpf(Command::ProgramLoad, &attributes)?)
}

/// BPF_RAW_TRACEPOINT_OPEN: the program runs as long as the descriptor is open.
pub(super) fn program_attach(program: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let attributes = OpenAttributes { program: number(program), ..OpenAttributes::default() };
    descriptor(bpf(Command::RawTracepointOpen, &attributes)?)
}

/// BPF_BTF_LOAD: types for maps.
pub(super) fn types_load(types: &[u8]) -> Result<OwnedFd, Errno> {
    let attributes = TypesAttributes {
        types: address(types.as_ptr()),
        size: length(types.len())?,
        ..TypesAttributes::default()
    };
    descriptor(bpf(Command::TypesLoad, &attributes)?)
}

/// BPF_OBJ_GET_INFO_BY_FD: as much as fits and the kernel knows.
pub(super) fn object_info(object: BorrowedFd<'_>, info: &mut [u8]) -> Result<(), Errno> {
    let attributes = InfoAttributes {
        object: number(object),
        length: length(info.len())?,
        info: address(info.as_mut_ptr()),
    };
    bpf(Command::ObjectInfo, &attributes).map(drop)
}

/// The first 15 bytes, as the kernel lists them.
pub(super) fn object_name(name: &CStr) -> [u8; 16] {
    let mut field = [0; 16];
    field.iter_mut().take(15).zip(name.to_bytes()).for_each(|(to, from)| *to = *from);
    field
}

fn element(map: BorrowedFd<'_>, key: u64, value: u64) -> ElementAttributes {
    ElementAttributes { map: number(map), key, value, ..ElementAttributes::default() }
}

fn found(result: Result<c_long, Errno>) -> Result<Option<()>, Errno> {
    match result {
        Ok(_) => Ok(Some(())),
        Err(Errno(libc::ENOENT)) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn bpf<T: Attributes>(command: Command, attributes: &T) -> Result<c_long, Errno> {
    const { assert!(size_of::<T>() == T::LENGTH, "a structure with padding") };
    // SAFETY: see the module: the kernel reads the structure, whose size is given, and what its
    // pointers lead to, which the callers above have borrowed for as long.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            c_long::from(command as u8),
            ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    if result == -1 { Err(Errno::last()) } else { Ok(result) }
}

/// Of a call that returns a new descriptor. The kernel makes them close-on-exec, all of them.
fn descriptor(result: c_long) -> Result<OwnedFd, Errno> {
    let fd = i32::try_from(result).map_err(|_| Errno(libc::EIO))?;
    // SAFETY: the kernel has just made it for this caller.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// The kernel takes addresses as 64-bit numbers on every machine.
fn address<T>(pointer: *const T) -> u64 {
    u64::try_from(pointer.addr()).unwrap_or(0)
}

fn length(length: usize) -> Result<u32, Errno> {
    u32::try_from(length).map_err(|_| Errno(libc::E2BIG))
}
