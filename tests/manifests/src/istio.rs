//! Istio's kinds, with the types of 1.27, the newest that the crate has: a newer field fails.
//! TrafficExtension, of 1.30, has types of our own.

mod across;
mod filters;
mod mutual;
mod proxies;
mod traffic_extension;

use istio_api_rs::{extensions, networking, security};

use crate::{Manifest, strict};

pub use across::across;

/// What is wrong with an object of Istio's; `None` if it is none.
pub fn problems(manifest: &Manifest) -> Option<Vec<String>> {
    use extensions::v1alpha1::wasm_plugin::WasmPluginSpec;
    use networking::v1::destination_rule::DestinationRuleSpec;
    use networking::v1::gateway::GatewaySpec;
    use networking::v1::service_entry::ServiceEntrySpec;
    use networking::v1::sidecar::SidecarSpec;
    use networking::v1::virtual_service::VirtualServiceSpec;
    use networking::v1alpha3::envoy_filter::EnvoyFilterSpec;
    use security::v1::authorization_policy::AuthorizationPolicySpec;
    use security::v1::peer_authentication::PeerAuthenticationSpec;
    use traffic_extension::TrafficExtensionSpec;

    Some(match (manifest.api_version.as_str(), manifest.kind.as_str()) {
        ("networking.istio.io/v1", "DestinationRule") => {
            strict::custom::<DestinationRuleSpec>(manifest)
        }
        ("networking.istio.io/v1", "Gateway") => strict::custom::<GatewaySpec>(manifest),
        ("networking.istio.io/v1", "ServiceEntry") => strict::custom::<ServiceEntrySpec>(manifest),
        ("networking.istio.io/v1", "Sidecar") => strict::custom::<SidecarSpec>(manifest),
        ("networking.istio.io/v1", "VirtualService") => {
            strict::custom::<VirtualServiceSpec>(manifest)
        }
        ("networking.istio.io/v1alpha3", "EnvoyFilter") => {
            strict::custom::<EnvoyFilterSpec>(manifest)
        }
        ("security.istio.io/v1", "AuthorizationPolicy") => {
            strict::custom::<AuthorizationPolicySpec>(manifest)
        }
        ("security.istio.io/v1", "PeerAuthentication") => {
            strict::custom::<PeerAuthenticationSpec>(manifest)
        }
        ("extensions.istio.io/v1alpha1", "WasmPlugin") => {
            strict::custom::<WasmPluginSpec>(manifest)
        }
        ("extensions.istio.io/v1alpha1", "TrafficExtension") => {
            let mut problems = strict::custom::<TrafficExtensionSpec>(manifest);
            problems.extend(traffic_extension::problems(manifest));
            problems
        }
        _ => return None,
    })
}
