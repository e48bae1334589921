#!/bin/sh
# Copies these manifests for a shop in a namespace of its own. Kustomize changes the namespace of
# objects, but not where it is a part of a name: of hosts, identities, and filters in patches.
set -eu
usage() { echo "usage: $0 NAMESPACE DIRECTORY (which must not exist yet)" >&2; exit 2; }
[ $# -eq 2 ] && [ ! -e "$2" ] || usage
expr "$1" : '[a-z0-9]\([-a-z0-9]*[a-z0-9]\)\{0,1\}$' >/dev/null && [ ${#1} -le 63 ] || {
    echo "$0: $1 is no name of a namespace: letters, digits and '-', at most 63" >&2
    exit 2
}
mkdir -p "$2"
cp -R "$(dirname "$0")/." "$2"
find "$2" -name '*.yaml' -exec sed -i.before \
    -e "s|^namespace: shop\$|namespace: $1|" \
    -e "s|reprise/namespace: shop\$|reprise/namespace: $1|" \
    -e "s|\.shop\.svc\.|.$1.svc.|g" \
    -e "s|\.shop\.internal|.$1.internal|g" \
    -e "s|/ns/shop/|/ns/$1/|g" \
    -e "s|/shop\.reprise-|/$1.reprise-|g" \
    -e "s|httproute/shop/|httproute/$1/|g" \
    -e "s|envoyextensionpolicy/shop/|envoyextensionpolicy/$1/|g" {} +
find "$2" -name '*.before' -exec rm {} +
