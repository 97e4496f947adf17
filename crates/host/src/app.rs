//! Decisions about apps: plain functions over a view.
