//! The Prometheus that SLOs are measured with: asked over its HTTP API, and believed only what is whole, new and unambiguous.
//!
//! Must not: follow a redirect, send a credential anywhere but to the address of the operator's configuration, or take an answer
//! that it does not understand for one that says nothing.

mod answer;
mod client;
mod error;
mod files;
#[cfg(test)]
mod lies;
mod matrix;
mod place;
mod rules;
mod server;
mod vector;

pub use client::{Limits, Prometheus};
pub use error::{PrometheusError, SeriesError};
pub use files::{Credentials, FileError};
pub use matrix::Points;
pub use place::{PrometheusUrl, Transport, UrlError};
pub use rules::{Health, LiveGroup, LiveRule, RuleKind};
pub use server::{Retention, Server};
pub use vector::{Number, Series, Vector};
