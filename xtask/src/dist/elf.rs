//! Whether an ELF file needs a loader.

/// `PT_INTERP` of `elf.h`: the segment that names the dynamic loader.
const INTERPRETER: u32 = 3;

/// Refuses what is not a 64-bit little-endian ELF file that runs without a dynamic loader.
///
/// # Errors
///
/// The reason.
pub fn check_static(file: &[u8]) -> Result<(), String> {
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return Err("not a 64-bit little-endian ELF file".to_owned());
    }
    let kinds = segment_kinds(file).ok_or("the program headers lie outside of the file")?;
    if kinds.contains(&INTERPRETER) {
        return Err("not static: it names a dynamic loader".to_owned());
    }
    Ok(())
}

/// `p_type` of each program header; `e_phoff`, `e_phentsize` and `e_phnum` are at 32, 54, 56.
fn segment_kinds(file: &[u8]) -> Option<Vec<u32>> {
    let start = u64::from_le_bytes(*file.get(32..)?.first_chunk()?);
    let size = u16::from_le_bytes(*file.get(54..)?.first_chunk()?);
    let count = u16::from_le_bytes(*file.get(56..)?.first_chunk()?);
    let headers = file.get(usize::try_from(start).ok()?..)?;
    (0..usize::from(count))
        .map(|index| {
            let header = headers.get(index * usize::from(size)..)?;
            Some(u32::from_le_bytes(*header.first_chunk()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header with program headers of these kinds.
    fn elf(kinds: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 64 + 56 * kinds.len()];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        file[54] = 56;
        file[56] = u8::try_from(kinds.len()).unwrap();
        for (index, kind) in kinds.iter().enumerate() {
            file[64 + 56 * index..][..4].copy_from_slice(&kind.to_le_bytes());
        }
        file
    }

    #[test]
    fn only_a_file_without_a_loader_is_static() {
        assert_eq!(check_static(&elf(&[1, 1, 2])), Ok(()));
        assert!(check_static(&elf(&[1, INTERPRETER, 2])).unwrap_err().contains("not static"));
    }

    #[test]
    fn broken_files_are_refused() {
        assert!(check_static(b"#!/bin/sh").is_err());
        let mut file = elf(&[1]);
        file[56] = 200;
        assert!(check_static(&file).unwrap_err().contains("outside"));
    }
}
