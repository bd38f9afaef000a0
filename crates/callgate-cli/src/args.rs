//! The command line as a whole; each verb's own options stand beside the verb.

use clap::{Parser, Subcommand, builder::Styles, builder::styling::AnsiColor};

use crate::commands::{
    asm, caps, check, compile, convert, diff, disasm, doctor, dump, eval, explain, generate, hook,
    kube, lint, merge, profile, record, run, syscall, why,
};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Sources:
  A SOURCE names a filter: a profile or a BPF program in a file (the content decides), `-` for
  standard input, or a built-in: docker-default, strict, strict-exit-group, audit (logs every
  call), violation (refuses every call), fine-grained (a small server's calls); or pid:N, tid:N:
  the filters that hold a running process or thread.

Exit status:
  0 yes, same, clean; 1 no, different, findings; 2 error. `run`, `record` and `why` pass the
  command's status on (128+N for signal N), with 125 for callgate's own errors, 126 not executable,
  127 not found.

Example:
  callgate run -- sh -c 'unshare -U true || echo refused'";

/// Linux seccomp made whole: run programs under exactly the system calls they need.
#[derive(Parser, Debug)]
#[command(name = "callgate", version, styles = STYLES, after_help = AFTER_HELP)]
#[command(max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    Run(run::Args),
    Why(why::Args),
    Compile(compile::Args),
    Check(check::Args),
    Diff(diff::Args),
    Disasm(disasm::Args),
    Explain(explain::Args),
    Syscall(syscall::Args),
    Caps(caps::Args),
    Asm(asm::Args),
    Convert(convert::Args),
    Eval(eval::Args),
    Merge(merge::Args),
    Record(record::Args),
    Hook(hook::Args),
    Profile(profile::Args),
    Dump(dump::Args),
    Lint(lint::Args),
    Kube(kube::Args),
    Doctor(doctor::Args),
    #[command(hide = true)]
    Generate(generate::Args),
}
