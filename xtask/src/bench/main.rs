//! The measuring half of `cargo xtask bench`.

mod commands;
mod counts;
mod docker;
mod docs;
mod driver;
mod evaluating;
mod firecracker;
mod folder;
mod inputs;
mod install;
mod kafel;
mod large;
mod libseccomp;
mod long;
mod machine;
mod making;
mod notified;
mod optimum;
mod own;
mod peak;
mod peers;
mod proof;
mod recording;
mod report;
mod start;
mod subject;
mod timing;
mod words;

use std::{error::Error, process::ExitCode};

use crate::{
    driver::{Driver, Peer},
    libseccomp::LEVELS,
    peers::Peers,
    report::Report,
    subject::Subject,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Status when a target was not met.
const NOT_MET: u8 = 1;

struct Options {
    json: bool,
    repeat: usize,
    write_docs: bool,
    /// Part of the name of the sections that are wanted.
    only: Option<String>,
}

impl Options {
    /// Whether to measure this; then says that it is done now.
    fn wants(&self, what: &str) -> bool {
        let wants = self.only.as_ref().is_none_or(|only| what.contains(only.as_str()));
        if wants {
            eprintln!("measuring: {what}");
        }
        wants
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.split_first() {
        Some((first, rest)) if first == peak::OPTION => peak::child(rest).map(|()| true),
        Some((first, rest)) if first == recording::OPTION => recording::child(rest).map(|()| true),
        _ => options(&args).and_then(|options| measure(&options)),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NOT_MET),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn options(args: &[String]) -> Result<Options> {
    let mut options = Options { json: false, repeat: 200, write_docs: false, only: None };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => options.json = true,
            "--write-docs" => options.write_docs = true,
            "--repeat" => {
                let count = args.next().ok_or("--repeat needs a number")?;
                options.repeat = count.parse::<usize>()?.max(1);
            }
            "--only" => options.only = Some(args.next().ok_or("--only needs a word")?.clone()),
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    if options.write_docs && options.only.is_some() {
        return Err("--write-docs takes all figures of one run, so no --only".into());
    }
    Ok(options)
}

/// Measures everything; the value is whether every target was met.
fn measure(options: &Options) -> Result<bool> {
    let mut report = Report::new(machine::facts());
    let core = timing::pin();
    report.fact("pinned to", core.map_or("no core".to_owned(), |core| format!("core {core}")));

    let subject = Subject::new()?;
    let contenders = Peers::find(&mut report);
    let mut library = match contenders.library() {
        Some(library) => Some(library.with(&subject.rules_for_libseccomp())?),
        None => None,
    };
    let mut peers: Vec<Peer> = Vec::new();
    if let Some(library) = &mut library {
        let (version, rules) = (library.version(), library.rules());
        let unknown = library.unknown().len();
        let what =
            format!("libseccomp {version}, {rules} rules, of which it does not know {unknown}");
        report.fact("peer", what);
        for level in LEVELS {
            peers.push(library.peer(level, &libseccomp::name(level))?);
        }
    }

    let unknown = library.as_ref().map_or(&[][..], Driver::unknown);
    let alike = subject.alike(unknown, &peers)?;
    if !alike.lacking.is_empty() {
        report.fact("peer lacks", alike.lacking.join(", "));
    }

    let repeat = options.repeat;
    if options.wants("the program") {
        report.add(counts::measure(&subject, &alike, &peers));
    }
    if options.wants("the program for x86_64") {
        let section = docker::measure(&subject, &contenders, &mut report, repeat)?;
        report.add(section);
    }
    if options.wants("Firecracker's filters") {
        report.try_add("Firecracker's filters", firecracker::measure(&contenders));
    }
    if options.wants("very many rules") {
        report.add(large::measure(&contenders, repeat)?);
    }
    if options.wants("making it") {
        report.add(making::measure(&subject, library.as_mut(), repeat)?);
    }
    if options.wants("loading it") {
        report.try_add("loading", install::measure(&subject, &alike, &peers, repeat));
    }
    if options.wants("starting a command") {
        report.try_add("callgate run", start::measure(2 * repeat));
    }
    if options.wants("recording by eBPF") {
        report.try_add("recording by eBPF", recording::measure(repeat));
    }
    if options.wants("recording by notification") {
        report.try_add("recording by notification", notified::measure(repeat));
    }
    if options.wants("the proof") {
        report.add(proof::measure(&subject, &alike, &peers, repeat)?);
    }
    if options.wants("evaluating calls") {
        report.add(evaluating::measure(&subject, &alike, &peers, repeat)?);
    }
    if options.wants("looking at a filter") {
        report.try_add("looking at a filter", commands::measure(repeat));
    }

    if options.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.text());
    }
    if options.write_docs {
        docs::write(&report.text())?;
    }
    Ok(report.all_met())
}
