//! A replica of the service.
