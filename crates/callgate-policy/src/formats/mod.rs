//! The text formats that a policy is read from and written to, a module each.
//!
//! A reader takes text and gives a [`Policy`](crate::Policy) with places in that text, or
//! diagnostics; a writer takes a policy and nothing else.

pub mod profile;
