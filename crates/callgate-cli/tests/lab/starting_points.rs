//! The built-in starting points, under the runtimes: which of them a container starts under.

use super::{Lab, bundle::Runtime, profiles, recorded::start};

#[test]
fn containers_start_under_fine_grained_and_audit_and_not_under_violation() {
    let Some(lab) = Lab::open() else { return };
    for runtime in [Runtime::Runc, Runtime::Crun] {
        for no_new_privs in [true, false] {
            for (builtin, starts) in [("fine-grained", true), ("audit", true), ("violation", false)]
            {
                let output = start(&lab, runtime, &profiles::flat(builtin), no_new_privs);
                let what = format!("{}, {builtin}, {no_new_privs}", runtime.name());
                assert_eq!(output.success(), starts, "{what}: {}", output.stderr);
            }
        }
    }
}
