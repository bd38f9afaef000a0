//! Each thing that was tried, with its plain consequence.

use std::fmt::{Display, Write};

use callgate_kernel::{
    Cgroups, Features, Mode, Probe, ProcessFeatures, SeccompFeatures, Setting, SystemFeatures,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::verbs::{self, Verb};

#[derive(Serialize, JsonSchema)]
pub struct Report {
    sections: Vec<Section>,
    verbs: Vec<Verb>,
}

#[derive(Serialize, JsonSchema)]
struct Section {
    title: &'static str,
    findings: Vec<Finding>,
}

/// What was found, and what follows for the user.
#[derive(Serialize, JsonSchema)]
struct Finding {
    what: String,
    found: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    consequence: &'static str,
}

impl Report {
    pub fn of(features: &Features) -> Report {
        Report {
            sections: vec![
                Section { title: "kernel", findings: kernel(&features.system) },
                Section { title: "seccomp", findings: seccomp(&features.seccomp) },
                Section { title: "this process", findings: process(&features.process) },
                Section { title: "around it", findings: around(&features.system) },
            ],
            verbs: verbs::table(features),
        }
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for section in &self.sections {
            let _ = writeln!(text, "{}", section.title);
            for Finding { what, found, consequence } in &section.findings {
                let _ = write!(text, "  {what:<24} {found}");
                let _ = if consequence.is_empty() {
                    writeln!(text)
                } else {
                    writeln!(text, "\n  {:<24}   {consequence}", "")
                };
            }
        }
        text.push_str(&verbs::text(&self.verbs));
        text
    }
}

fn finding(what: impl Display, found: impl Display, consequence: &'static str) -> Finding {
    Finding { what: what.to_string(), found: found.to_string(), consequence }
}

/// A probe, and what follows when it does not work.
fn probed(what: impl Display, probe: Probe, without: &'static str) -> Finding {
    finding(what, word(probe), if probe.works() { "" } else { without })
}

fn word(probe: Probe) -> String {
    match probe {
        Probe::Works => "yes".to_owned(),
        Probe::Refused(errno) => format!("no: {errno}"),
        Probe::Dies(signal) => format!("no: the process that tried died of {signal}"),
        Probe::Untried(why) => format!("not tried: {why}"),
        _ => "not known".to_owned(),
    }
}

fn setting<T>(setting: &Setting<T>, show: impl Fn(&T) -> String) -> String {
    match setting {
        Setting::Is(value) => show(value),
        Setting::Hidden => "not readable by this user".to_owned(),
        Setting::Absent => "absent".to_owned(),
    }
}

fn kernel(system: &SystemFeatures) -> Vec<Finding> {
    vec![
        finding("release", &system.kernel_release, ""),
        finding("machine", &system.machine, ""),
        finding(
            "32-bit calls",
            word(system.compat),
            if system.compat.works() {
                "a filter must speak of them too, or kill them"
            } else {
                ""
            },
        ),
        finding(
            "x32 calls",
            word(system.x32),
            if system.x32.works() { "a filter must look at bit 30 of the number" } else { "" },
        ),
    ]
}

fn seccomp(seccomp: &SeccompFeatures) -> Vec<Finding> {
    let mut findings = vec![
        probed("strict mode", seccomp.strict, "`run --strict` cannot work here"),
        probed("filter mode", seccomp.filter, "`run` cannot work here"),
        probed("seccomp(2)", seccomp.seccomp_call, "no flags: no LOG, TSYNC or notification"),
        probed("prctl(2) for filters", seccomp.prctl_call, ""),
    ];
    let known = |list: &[(&'static str, Probe)], works: bool| {
        let names: Vec<&str> =
            list.iter().filter(|(_, p)| p.works() == works).map(|(name, _)| *name).collect();
        names.join(" ")
    };
    findings.push(finding("actions", known(&seccomp.actions, true), ""));
    let missing = known(&seccomp.actions, false);
    if !missing.is_empty() {
        findings.push(finding(
            "unknown actions",
            missing,
            "a profile with one of them kills the process here",
        ));
    }
    findings.push(finding("flags", known(&seccomp.flags, true), ""));
    let missing = known(&seccomp.flags, false);
    if !missing.is_empty() {
        findings.push(finding("unknown flags", missing, "loading with one of them fails"));
    }
    findings.push(finding(
        "notifications",
        seccomp.notification_sizes.map_or("no".to_owned(), |[request, response, data]| {
            format!("yes: {request}, {response}, {data} bytes")
        }),
        "",
    ));
    findings.push(finding(
        "logged actions",
        setting(&seccomp.actions_logged, |names| names.join(" ")),
        "only these reach the audit log, and all but kills and LOG only with the LOG flag",
    ));
    findings.push(probed(
        "read others' filters",
        seccomp.read_filters,
        "needs CAP_SYS_ADMIN outside of containers, and no filter here",
    ));
    findings.push(finding(
        "JIT compiler",
        setting(&seccomp.jit, |on| if *on == 0 { "off".into() } else { "on".into() }),
        if seccomp.jit.value() == Some(&0) { "filters are interpreted: slower" } else { "" },
    ));
    findings.push(finding(
        "JIT hardening",
        setting(&seccomp.jit_harden, |level| match level {
            0 => "off".into(),
            1 => "for unprivileged users".into(),
            _ => "for all".into(),
        }),
        if seccomp.jit_harden.value().is_some_and(|level| *level > 0) {
            "constants take three instructions: fewer filters fit the path budget"
        } else {
            ""
        },
    ));
    findings
}

fn process(process: &ProcessFeatures) -> Vec<Finding> {
    let mode = process.status.as_ref().and_then(|status| status.mode);
    let filters = process.status.as_ref().and_then(|status| status.filters).unwrap_or(0);
    let yes_no = |value: Option<bool>| match value {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known",
    };
    let mut findings = vec![
        finding("user", process.user, ""),
        finding(
            "capabilities",
            match &process.capabilities {
                Ok(state) if state.effective.is_empty() => "none".to_owned(),
                Ok(state) => state.effective.to_string(),
                Err(probe) => word(*probe),
            },
            "",
        ),
        finding(
            "no_new_privs",
            match &process.no_new_privs {
                Ok(set) => yes_no(Some(*set)).to_owned(),
                Err(probe) => word(*probe),
            },
            "",
        ),
        finding(
            "already filtered",
            match mode {
                Some(Mode::Filter) => format!("yes, by {filters}"),
                Some(Mode::Strict) => "strict mode".to_owned(),
                Some(_) => "no".to_owned(),
                None => "not known".to_owned(),
            },
            if mode == Some(Mode::Filter) {
                "strict mode is closed, and what these filters refuse stays refused"
            } else {
                ""
            },
        ),
        finding("first user namespace", yes_no(process.initial_user_namespace), ""),
    ];
    if process.secure_exec {
        findings.push(finding("started setuid", "yes", "`run` refuses to lend rights"));
    }
    for sign in &process.container_signs {
        findings.push(finding("in a container", sign, ""));
    }
    findings
}

fn around(system: &SystemFeatures) -> Vec<Finding> {
    vec![
        probed("trace a child", system.trace_child, "`run --strict` cannot work here"),
        finding("Yama ptrace scope", setting(&system.ptrace_scope, u32::to_string), ""),
        probed("user namespaces", system.user_namespace, "no rootless containers"),
        finding(
            "cgroups",
            match system.cgroups {
                Cgroups::None => "none seen",
                Cgroups::V1 => "version 1",
                Cgroups::V2 => "version 2",
                Cgroups::Hybrid => "both versions",
            },
            if system.cgroups == Cgroups::Hybrid { "crun refuses to work so" } else { "" },
        ),
        probed(
            "audit records",
            system.audit_records,
            "`run` cannot name the call that a filter killed for; it needs CAP_AUDIT_READ",
        ),
        finding(
            "auditing",
            match &system.audit_enabled {
                Ok(true) => "on".to_owned(),
                Ok(false) => "off; kills are recorded all the same".to_owned(),
                Err(probe) => word(*probe),
            },
            "",
        ),
        finding(
            "kernel log",
            setting(&system.dmesg_restrict, |restricted| {
                if *restricted == 0 { "for everybody" } else { "for CAP_SYSLOG only" }.to_owned()
            }),
            "",
        ),
    ]
}
