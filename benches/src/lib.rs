//! The benches stand in `benches/benches/`: `filter` (both roles, the table, the codec), `engines`
//! (the log and the journal in memory) and `store` (group commit on the stores on disk). Run them with
//! `cargo bench -p benches`.
