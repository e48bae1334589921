//! The filter's own functions.

use super::host::Host;
use wasmtime::{Error, ExternType, Instance, Module, Store, TypedFunc};

/// What a filter must export: name, parameters, results. All are `i32`.
const FUNCTIONS: [(&str, usize, usize); 21] = [
    ("_initialize", 0, 0),
    ("proxy_abi_version_0_2_1", 0, 0),
    ("proxy_on_memory_allocate", 1, 1),
    ("proxy_on_context_create", 2, 0),
    ("proxy_on_vm_start", 2, 1),
    ("proxy_on_configure", 2, 1),
    ("proxy_on_tick", 1, 0),
    ("proxy_on_request_headers", 3, 1),
    ("proxy_on_request_body", 3, 1),
    ("proxy_on_request_trailers", 2, 1),
    ("proxy_on_response_headers", 3, 1),
    ("proxy_on_response_body", 3, 1),
    ("proxy_on_http_call_response", 5, 0),
    ("proxy_on_grpc_receive_initial_metadata", 3, 0),
    ("proxy_on_grpc_receive", 3, 0),
    ("proxy_on_grpc_receive_trailing_metadata", 3, 0),
    ("proxy_on_grpc_close", 3, 0),
    ("proxy_on_done", 1, 1),
    ("proxy_on_log", 1, 0),
    ("proxy_on_delete", 1, 0),
    // Kept last: not a function, see `missing`.
    ("memory", 0, 0),
];

/// The exports that a module lacks or has in another form.
pub(super) fn missing(module: &Module) -> Vec<String> {
    let there = |&(name, params, results): &(&str, usize, usize)| match module.get_export(name) {
        Some(ExternType::Memory(_)) => name == "memory",
        Some(ExternType::Func(ty)) => {
            let all_i32 = ty.params().chain(ty.results()).all(|ty| ty.is_i32());
            all_i32 && ty.params().len() == params && ty.results().len() == results
        }
        _ => false,
    };
    FUNCTIONS.iter().filter(|f| !there(f)).map(|(name, ..)| (*name).to_string()).collect()
}

type Two = TypedFunc<(u32, u32), u32>;
type Three = TypedFunc<(u32, u32, u32), u32>;
type Told = TypedFunc<(u32, u32, u32), ()>;

/// The callbacks.
pub(super) struct Exports {
    pub(super) initialize: TypedFunc<(), ()>,
    pub(super) context_create: TypedFunc<(u32, u32), ()>,
    pub(super) vm_start: Two,
    pub(super) configure: Two,
    pub(super) tick: TypedFunc<u32, ()>,
    pub(super) request_headers: Three,
    pub(super) request_body: Three,
    pub(super) request_trailers: Two,
    pub(super) response_headers: Three,
    pub(super) response_body: Three,
    pub(super) http_call_response: TypedFunc<(u32, u32, u32, u32, u32), ()>,
    pub(super) grpc_initial_metadata: Told,
    pub(super) grpc_receive: Told,
    pub(super) grpc_trailing_metadata: Told,
    pub(super) grpc_close: Told,
    pub(super) done: TypedFunc<u32, u32>,
    pub(super) log: TypedFunc<u32, ()>,
    pub(super) delete: TypedFunc<u32, ()>,
}

impl Exports {
    /// Finds the callbacks, and gives the host what it needs of the guest.
    pub(super) fn find(instance: &Instance, store: &mut Store<Host>) -> Result<Exports, Error> {
        store.data_mut().memory = instance.get_memory(&mut *store, "memory");
        let allocate = instance.get_typed_func(&mut *store, "proxy_on_memory_allocate")?;
        store.data_mut().allocate = Some(allocate);
        macro_rules! find {
            ($name:literal) => {
                instance.get_typed_func(&mut *store, $name)?
            };
        }
        Ok(Exports {
            initialize: find!("_initialize"),
            context_create: find!("proxy_on_context_create"),
            vm_start: find!("proxy_on_vm_start"),
            configure: find!("proxy_on_configure"),
            tick: find!("proxy_on_tick"),
            request_headers: find!("proxy_on_request_headers"),
            request_body: find!("proxy_on_request_body"),
            request_trailers: find!("proxy_on_request_trailers"),
            response_headers: find!("proxy_on_response_headers"),
            response_body: find!("proxy_on_response_body"),
            http_call_response: find!("proxy_on_http_call_response"),
            grpc_initial_metadata: find!("proxy_on_grpc_receive_initial_metadata"),
            grpc_receive: find!("proxy_on_grpc_receive"),
            grpc_trailing_metadata: find!("proxy_on_grpc_receive_trailing_metadata"),
            grpc_close: find!("proxy_on_grpc_close"),
            done: find!("proxy_on_done"),
            log: find!("proxy_on_log"),
            delete: find!("proxy_on_delete"),
        })
    }
}
