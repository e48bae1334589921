use super::*;

const TREE: &str = "0a v1.0.0 (/x/a)|Apache-2.0\n1b v2.0.0|MIT/Apache-2.0\n2c v3.0.0|MIT\n\
                    1m v0.1.0 (proc-macro)|MIT\n2b v2.0.0|MIT/Apache-2.0 (*)\n";

fn package(name: &str, version: &str) -> Package {
    (name.to_owned(), version.to_owned())
}

#[test]
fn a_tree_is_read_with_its_edges() {
    let tree = tree(TREE).unwrap();
    let (a, b) = (package("a", "1.0.0"), package("b", "2.0.0"));
    let (c, m) = (package("c", "3.0.0"), package("m", "0.1.0"));
    assert_eq!(tree.root, Some(a.clone()));
    assert_eq!(tree.licences[&b], "MIT/Apache-2.0");
    assert_eq!(tree.edges[&a], BTreeSet::from([b.clone(), m.clone()]));
    assert_eq!(tree.edges[&b], BTreeSet::from([c]));
    assert_eq!(tree.edges[&m], BTreeSet::from([b]));
    assert!(super::tree("[build-dependencies]\n").is_err());
}

fn locked() -> BTreeMap<Package, String> {
    BTreeMap::from([(package("b", "2.0.0"), "abc".to_owned())])
}

fn found(bom: &Value, compiled: &BTreeSet<Package>) -> Vec<String> {
    problems(bom, compiled, &locked())
}

fn bom() -> Value {
    let mut used = component("library", &package("b", "2.0.0"), "MIT/Apache-2.0");
    used["hashes"] = json!([{"alg": "SHA-256", "content": "abc"}]);
    let mut this = component("application", &package("replay-service", "0.1.0"), "Apache-2.0");
    this["hashes"] = used["hashes"].clone();
    json!({"metadata": {"component": this}, "components": [used]})
}

#[test]
fn a_bill_lists_what_was_compiled_and_nothing_else() {
    let (b, this) = (package("b", "2.0.0"), package("replay-service", "0.1.0"));
    let compiled = BTreeSet::from([b.clone(), this.clone()]);
    assert_eq!(found(&bom(), &compiled), [""; 0]);
    assert_eq!(bom()["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
    let more = BTreeSet::from([b, this.clone(), package("c", "3.0.0")]);
    assert_eq!(found(&bom(), &more), ["c 3.0.0 is not in it"]);
    assert_eq!(found(&bom(), &BTreeSet::from([this])), ["b 2.0.0 was not compiled"]);
}

#[test]
fn a_component_without_purl_licence_or_checksum_is_named() {
    let compiled = BTreeSet::from([package("b", "2.0.0"), package("replay-service", "0.1.0")]);
    for (key, expected) in [
        ("purl", "b 2.0.0 has the purl \"\""),
        ("licenses", "b 2.0.0 has no licence"),
        ("hashes", "b 2.0.0 has the checksum None"),
    ] {
        let mut bom = bom();
        bom["components"][0][key] = Value::Null;
        assert_eq!(found(&bom, &compiled), [expected]);
    }
}

#[test]
fn checksums_are_those_of_the_lock_file() {
    let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\
                [[package]]\nname = \"b\"\nversion = \"2.0.0\"\nchecksum = \"abc\"\n";
    let found = checksums(lock).unwrap();
    assert_eq!(found, BTreeMap::from([(package("b", "2.0.0"), "abc".to_owned())]));
}
