//! The journal's rules, each by name, and the journal against a plain model of them.

mod begins;
mod doubts;
mod durability;
mod epochs;
mod guards;
mod memory;
mod model;
mod outcomes;
mod rig;
mod salvage;
mod seeding;
mod waits;
