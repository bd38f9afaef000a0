//! `callgate diff`: how two filters differ, whatever they were written in.

mod rows;

pub use self::rows::{call, counts, preferred, verb, write_call};

use callgate_verdict::TooComplex;
use clap::Args as ClapArgs;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Failure};
use crate::{meaning::Context, output, target::SourceArgs};

const AFTER_HELP: &str = "\
Exit status: 0 the same (with --subset: A never permits what B refuses), 1 different, 2 error, also
when the exact answer would take too much memory.

Two filters are the same when the kernel acts alike on every call there is. Each row names system
calls that differ in one way, and one concrete call.

Examples:
  callgate diff docker-default my.json
  callgate diff old.bpf new.bpf
  callgate diff --subset web.json docker-default && echo 'no weaker than the default'";

/// Say how two filters differ, exactly
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A profile or a program
    a: String,

    /// Another
    b: String,

    /// Ask only whether A never permits what B refuses
    #[arg(long)]
    subset: bool,

    #[command(flatten)]
    reading: SourceArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, JsonSchema)]
struct Json<'a> {
    a: &'a str,
    b: &'a str,
    same: bool,
    /// A never permits what B refuses.
    subset: bool,
    differences: Vec<rows::JsonDifference>,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let context = Context::new(args.reading)?;
    let mut manager = context.manager();
    let a = context.read(&mut manager, &args.a)?.acted;
    let b = context.read(&mut manager, &args.b)?.acted;
    let unknown = |error: TooComplex| format!("unknown whether they differ: {error}");
    let more = manager.permits_more(a, b).map_err(unknown)?;
    let weaker_call = manager.witness(more);
    if args.subset && !args.json {
        let Some(call) = weaker_call else {
            output::print(&format!("{} never permits what {} refuses\n", args.a, args.b))?;
            return Ok(Answer::Yes);
        };
        let (left, right) = (manager.decide(a, &call).action(), manager.decide(b, &call).action());
        output::print(&format!(
            "{} permits more: it {}, {} {}: {}\n",
            args.a,
            rows::verb(left),
            args.b,
            rows::verb(right),
            rows::call(&call),
        ))?;
        return Ok(Answer::No);
    }
    let differences = manager.differences(a, b).map_err(unknown)?;
    if args.json {
        output::print_json(&Json {
            a: &args.a,
            b: &args.b,
            same: differences.is_empty(),
            subset: weaker_call.is_none(),
            differences: rows::json(&manager, &differences),
        })?;
    } else if differences.is_empty() {
        output::print("same: the kernel acts alike on every call\n")?;
    } else {
        output::print(&rows::text(&manager, &differences, [&args.a, &args.b]))?;
    }
    let yes = if args.subset { weaker_call.is_none() } else { differences.is_empty() };
    Ok(if yes { Answer::Yes } else { Answer::No })
}

/// The schema of what --json prints.
pub fn schema() -> schemars::Schema {
    output::schema_of::<Json<'static>>()
}
