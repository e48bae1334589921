//! The process `reprise`: the real engines, with a disk and a network that can fail.
