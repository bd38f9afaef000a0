//! Where a program that has just been executed begins.

use std::fs;

use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSymbol};
use rustix::process::Pid;

use super::Moment;

/// `AT_ENTRY` of `linux/auxvec.h`: the program's entry point as it was loaded.
const AT_ENTRY: u64 = 9;

/// What the ELF file and the kernel say of a program that stands at its first instruction.
pub(super) struct Image {
    /// The entry point, in the process's memory. Executed once, and never again.
    pub(super) entry: u64,
    /// Where strict mode is to begin, in the process's memory.
    pub(super) moment: u64,
    /// The symbol there; `None` at the entry point.
    pub(super) symbol: Option<String>,
}

/// Why there is no such place.
pub(super) enum NoImage {
    /// Not readable, for this user.
    Hidden,
    /// Not a 64-bit ELF file.
    Foreign,
    /// It has no such symbol.
    NoSymbol(String),
}

impl Image {
    pub(super) fn of(pid: Pid, moment: &Moment) -> Result<Image, NoImage> {
        let pid = pid.as_raw_nonzero();
        let hidden = |_| NoImage::Hidden;
        let file = fs::read(format!("/proc/{pid}/exe")).map_err(hidden)?;
        let auxv = fs::read(format!("/proc/{pid}/auxv")).map_err(hidden)?;
        let file: ElfFile64<'_, Endianness> =
            ElfFile64::parse(&*file).map_err(|_| NoImage::Foreign)?;
        let entry = auxiliary(&auxv, AT_ENTRY).ok_or(NoImage::Hidden)?;
        // Position-independent programs lie elsewhere than their file says, all by one distance.
        let distance = entry.wrapping_sub(file.entry());
        let place = |name: &str| symbol(&file, name).map(|address| address.wrapping_add(distance));
        let (moment, symbol) = match moment {
            Moment::Symbol(name) => {
                let place = place(name).ok_or_else(|| NoImage::NoSymbol(name.clone()))?;
                (place, Some(name.clone()))
            }
            Moment::Main => match place("main") {
                Some(place) => (place, Some("main".to_owned())),
                None => (entry, None),
            },
            Moment::Entry => (entry, None),
        };
        Ok(Image { entry, moment, symbol })
    }
}

/// The address of a function that the file defines, in `.symtab`, else in `.dynsym`.
fn symbol(file: &ElfFile64<'_, Endianness>, name: &str) -> Option<u64> {
    file.symbols()
        .chain(file.dynamic_symbols())
        .find(|symbol| symbol.is_definition() && symbol.address() != 0 && symbol.name() == Ok(name))
        .map(|symbol| symbol.address())
}

/// An entry of the auxiliary vector: pairs of words.
fn auxiliary(auxv: &[u8], wanted: u64) -> Option<u64> {
    auxv.chunks_exact(16).find_map(|pair| {
        let word = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_ne_bytes);
        let (kind, value) = (word(&pair[..8])?, word(&pair[8..])?);
        (kind == wanted).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_auxiliary_vector_is_searched() {
        let words: [u64; 6] = [6, 4096, 9, 0x5555_0000, 0, 0];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(auxiliary(&bytes, 9), Some(0x5555_0000));
        assert_eq!(auxiliary(&bytes, 25), None);
        assert_eq!(auxiliary(&bytes[..20], 9), None);
    }
}
