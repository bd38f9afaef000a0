//! The types of maps, where the kernel wants to know them, in its "BPF Type Format".

use super::btf::{MAGIC, kind};

/// `unsigned int`.
pub(super) const INTEGER: u32 = 1;
/// An array of it, in [`integers`].
pub(super) const INTEGERS: u32 = 2;
/// The structure of [`task_pointer`].
pub(super) const WITH_TASK: u32 = 6;

/// `unsigned int`, and an array of so many.
pub(super) fn integers(count: u32) -> Vec<u8> {
    file(&[integer(), array(count)].concat())
}

/// `unsigned int`, and a structure of `size` bytes, which begins with a pointer to a task, one of
/// which the kernel does not count references (`kptr_untrusted`), and has integers after it.
pub(super) fn task_pointer(size: u32) -> Vec<u8> {
    const POINTER: u32 = 8;
    let [task, rest, tag, pointer] = [2, 3, 4, 5];
    let types = [
        integer(),
        vec![name(b"task_struct\0"), kind::STRUCT << 24, 0],
        array((size - POINTER) / 4),
        vec![name(b"kptr_untrusted\0"), kind::TYPE_TAG << 24, task],
        vec![0, kind::POINTER << 24, tag],
        vec![name(b"entry\0"), kind::STRUCT << 24 | 2, size],
        vec![name(b"task\0"), pointer, 0],
        vec![name(b"rest\0"), rest, POINTER * 8],
    ];
    file(&types.concat())
}

const STRINGS: &[u8] = b"\0unsigned int\0task_struct\0kptr_untrusted\0entry\0task\0rest\0";

fn integer() -> Vec<u32> {
    vec![name(b"unsigned int\0"), kind::INT << 24, 4, 32]
}

fn array(count: u32) -> Vec<u32> {
    vec![0, kind::ARRAY << 24, 0, INTEGER, INTEGER, count]
}

/// Where a name stands among the strings.
fn name(name: &[u8]) -> u32 {
    let at = STRINGS.windows(name.len()).position(|window| window == name);
    at.and_then(|at| u32::try_from(at).ok()).unwrap_or(0)
}

fn file(types: &[u32]) -> Vec<u8> {
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(0);
    let (types_length, strings_length) = (length(types.len() * 4), length(STRINGS.len()));
    let mut file = MAGIC.to_ne_bytes().to_vec();
    // Version and flags; then the header's own length, and where types and strings lie.
    file.extend([1, 0]);
    for word in [24, 0, types_length, types_length, strings_length] {
        file.extend(word.to_ne_bytes());
    }
    file.extend(types.iter().flat_map(|word| word.to_ne_bytes()));
    file.extend(STRINGS);
    file
}

#[cfg(test)]
mod tests {
    use super::super::btf::Types;
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let data = task_pointer(56);
        let types = Types::new(&data).unwrap();
        assert_eq!(types.field("entry", &["rest"]).unwrap().offset, 8);
        assert!(types.field("task_struct", &["pid"]).is_none());
    }
}
