//! The KMS broker: decides which document is opened next, and makes the KMS calls of all of them within budgets.
//!
//! | part | what it decides |
//! |---|---|
//! | `lanes`, `table` | the order of requests: class, deficit round robin over namespaces, age; one per object |
//! | `answer` (slots, by `crate::lanes::Shares`) | how many documents are open at a time |
//! | `budgets`, `bucket` | the rate of calls, below the KMS's quota and adaptive under throttling |
//! | `breaker` | whether a KMS key is called at all |
//! | `cache`, `flights` | whether a call is needed: data keys of earlier and of concurrent unwraps |
//! | `integrity`, `faults` | how often a ciphertext may fail |
//!
//! These parts are pure: they take the time as an argument and are tested with tables. `core` combines them; `shell`
//! and `opening` run them with tokio, on the state in `shared`.
//!
//! `backon` retries one future after the other, each with its own backoff. Here a failed call is the end of a request;
//! the object's backoff requests it again, and budgets and breakers decide about each call.

mod answer;
mod breaker;
mod bucket;
mod budgets;
mod cache;
mod core;
mod faults;
mod flights;
mod integrity;
mod lanes;
mod opening;
mod request;
mod settings;
mod shared;
mod shell;
mod table;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Document, Host, Note, Permit, Slot};
pub use request::{Class, ObjectName, Request};
pub use settings::{BrokerSettings, MAX_DATA_KEY_LIFETIME};
pub use shell::{Broker, Gauges};
pub use table::{Asked, Ticket};
