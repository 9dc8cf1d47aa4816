//! The `local` provider.
