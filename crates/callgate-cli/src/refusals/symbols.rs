//! What an ELF file says of a place in it: the symbol, and how a function returns.

use std::{fs::File, io};

use gimli::{BaseAddresses, CfaRule, EhFrame, NativeEndian, Register, RegisterRule, UnwindSection};
use object::{
    Architecture, Object, ObjectSection, ObjectSegment, ObjectSymbol, ReadCache, SymbolKind,
};

/// A file of this machine's byte order.
pub struct Binary {
    cache: ReadCache<File>,
}

/// A symbol, and how far behind it.
#[derive(Clone, Debug)]
pub struct Symbol {
    pub name: String,
    pub offset: u64,
}

/// Where a function that has been called keeps the address to return to, from its stack pointer.
pub struct Frame {
    /// From the stack pointer to what it is when the function has returned.
    size: i64,
    /// From there to the address.
    address: i64,
}

impl Frame {
    pub fn stored_at(&self, stack_pointer: u64) -> Option<u64> {
        self.above(stack_pointer)?.checked_add_signed(self.address)
    }

    pub fn above(&self, stack_pointer: u64) -> Option<u64> {
        stack_pointer.checked_add_signed(self.size)
    }
}

impl Binary {
    pub fn read(file: File) -> io::Result<Binary> {
        let cache = ReadCache::new(file);
        // Whether it is one at all.
        object::File::parse(&cache).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Binary { cache })
    }

    fn with<T>(
        &self,
        look: impl FnOnce(object::File<'_, &ReadCache<File>>) -> Option<T>,
    ) -> Option<T> {
        look(object::File::parse(&self.cache).ok()?)
    }

    /// The function that this place of the file is in.
    pub fn symbol(&self, offset: u64) -> Option<Symbol> {
        self.with(|file| {
            let address = address_of(&file, offset)?;
            let within =
                |start: u64, size: u64| start <= address && (size == 0 || address - start < size);
            let symbols = file.dynamic_symbols().chain(file.symbols());
            let candidates = symbols.filter(|symbol| {
                symbol.kind() == SymbolKind::Text
                    && symbol.is_definition()
                    && within(symbol.address(), symbol.size())
            });
            // Of several names of a function the public one: `mkdir`, not `__mkdir`.
            let best = candidates.filter_map(|symbol| {
                let name = symbol.name().ok().filter(|name| !name.is_empty())?;
                let rank = (symbol.size() == 0, address - symbol.address());
                Some((rank, name.starts_with('_'), name.len(), name))
            });
            let ((_, offset), _, _, name) = best.min()?;
            Some(Symbol { name: name.to_owned(), offset })
        })
    }

    /// How the function around this place returns, as `.eh_frame` says; None where it takes
    /// more than the stack pointer to know.
    pub fn return_address(&self, offset: u64) -> Option<Frame> {
        self.with(|file| {
            // DWARF numbers of the stack pointer and of the return address: System V ABIs.
            let (stack, back) = match file.architecture() {
                Architecture::X86_64 => (Register(7), Register(16)),
                Architecture::Aarch64 => (Register(31), Register(30)),
                _ => return None,
            };
            // Of the call, not behind it: that could be another function.
            let address = address_of(&file, offset)?.checked_sub(1)?;
            let section = file.section_by_name(".eh_frame")?;
            let frames = EhFrame::new(section.data().ok()?, NativeEndian);
            let bases = BaseAddresses::default().set_eh_frame(section.address());
            let fde = frames.fde_for_address(&bases, address, EhFrame::cie_from_offset).ok()?;
            let mut context = gimli::UnwindContext::new();
            let row = fde.unwind_info_for_address(&frames, &bases, &mut context, address).ok()?;
            let size = match row.cfa() {
                CfaRule::RegisterAndOffset { register, offset } if *register == stack => *offset,
                _ => return None,
            };
            match row.register(back) {
                Some(RegisterRule::Offset(address)) => Some(Frame { size, address }),
                _ => None,
            }
        })
    }
}

/// Where the loader puts what is at this place of the file, before it moves the whole.
fn address_of<'d>(file: &object::File<'d, &'d ReadCache<File>>, offset: u64) -> Option<u64> {
    file.segments().find_map(|segment| {
        let (start, size) = segment.file_range();
        let inside = offset.checked_sub(start).filter(|inside| *inside < size)?;
        segment.address().checked_add(inside)
    })
}
