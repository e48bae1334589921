//! One request through the filter, by hand.
