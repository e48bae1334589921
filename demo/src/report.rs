//! The result as one HTML page that refers to nothing outside itself.

mod chart;
mod page;

pub use page::html;
