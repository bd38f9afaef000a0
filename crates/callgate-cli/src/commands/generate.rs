//! `callgate generate`: shell completions, man pages and schemas, for packagers.

use std::{fs, io, path::PathBuf};

use clap::{Args as ClapArgs, CommandFactory, Subcommand};
use clap_complete::Shell;

use super::{Answer, Failure};
use crate::{args::Cli, output};

const AFTER_HELP: &str = "\
Examples:
  callgate generate completions bash > /etc/bash_completion.d/callgate
  callgate generate man /usr/local/share/man/man1
  callgate generate schema > profile.schema.json";

/// Generate what a package ships beside the binary
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Completions for a shell, to standard output
    Completions { shell: Shell },
    /// A man page for the command and each verb, into a folder
    Man { folder: PathBuf },
    /// The JSON Schema of the profile form, or of what a verb's --json prints, to standard output
    Schema {
        /// The verb, as `lint` or `kube-check`; without one, the profile form
        verb: Option<String>,
    },
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    match args.what {
        What::Completions { shell } => {
            let mut bytes = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "callgate", &mut bytes);
            output::print(&String::from_utf8_lossy(&bytes))?;
        }
        What::Man { folder } => man(&folder)?,
        What::Schema { verb: None } => {
            output::print(callgate_policy::formats::profile::SCHEMA)?;
        }
        What::Schema { verb: Some(verb) } => output::print_json(&schema(&verb)?)?,
    }
    Ok(Answer::Yes)
}

fn schema(verb: &str) -> Result<schemars::Schema, Failure> {
    Ok(match verb {
        "caps" => super::caps::schema(),
        "check" => super::check::schema(),
        "compile" => super::compile::schema(),
        "diff" => super::diff::schema(),
        #[cfg(target_os = "linux")]
        "doctor" => super::doctor::schema(),
        #[cfg(target_os = "linux")]
        "dump" => super::dump::schema(),
        "eval" => super::eval::schema(),
        "explain" => super::explain::schema(),
        "kube-check" => super::kube::check::schema(),
        "lint" => super::lint::schema(),
        "syscall" => super::syscall::schema(),
        #[cfg(target_os = "linux")]
        "why" => super::why::schema(),
        _ => return Err(Failure::Message(format!("`{verb}` has no --json"))),
    })
}

fn man(folder: &std::path::Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut command = Cli::command();
    command.build();
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    for page in verbs.chain([&command]) {
        let name = page.get_display_name().unwrap_or_else(|| page.get_name()).to_owned();
        let mut bytes = Vec::new();
        clap_mangen::Man::new(page.clone()).title(name.clone()).render(&mut bytes)?;
        output::write_file(&folder.join(format!("{name}.1")), &bytes)?;
    }
    Ok(())
}
