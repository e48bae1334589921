//! The Gateway API's kinds.

use gateway_api::gatewayclasses::GatewayClassSpec;
use gateway_api::gateways::GatewaySpec;
use gateway_api::httproutes::HttpRouteSpec;
use gateway_api::referencegrants::ReferenceGrantSpec;

use crate::pods::list;
use crate::{Manifest, strict};

/// What is wrong with an object of the Gateway API; `None` if it is none.
pub fn problems(manifest: &Manifest) -> Option<Vec<String>> {
    Some(match (manifest.api_version.as_str(), manifest.kind.as_str()) {
        ("gateway.networking.k8s.io/v1", "Gateway") => strict::custom::<GatewaySpec>(manifest),
        ("gateway.networking.k8s.io/v1", "GatewayClass") => {
            strict::custom::<GatewayClassSpec>(manifest)
        }
        ("gateway.networking.k8s.io/v1", "HTTPRoute") => {
            let mut problems = strict::custom::<HttpRouteSpec>(manifest);
            // Who is for all of them names none.
            let all = list(manifest.at("/spec/hostnames")).any(|name| name == "*");
            problems.extend(all.then(|| "\"*\" is no hostname".to_owned()));
            problems
        }
        ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant") => {
            strict::custom::<ReferenceGrantSpec>(manifest)
        }
        _ => return None,
    })
}
