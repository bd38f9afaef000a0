//! A program as the contents of a file.

use std::path::{Path, PathBuf};

use callgate_bpf::Program;

use super::Format;
use crate::{
    commands::{Failure, compile::ProgramForm},
    output,
};

impl Format {
    /// What a file's name ends in.
    fn ending(self) -> &'static str {
        match self {
            Format::Raw => "bpf",
            Format::Asm => "asm",
            Format::C => "c",
            Format::Json => "json",
        }
    }

    /// The program in this format; `name` is for a comment.
    pub fn bytes(self, program: &Program, name: &str) -> Vec<u8> {
        let form = match self {
            Format::Raw => ProgramForm::Raw,
            Format::Asm => ProgramForm::Asm,
            Format::C => ProgramForm::C,
            Format::Json => ProgramForm::Json,
        };
        form.write(program, name)
    }

    /// Writes a program to a file in `folder`, and gives its path.
    pub fn write(self, program: &Program, folder: &Path, stem: &str) -> Result<PathBuf, Failure> {
        let bytes = self.bytes(program, stem);
        let path = folder.join(format!("{stem}.{}", self.ending()));
        output::write_file(&path, &bytes)?;
        Ok(path)
    }
}

/// Makes the folder for the files.
pub fn make_folder(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::Message(format!("{}: {error}", folder.display())))
}
