//! A whole plan from a seed.
