#!/usr/bin/env bash
# What release.yml does: see usage below.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

usage() {
    cat <<'USAGE'
Usage: release.sh VERB ...

  version TAG                     is vX.Y.Z the version of the package and of the chart?
  image TARGET REPOSITORY TAG     build a target of deploy/Dockerfile with SBOM and provenance, and
                                  push it: REPOSITORY:X.Y.Z of worker, -local and -page of the others
  sbom FOLDER                     what the images are made of, as CycloneDX, into files there
  chart FOLDER                    the Helm chart as a package, there
USAGE
}

die() {
    printf 'release.sh: %s\n' "$*" >&2
    exit 2
}

version() {
    local wanted=${1:?version takes a tag} file
    [[ $wanted =~ ^v[0-9]+\.[0-9]+\.[0-9]+$ ]] || die "$wanted is no vX.Y.Z."
    for file in pyproject.toml deploy/helm/sentiment-worker/Chart.yaml; do
        grep -Eq "^version(:| =) \"?${wanted#v}\"?$" "$root/$file" || die "$file has another version than $wanted."
    done
}

image() {
    local target=${1:?image takes a target} repository=${2:?image takes a repository} tag=${3:?image takes a tag}
    local suffix=-$target
    case $target in
        worker) suffix='' ;;
        local | page) ;;
        *) die "$target is an unknown target: worker, local or page." ;;
    esac
    version "$tag"
    docker buildx create --use >/dev/null # the default builder makes no attestations
    docker buildx build --push --target "$target" --provenance=mode=max --sbom=true \
        --tag "$(tr '[:upper:]' '[:lower:]' <<<"$repository"):${tag#v}$suffix" --file "$root/deploy/Dockerfile" "$root"
}

sbom() {
    local folder=${1:?sbom takes a folder} name
    mkdir -p "$folder"
    for name in worker local page; do
        "$root/.venv/tools/bin/cyclonedx-py" requirements "$root/deploy/requirements/$name.txt" \
            --output-format JSON --output-file "$folder/sentiment-worker-$name.cdx.json"
    done
}

chart() {
    "$root/.venv/tools/bin/helm" package "$root/deploy/helm/sentiment-worker" --destination "${1:?chart takes a folder}"
}

verb=${1:-}
shift || true
case $verb in
    version | image | sbom | chart) "$verb" "$@" ;;
    -h | --help | help) usage ;;
    *) die "unknown verb: ${verb:-none}; see $0 --help" ;;
esac
