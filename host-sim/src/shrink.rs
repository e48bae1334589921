//! The smallest plan that still breaks the same promise.
