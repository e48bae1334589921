//! What a run shows: timeline, table, JSON, HTML.
