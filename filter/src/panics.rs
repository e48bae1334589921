//! For tests: a header that makes the VM which sees it panic, at a chosen callback.
//!
//! `x-panic-on-demand: ROLE/MOMENT/TOKEN`, where the moment is `headers`, `body`, `response` or
//! `tick` (the next one, while the request is held or runs). A token works once per Envoy: a write
//! that is delivered again must not kill every VM that it meets.

use filter_core::http::Header;
use proxy_wasm::hostcalls;
use std::cell::RefCell;
use std::collections::BTreeMap;

const HEADER: &str = "x-panic-on-demand";
/// The version that no value has: set only if there is none.
const ABSENT: u32 = u32::MAX;

thread_local! {
    /// What each exchange was told: the moment, and the token.
    static TOLD: RefCell<BTreeMap<u32, (String, String)>> = RefCell::default();
}

/// Takes note of what the headers of an exchange tell this VM's role.
pub fn told(exchange: u32, headers: &[Header]) {
    let value = headers.iter().find(|(name, _)| name == HEADER).map(|(_, value)| value);
    let text = String::from_utf8_lossy(value.map_or(b"", Vec::as_slice)).into_owned();
    let mut parts = text.splitn(3, '/').map(str::to_owned);
    let (Some(role), Some(moment), Some(token)) = (parts.next(), parts.next(), parts.next()) else {
        return;
    };
    let root = hostcalls::get_property(vec!["plugin_root_id"]).ok().flatten().unwrap_or_default();
    if root.ends_with(role.as_bytes()) {
        TOLD.with_borrow_mut(|all| all.insert(exchange, (moment, token)));
    }
}

/// Panics if the exchange was told so of this moment.
pub fn at(exchange: u32, moment: &str) {
    let found = TOLD.with_borrow_mut(|all| match all.get(&exchange) {
        Some((told, _)) if told == moment => all.remove(&exchange),
        _ => None,
    });
    panic_once(found);
}

/// Panics if any exchange was told so of a tick.
pub fn at_tick() {
    let found = TOLD.with_borrow_mut(|all| all.extract_if(.., |_, told| told.0 == "tick").next());
    panic_once(found.map(|(_, told)| told));
}

fn panic_once(told: Option<(String, String)>) {
    if let Some((moment, token)) = told
        && hostcalls::set_shared_data(&format!("panic/{token}"), Some(b"1"), Some(ABSENT)).is_ok()
    {
        std::panic::panic_any(format!("{token} asked for it, at {moment}"));
    }
}
