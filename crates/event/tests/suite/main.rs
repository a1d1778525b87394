//! What the crate promises, tested through its public face.

mod cloudevents;
mod cursor;
mod digest;
mod given;
mod problem;
mod rejections;
mod round_trips;
mod scanner;
mod schema;
mod writing;
