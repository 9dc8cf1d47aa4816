//! The controller on a real API server.

mod annotations;
mod api;
mod backup;
mod broken;
mod contended;
mod drift;
mod fairness;
mod hostile;
mod lifecycle;
mod metrics_access;
mod preconditions;
mod refusals;
mod rejections;
mod requests;
mod restore;
mod scale;
mod shutdown;
mod size;
mod start;
mod tencent;
mod vectors;
