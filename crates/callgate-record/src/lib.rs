//! What a workload calls: recordings, their merge, and the profiles that are made of them.
//!
//! | to … | use |
//! |---|---|
//! | keep what was seen, and merge it | [`Recording`], [`Run`], [`Fact`] |
//! | feed a run with observations, and write it while it goes on | [`Recorder`], [`Observation`] |
//! | read and write the format | [`Recording::read`], [`Recording::to_text`] |
//! | watch a command | [`method`], [`ebpf`], [`notify`] (on Linux), [`Known`] |
//! | read what strace printed | [`strace`] |
//! | read calls that people or strace wrote, one by one | [`calls`] |
//! | read records of the audit log | [`audit`] (on Linux) |
//! | find a running container | [`container`] (on Linux) |
//! | make a profile | [`profile`] |
//!
//! A recording is a set of runs, and a run a set of facts that only grow: how often an executable
//! made a call, with which of the arguments that choose what it does, and with which errors. So
//! recordings merge in any order and any number of times. [`Recording`] says more.
//!
//! # What it leaves out
//!
//! A recording knows what was called, not what could be. What no run exercised is in no profile;
//! [`profile::stability`] says how much the last run still brought, and no more.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
pub mod audit;
pub mod calls;
#[cfg(target_os = "linux")]
pub mod container;
#[cfg(target_os = "linux")]
pub mod ebpf;
mod format;
mod known;
mod marker;
pub mod method;
#[cfg(target_os = "linux")]
pub mod notify;
pub mod profile;
mod recorder;
mod recording;
pub mod strace;
mod values;
mod words;

pub use crate::{
    format::{FORMAT_VERSION, FormatError, Reading},
    known::Known,
    marker::{Marker, MarkerError},
    recorder::{Arguments, Observation, Recorder},
    recording::{Call, End, Fact, Key, Phase, Recording, Run, RunId, RunInfo},
    values::{Choice, Values, choice},
};
