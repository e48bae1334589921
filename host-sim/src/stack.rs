//! Puts the processes of a scenario together.
