//! A container profile, loaded by a program for itself; and what a mistake in one looks like.
//!
//! ```console
//! $ cargo run -p callgate --example profile
//! line 4, column 49: error[unknown-action]: `SCMP_ACT_ERNO` is not an action
//! mkdir: Operation not permitted (os error 1)
//! ```
//!
//! With the name of a file it loads that profile, read as the Docker engine reads it.

use std::error::Error;
use std::{env, fs};

use callgate::{CapabilitySet, Dialect, Filter, this_machine};

const PROFILE: &str = r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [
    { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }
  ]
}
"#;

/// Loads the profile, and tries to make a directory.
pub fn main() -> Result<(), Box<dyn Error>> {
    let text = match env::args_os().nth(1) {
        Some(file) => fs::read_to_string(file)?,
        None => PROFILE.to_owned(),
    };
    // What a profile says may depend on the capabilities of those whom it will hold.
    let target = this_machine(CapabilitySet::DOCKER_DEFAULT)?;

    let misspelt = PROFILE.replace("ERRNO", "ERNO");
    if let Err(error) = Filter::from_profile(&misspelt, Dialect::Docker, &target) {
        println!("{error}");
    }

    let filter = Filter::from_profile(&text, Dialect::Docker, &target)?;
    for warning in filter.warnings() {
        eprintln!("{warning}");
    }
    filter.load()?;
    let directory = env::temp_dir().join(format!("callgate-example-{}", std::process::id()));
    match fs::create_dir(&directory) {
        Ok(()) => {
            println!("mkdir: allowed");
            fs::remove_dir(&directory)?;
        }
        Err(error) => println!("mkdir: {error}"),
    }
    Ok(())
}
