//! The HTTP API from outside: a real server on a free port over a real store. Every answer that any test gets is held
//! to the OpenAPI document.

mod emit;
mod feed;
mod stream;
mod support;
