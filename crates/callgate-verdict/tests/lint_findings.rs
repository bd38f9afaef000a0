//! Each lint fires where it should, with a call that shows it, and is silent where a reader would
//! call it false. Profiles and programs here are made up.

#[path = "lint/common.rs"]
mod common;

#[path = "lint/abis.rs"]
mod abis;
#[path = "lint/programs.rs"]
mod programs;
#[path = "lint/refusals.rs"]
mod refusals;
#[path = "lint/rules.rs"]
mod rules;
#[path = "lint/ways.rs"]
mod ways;
#[path = "lint/width.rs"]
mod width;
