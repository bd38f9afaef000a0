//! The maps that programs and this process share.
//!
//! # Safety
//!
//! A mapping is as long as the map's values are, stays where it is, and is unmapped when its
//! owner is dropped. The kernel's programs write to it at any time, so it is only read as atomics.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::sys::{self, MapAttributes};
use super::types;
use crate::errno::Errno;

/// A map of the kernel. It is gone with the last program and descriptor that has it.
pub(super) struct Map {
    descriptor: OwnedFd,
    key_size: usize,
    value_size: usize,
}

/// `enum bpf_map_type` of `linux/bpf.h`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum MapKind {
    Hash = 1,
    Array = 2,
    Cgroups = 8,
    Ring = 27,
}

/// `BPF_F_NO_PREALLOC` and `BPF_F_MMAPABLE` of `linux/bpf.h`.
const NO_PREALLOCATION: u32 = 1;
const MAPPABLE: u32 = 1 << 10;

impl Map {
    /// A map of fixed sizes, in bytes. For a ring, `entries` is its size.
    pub(super) fn new(
        name: &CStr,
        kind: MapKind,
        key_size: u32,
        value_size: u32,
        entries: u32,
    ) -> Result<Map, Errno> {
        Map::create(MapAttributes {
            kind: u32::from(kind as u8),
            key_size,
            value_size,
            max_entries: entries,
            name: sys::object_name(name),
            ..MapAttributes::default()
        })
    }

    /// An array that can be mapped.
    pub(super) fn shared(name: &CStr, value_size: u32, entries: u32) -> Result<SharedMap, Errno> {
        let map = Map::create(MapAttributes {
            kind: u32::from(MapKind::Array as u8),
            key_size: 4,
            value_size,
            max_entries: entries,
            flags: MAPPABLE,
            name: sys::object_name(name),
            ..MapAttributes::default()
        })?;
        let [value_size, entries] =
            [value_size.next_multiple_of(8), entries].map(|n| usize::try_from(n).unwrap_or(0));
        let memory = Memory::new(map.as_fd(), 0, value_size * entries, Access::Read)?;
        Ok(SharedMap { map, memory })
    }

    /// A value of `words` 32-bit words for each task, gone with the task.
    pub(super) fn task_storage(name: &CStr, words: u32) -> Result<Map, Errno> {
        const TASK_STORAGE: u32 = 29;
        // The kernel wants to know the types of such maps.
        let types = sys::types_load(&types::integers(words))?;
        Map::create(MapAttributes {
            kind: TASK_STORAGE,
            key_size: 4,
            value_size: words * 4,
            flags: NO_PREALLOCATION,
            name: sys::object_name(name),
            types: types.as_raw_fd().cast_unsigned(),
            key_type: types::INTEGER,
            value_type: types::INTEGERS,
            ..MapAttributes::default()
        })
    }

    /// An array of values of `size` bytes, a multiple of 4, that begin with a pointer to a task.
    pub(super) fn task_pointers(name: &CStr, size: u32, entries: u32) -> Result<Map, Errno> {
        let types = sys::types_load(&types::task_pointer(size))?;
        Map::create(MapAttributes {
            kind: u32::from(MapKind::Array as u8),
            key_size: 4,
            value_size: size,
            max_entries: entries,
            name: sys::object_name(name),
            types: types.as_raw_fd().cast_unsigned(),
            key_type: types::INTEGER,
            value_type: types::WITH_TASK,
            ..MapAttributes::default()
        })
    }

    fn create(attributes: MapAttributes) -> Result<Map, Errno> {
        let size = |size: u32| usize::try_from(size).unwrap_or(0);
        Ok(Map {
            descriptor: sys::map_create(&attributes)?,
            key_size: size(attributes.key_size),
            value_size: size(attributes.value_size),
        })
    }

    /// Puts a value there.
    pub(super) fn update(&self, key: &[u8], value: &[u8]) -> Result<(), Errno> {
        self.check(key, Some(value));
        sys::map_update(self.as_fd(), key, value)
    }

