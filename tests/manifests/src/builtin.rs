//! Kubernetes' own kinds.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};

use crate::{Manifest, strict, values};

/// What is wrong with a built-in object; `None` if its kind is not built in, or not one of those
/// that are used here.
pub fn problems(manifest: &Manifest) -> Option<Vec<String>> {
    let value = &manifest.value;
    let mut problems = match (manifest.api_version.as_str(), manifest.kind.as_str()) {
        ("v1", "ConfigMap") => strict::built_in::<ConfigMap>(value),
        ("v1", "Namespace") => strict::built_in::<Namespace>(value),
        ("v1", "Pod") => strict::built_in::<Pod>(value),
        ("v1", "Secret") => strict::built_in::<Secret>(value),
        ("v1", "Service") => strict::built_in::<Service>(value),
        ("v1", "ServiceAccount") => strict::built_in::<ServiceAccount>(value),
        ("apps/v1", "Deployment") => strict::built_in::<Deployment>(value),
        ("apps/v1", "StatefulSet") => strict::built_in::<StatefulSet>(value),
        ("autoscaling/v2", "HorizontalPodAutoscaler") => {
            strict::built_in::<HorizontalPodAutoscaler>(value)
        }
        ("networking.k8s.io/v1", "NetworkPolicy") => strict::built_in::<NetworkPolicy>(value),
        ("policy/v1", "PodDisruptionBudget") => strict::built_in::<PodDisruptionBudget>(value),
        ("rbac.authorization.k8s.io/v1", "Role") => strict::built_in::<Role>(value),
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => strict::built_in::<RoleBinding>(value),
        _ => return None,
    };
    problems.extend(values::metadata(manifest));
    problems.extend(values::built_in(value));
    Some(problems)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(change: impl FnOnce(&mut serde_json::Value)) -> Vec<String> {
        let mut value = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop", "labels": {"app": "shop"}},
            "spec": {
                "selector": {"matchLabels": {"app": "shop"}},
                "template": {
                    "metadata": {"labels": {"app": "shop"}},
                    "spec": {"containers": [{
                        "name": "shop",
                        "image": "shop:1",
                        "imagePullPolicy": "IfNotPresent",
                        "resources": {"limits": {"memory": "64Mi"}},
                    }]},
                },
            },
        });
        change(&mut value);
        problems(&Manifest::new(value).unwrap()).unwrap()
    }

    #[test]
    fn a_field_that_is_unknown_missing_or_of_another_type_is_named_with_its_place() {
        assert_eq!(of(|_| {}), [""; 0]);
        let unknown = of(|d| d["spec"]["template"]["spec"]["hostnetwork"] = json!(true));
        assert_eq!(unknown, ["unknown field spec.template.spec.hostnetwork"]);
        let typed = of(|d| d["spec"]["replicas"] = json!("2"));
        assert!(typed[0].starts_with("spec.replicas: invalid type: string"), "{typed:?}");
        let gone = of(|d| {
            d["spec"].as_object_mut().unwrap().remove("selector");
        });
        assert_eq!(gone, [".spec: \"selector\" is missing"]);
        let nameless = of(|d| {
            let container = &mut d["spec"]["template"]["spec"]["containers"][0];
            container.as_object_mut().unwrap().remove("name");
        });
        assert_eq!(nameless, [".spec.template.spec.containers.0: \"name\" is missing"]);
    }

    #[test]
    fn what_the_types_take_as_any_string_is_checked_too() {
        let container = |key: &'static str, value: serde_json::Value| {
            of(|d| d["spec"]["template"]["spec"]["containers"][0][key] = value)
        };
        assert!(container("imagePullPolicy", json!("Sometimes"))[0].contains("Sometimes"));
        let memory = container("resources", json!({"limits": {"memory": "64MB"}}));
        assert!(memory[0].contains("64MB"), "{memory:?}");
        assert!(of(|d| d["metadata"]["name"] = json!("Shop"))[0].contains("Shop"));
        assert!(of(|d| d["metadata"]["labels"]["app"] = json!("a b"))[0].contains("a b"));
    }
}
