//! What Kubernetes checks of values that its types take as any string: names, labels,
//! quantities, enums.

use serde_json::Value;

use crate::Manifest;

/// The last keys of a path, and what may stand there.
const ENUMS: &[(&str, &[&str])] = &[
    (".accessModes", &["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany", "ReadOnlyMany"]),
    (".fsGroupChangePolicy", &["OnRootMismatch", "Always"]),
    (".imagePullPolicy", &["IfNotPresent", "Always", "Never"]),
    (".internalTrafficPolicy", &["Cluster", "Local"]),
    (".externalTrafficPolicy", &["Cluster", "Local"]),
    (".operator", &["In", "NotIn", "Exists", "DoesNotExist", "Equal"]),
    (".podManagementPolicy", &["OrderedReady", "Parallel"]),
    (".policyTypes", &["Ingress", "Egress"]),
    (".protocol", &["TCP", "UDP", "SCTP"]),
    (".restartPolicy", &["Always", "OnFailure", "Never"]),
    (".selectPolicy", &["Max", "Min", "Disabled"]),
    (".sessionAffinity", &["None", "ClientIP"]),
    (".spec.type", &["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]),
    (".strategy.type", &["RollingUpdate", "Recreate"]),
    (".updateStrategy.type", &["RollingUpdate", "OnDelete"]),
    (".seccompProfile.type", &["RuntimeDefault", "Localhost", "Unconfined"]),
    (".metrics.type", &["Resource", "ContainerResource", "Pods", "Object", "External"]),
    (".policies.type", &["Pods", "Percent"]),
    (".target.type", &["Utilization", "Value", "AverageValue"]),
    (".unhealthyPodEvictionPolicy", &["IfHealthyBudget", "AlwaysAllow"]),
    (".whenDeleted", &["Retain", "Delete"]),
    (".whenScaled", &["Retain", "Delete"]),
    (".whenUnsatisfiable", &["DoNotSchedule", "ScheduleAnyway"]),
];

/// Keys whose values, or whose value's values, are quantities.
const QUANTITIES: [&str; 7] = [
    ".limits",
    ".requests",
    ".sizeLimit",
    ".target.value",
    ".target.averageValue",
    ".capacity",
    ".hard",
];

/// Names, labels and annotations.
pub(crate) fn metadata(manifest: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    // A Service's name becomes one label of a DNS name.
    let (fits, longest) = match manifest.kind.as_str() {
        "Service" | "Namespace" => (is_dns_label(&manifest.name), 63),
        _ => (manifest.name.split('.').all(is_dns_label), 253),
    };
    if !fits || manifest.name.len() > longest {
        problems.push(format!("metadata.name: {:?} is no name", manifest.name));
    }
    walk(&manifest.value, "", &mut |path, value| {
        let labels = [".labels", ".matchLabels", ".selector"].iter().any(|end| path.ends_with(end));
        let annotations = path.ends_with("metadata.annotations");
        for (key, value) in value.as_object().into_iter().flatten() {
            let Some(text) = value.as_str() else { continue };
            if (labels || annotations) && !is_label_key(key) {
                problems.push(format!("{path}: {key:?} is no key of a label"));
            }
            if labels && !is_label_value(text) {
                problems.push(format!("{path}.{key}: {text:?} is no value of a label"));
            }
        }
    });
    problems
}

/// Enums and quantities of built-in kinds.
pub(crate) fn built_in(value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    walk(value, "", &mut |path, value| {
        let one = value.as_str().into_iter();
        let many = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        let allowed = ENUMS.iter().find(|(end, _)| path.ends_with(end));
        if let Some((_, allowed)) = allowed {
            for word in one.chain(many).filter(|word| !allowed.contains(word)) {
                problems.push(format!("{path}: {word:?} is none of {allowed:?}"));
            }
        }
        if QUANTITIES.iter().any(|end| path.ends_with(end)) {
            let parts = value.as_object().into_iter().flat_map(|parts| parts.values());
            for text in parts.chain([value]).filter_map(Value::as_str) {
                if !is_quantity(text) {
                    problems.push(format!("{path}: {text:?} is no quantity"));
                }
            }
        }
    });
    problems
}

/// Every value in depth with the keys that lead to it, without indices: `.spec.ports.protocol`.
/// The data of a ConfigMap are bytes to Kubernetes, and left out.
fn walk(value: &Value, path: &str, see: &mut impl FnMut(&str, &Value)) {
    see(path, value);
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                if !(path.is_empty() && ["data", "binaryData", "stringData"].contains(&&**key)) {
                    walk(field, &format!("{path}.{key}"), see);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, path, see)),
        _ => {}
    }
}

fn is_dns_label(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.chars().all(|c| ends(c) || c == '-')
        && text.starts_with(ends)
        && text.ends_with(ends)
}

fn is_label_value(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    let within = |c: char| ends(c) || "-_.".contains(c);
    text.is_empty()
        || (text.len() <= 63
            && text.chars().all(within)
            && text.starts_with(ends)
            && text.ends_with(ends))
}

fn is_label_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(p, name)| (Some(p), name));
    let named = !name.is_empty() && is_label_value(name);
    named && prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_dns_label))
}

/// A number with an optional fraction, and one of Kubernetes' suffixes or a decimal exponent.
pub(crate) fn is_quantity(text: &str) -> bool {
    let number = text.trim_start_matches(['+', '-']);
    let at = number.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(number.len());
    let (digits, suffix) = number.split_at(at);
    let exponent = suffix.strip_prefix(['e', 'E']).is_some_and(|e| e.parse::<i8>().is_ok());
    const SUFFIXES: [&str; 15] =
        ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi"];
    digits.parse::<f64>().is_ok() && (exponent || SUFFIXES.contains(&suffix) || suffix == "Ei")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_told_from_what_only_looks_like_one() {
        for good in ["1", "100m", "1.5", "64Mi", "2Gi", "1e3", "500M", "10Ei"] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in ["", "64MB", "64mi", "1 Gi", "Mi", "1.2.3", "1KiB"] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }

    #[test]
    fn names_and_labels_are_told_from_what_only_looks_like_one() {
        assert!(is_dns_label("reprise-0"));
        for bad in ["", "Reprise", "-a", "a-", "a_b", &"a".repeat(64)] {
            assert!(!is_dns_label(bad), "{bad}");
        }
        assert!(is_label_key("app.kubernetes.io/name") && is_label_key("app"));
        for bad in ["", "a/b/c", "/a", "Ex.io/a", "a b"] {
            assert!(!is_label_key(bad), "{bad}");
        }
        assert!(is_label_value("") && is_label_value("v1.2_3-A"));
        assert!(!is_label_value("-a") && !is_label_value("a b"));
    }
}