    /// Takes a key out, if it is there.
    pub(super) fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        self.check(key, None);
        sys::map_delete(self.as_fd(), key).map(drop)
    }

    /// The value of a key.
    pub(super) fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
        self.check(key, None);
        let mut value = vec![0; self.value_size.next_multiple_of(8)];
        let found = sys::map_lookup(self.as_fd(), key, &mut value)?;
        Ok(found.map(|()| value))
    }

    /// Every key and its value, of a map in which both are 64-bit numbers and from which nothing is
    /// taken. Of what is added meanwhile, something may be missing.
    pub(super) fn numbers(&self) -> Result<Vec<(u64, u64)>, Errno> {
        let mut numbers = Vec::new();
        let mut last: Option<[u8; 8]> = None;
        loop {
            let mut key = [0; 8];
            self.check(&key, None);
            let after = last.as_ref().map(<[u8; 8]>::as_slice);
            if sys::map_next_key(self.as_fd(), after, &mut key)?.is_none() {
                return Ok(numbers);
            }
            let value = self.lookup(&key)?.and_then(|value| value.try_into().ok());
            numbers.push((u64::from_ne_bytes(key), value.map_or(0, u64::from_ne_bytes)));
            last = Some(key);
        }
    }

    /// The kernel reads as many bytes as the map's sizes say, whatever the slice.
    fn check(&self, key: &[u8], value: Option<&[u8]>) {
        assert_eq!(key.len(), self.key_size, "a key of the map's size");
        assert!(value.is_none_or(|v| v.len() == self.value_size), "a value of the map's size");
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// An array whose values lie in this process's memory.
pub(super) struct SharedMap {
    pub(super) map: Map,
    memory: Memory,
}

impl SharedMap {
    /// The 64-bit word at this index, over all values.
    pub(super) fn word(&self, index: usize) -> u64 {
        self.memory.double(index * 8).load(Ordering::Acquire)
    }

    /// The 32-bit word at this index, over all values.
    pub(super) fn half(&self, index: usize) -> u32 {
        self.memory.word(index * 4).load(Ordering::Acquire)
    }
}

/// How memory of a map is mapped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    ReadWrite,
}

/// A part of a map, mapped.
pub(super) struct Memory {
    start: NonNull<u8>,
    length: usize,
    access: Access,
}

// SAFETY: the mapping belongs to no thread, and is accessed by atomics and copies alone.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// `length` bytes from `offset`, a multiple of the page size.
    pub(super) fn new(
        map: BorrowedFd<'_>,
        offset: usize,
        length: usize,
        access: Access,
    ) -> Result<Memory, Errno> {
        let protection = match access {
            Access::Read => libc::PROT_READ,
            Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        };
        let offset = libc::off_t::try_from(offset).map_err(|_| Errno(libc::EOVERFLOW))?;
        // SAFETY: a new mapping touches no memory in use.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                protection,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                offset,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let start = NonNull::new(start.cast()).ok_or(Errno(libc::ENOMEM))?;
        Ok(Memory { start, length, access })
    }

    /// The 64-bit word at a byte offset.
    pub(super) fn double(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: `at` has checked that eight aligned bytes lie within the mapping, which lives as
        // long as `self`; every bit pattern is a value.
        unsafe { self.at(offset, 8).cast::<AtomicU64>().as_ref() }
    }

    /// The 32-bit word at a byte offset.
    pub(super) fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: as above, for four bytes.
        unsafe { self.at(offset, 4).cast::<AtomicU32>().as_ref() }
    }

    /// Writes where the mapping may be written to, and does nothing elsewhere.
    pub(super) fn set_double(&self, offset: usize, value: u64) {
        if self.access == Access::ReadWrite {
            self.double(offset).store(value, Ordering::Release);
        }
    }

    fn at(&self, offset: usize, size: usize) -> NonNull<u8> {
        assert!(
            offset.is_multiple_of(size)
                && offset.checked_add(size).is_some_and(|end| end <= self.length),
            "an aligned word within the mapping"
        );
        // SAFETY: within the mapping, as just checked.
        unsafe { self.start.add(offset) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: unmaps what `new` mapped; references to it have ended with `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}
