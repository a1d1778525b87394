//! What must hold when processes, disks and databases fail under load: nothing committed is lost, nothing comes twice,
//! nothing of a rolled-back transaction appears, and whoever is refused is told when to try again.
//!
//! `TIDINGS_KILLS` says how often the server is killed (6 where it is not set; `make crash` takes 50).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod api;
mod books;
mod deliveries;
mod disk_full;
mod kills;
mod ledger;
mod postgres_lost;
mod producers;
mod receiver;
mod server;
