#!/usr/bin/env bash
# What deploy.yml does with a function of deploy/terraform: see usage below. Functions that
# lambda/deploy.sh made are updated by lambda/deploy.sh: their stack knows the image.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

usage() {
    cat <<'USAGE'
Usage: function.sh VERB ...

  is-new APPLICATION       have its files changed since the commit that is live? Says true or false;
                           true where nobody knows what is live
  build APPLICATION IMAGE  build the image REPOSITORY:APPLICATION-TAG, and push it; one that is in the
                           registry is left as it is
  verify IMAGE             is it in the registry? Prints it by its digest
  update APPLICATION IMAGE publish a version with the image, check its health, and move the alias
                           `live` to it; an unhealthy version never gets it, and one that fails under
                           the alias loses it again

Applications: sentiment-analysis, transcription; their functions have the same names.
Settings of build, from the environment:
  BASE_DIGEST      of the base image, sha256:...; else that of lambda/base-image.digest
  PLATFORM         linux/arm64 for functions of that architecture; default linux/amd64
  MODEL_NAME, MODEL_REVISION, BUILD_OPTIONS, TORCH_INDEX_URL    as lambda/deploy.sh has them
Setting of update:
  COMMIT           what the image was built from; the alias remembers it
USAGE
}

die() {
    printf 'function.sh: %s\n' "$*" >&2
    exit 2
}
say() { printf '%s\n' "$*" >&2; }

export AWS_DEFAULT_OUTPUT=json AWS_PAGER=
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# What an image is made of. Texts for people are no reason to deploy.
files_of() {
    case $1 in
        sentiment-analysis)
            echo lambda/Dockerfile lambda/requirements.txt lambda/base-image.digest lambda/build lambda/sentiment_function
            ;;
        transcription)
            echo lambda/transcription/Dockerfile lambda/transcription/requirements.txt lambda/base-image.digest \
                lambda/transcribe_function lambda/sentiment_function/__init__.py \
                lambda/sentiment_function/faces.py lambda/sentiment_function/wire.py
            ;;
        *) die "$1 is an unknown application: sentiment-analysis or transcription." ;;
    esac
}

is_new() {
    local application=${1:?is-new takes an application} live files
    read -r -a files <<<"$(files_of "$application")"
    live=$(aws lambda get-alias --function-name "$application" --name live --query Description --output text)
    if ! git -C "$root" cat-file -e "$live^{commit}" 2>/dev/null; then
        say "$application: what is live ('$live') is no commit that is known here."
        echo true
    elif git -C "$root" diff --quiet "$live" HEAD -- "${files[@]}"; then
        echo false
    else
        echo true
    fi
}

build() {
    local application=${1:?build takes an application} image=${2:?build takes an image} digest file
    files_of "$application" >/dev/null
    [[ $image == *:"$application"-?* ]] || die "$image is not REPOSITORY:$application-TAG."
    digest=${BASE_DIGEST:-$(cut -d@ -f2 "$root/lambda/base-image.digest" 2>/dev/null || true)}
    if (verify "$image") >/dev/null 2>&1; then
        say "$image is there already."
        return
    fi
    [[ $digest == sha256:* ]] || die "no digest of the base image: commit lambda/base-image.digest, or set BASE_DIGEST."
    file=$root/lambda/Dockerfile
    [[ $application == transcription ]] && file=$root/lambda/transcription/Dockerfile
    aws ecr get-login-password | docker login --username AWS --password-stdin "${image%%/*}" >&2
    # Lambda takes no index of images, as which provenance would be pushed.
    docker buildx build --push --platform "${PLATFORM:-linux/amd64}" --provenance=false --tag "$image" \
        --label "deployed=${image##*:}" --build-arg "BASE_DIGEST=@$digest" \
        ${MODEL_NAME:+--build-arg "MODEL_NAME=$MODEL_NAME"} \
        ${MODEL_REVISION:+--build-arg "MODEL_REVISION=$MODEL_REVISION"} \
        ${BUILD_OPTIONS:+--build-arg "BUILD_OPTIONS=$BUILD_OPTIONS"} \
        ${TORCH_INDEX_URL:+--build-arg "TORCH_INDEX_URL=$TORCH_INDEX_URL"} \
        --file "$file" "$root/lambda" >&2
}

verify() {
    local image=${1:?verify takes an image} repository name digest
    [[ $image == */*:* ]] || die "$image is not REGISTRY/REPOSITORY:TAG."
    repository=${image%:*}
    name=${repository#*/}
    digest=$(aws ecr describe-images --repository-name "$name" --image-ids "imageTag=${image##*:}" \
        --query 'imageDetails[0].imageDigest' --output text 2>"$scratch/error") ||
        die "$image is not in the registry: $(tail -n 1 "$scratch/error")"
    echo "$repository@$digest"
}

# It says which model it is.
is_healthy() {
    local function=$1 qualifier=$2
    printf '{"httpMethod": "GET", "path": "/health"}' >"$scratch/question"
    aws lambda invoke --function-name "$function" --qualifier "$qualifier" \
        --payload "fileb://$scratch/question" "$scratch/answer" >"$scratch/reply" || return 1
    ! grep -q FunctionError "$scratch/reply" && grep -q model_version "$scratch/answer"
}

# A tag says when an image went live: the repository keeps such images the longest.
remember() {
    local repository=${1%@*} digest=${1#*@} name manifest type
    name=${repository#*/}
    manifest=$(aws ecr batch-get-image --repository-name "$name" --image-ids "imageDigest=$digest" \
        --query 'images[0].imageManifest' --output text)
    type=$(aws ecr batch-get-image --repository-name "$name" --image-ids "imageDigest=$digest" \
        --query 'images[0].imageManifestMediaType' --output text)
    aws ecr put-image --repository-name "$name" --image-tag "live-$(date -u +%Y%m%d-%H%M%S)" \
        --image-manifest "$manifest" --image-manifest-media-type "$type" >/dev/null
}

update() {
    local application=${1:?update takes an application} image before was version
    files_of "$application" >/dev/null
    image=$(verify "${2:?update takes an image}")
    before=$(aws lambda get-alias --function-name "$application" --name live --query FunctionVersion --output text) ||
        die "$application has no alias live: is it of deploy/terraform?"
    was=$(aws lambda get-alias --function-name "$application" --name live --query Description --output text)
    version=$(aws lambda update-function-code --function-name "$application" --image-uri "$image" --publish \
        --query Version --output text)
    say "$application: version $version is $image"
    aws lambda wait published-version-active --function-name "$application" --qualifier "$version"
    is_healthy "$application" "$version" ||
        die "version $version fails its health check. live stays at version $before: nobody was affected."
    move "$application" "$version" "${COMMIT:-${2##*:}}"
    if ! is_healthy "$application" live; then
        move "$application" "$before" "$was"
        die "version $version failed as live, which is back at version $before."
    fi
    remember "$image"
    say "$application: live is version $version (before: $before)"
    echo "$version"
}

move() {
    aws lambda update-alias --function-name "$1" --name live --function-version "$2" --description "$3" >/dev/null
}

verb=${1:-}
shift || true
case $verb in
    is-new) is_new "$@" ;;
    build | verify | update) "$verb" "$@" ;;
    -h | --help | help) usage ;;
    *) die "unknown verb: ${verb:-none}; see $0 --help" ;;
esac
