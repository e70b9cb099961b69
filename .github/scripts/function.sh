#!/usr/bin/env bash
# What deploy.yml does with a function of deploy/terraform: see usage below. Functions that
# lambda/deploy.sh made are updated by lambda/deploy.sh: their stack knows the image.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

usage() {
    cat <<'USAGE'
Usage: function.sh VERB ...

  changed BASE             the functions whose files differ between the commit BASE and now, as JSON
  build APPLICATION IMAGE  build the image REPOSITORY:APPLICATION-TAG, and push it
  verify IMAGE             is it in the registry? Prints it by its digest
  update FUNCTION IMAGE    publish a version with the image, ask it how it is, and move the alias
                           `live` to it; a version that is not well never gets it, and one that fails
                           under the alias loses it again

Applications: sentiment-analysis, transcription. Settings of build, from the environment:
  BASE_DIGEST      of the base image, sha256:...; else that of lambda/base-image.digest
  MODEL_NAME, MODEL_REVISION, BUILD_OPTIONS, TORCH_INDEX_URL    as lambda/deploy.sh has them
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
        *) die "$1 is no application: sentiment-analysis or transcription." ;;
    esac
}

changed() {
    local base=${1:?changed takes a commit} application files found=()
    git -C "$root" cat-file -e "$base^{commit}" 2>/dev/null || die "$base is no commit that is here: fetch it."
    for application in sentiment-analysis transcription; do
        read -r -a files <<<"$(files_of "$application")"
        git -C "$root" diff --quiet "$base" HEAD -- "${files[@]}" || found+=("\"$application\"")
    done
    (
        IFS=,
        printf '[%s]\n' "${found[*]-}"
    )
}

build() {
    local application=${1:?build takes an application} image=${2:?build takes an image} digest file
    files_of "$application" >/dev/null
    [[ $image == *:"$application"-?* ]] || die "$image is not REPOSITORY:$application-TAG."
    digest=${BASE_DIGEST:-$(cut -d@ -f2 "$root/lambda/base-image.digest" 2>/dev/null || true)}
    [[ $digest == sha256:* ]] || die "no digest of the base image: commit lambda/base-image.digest, or set BASE_DIGEST."
    file=$root/lambda/Dockerfile
    [[ $application == transcription ]] && file=$root/lambda/transcription/Dockerfile
    aws ecr get-login-password | docker login --username AWS --password-stdin "${image%%/*}" >&2
    # Lambda takes no index of images, as which provenance would be pushed.
    docker buildx build --push --platform linux/amd64 --provenance=false --tag "$image" \
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

# It says which model it is, or it is not well.
is_well() {
    local function=$1 qualifier=$2
    printf '{"httpMethod": "GET", "path": "/health"}' >"$scratch/question"
    aws lambda invoke --function-name "$function" --qualifier "$qualifier" \
        --payload "fileb://$scratch/question" "$scratch/answer" >"$scratch/reply" || return 1
    ! grep -q FunctionError "$scratch/reply" && grep -q model_version "$scratch/answer"
}

update() {
    local function=${1:?update takes a function} image before version
    image=$(verify "${2:?update takes an image}")
    before=$(aws lambda get-alias --function-name "$function" --name live --query FunctionVersion --output text) ||
        die "$function has no alias live: is it of deploy/terraform?"
    version=$(aws lambda update-function-code --function-name "$function" --image-uri "$image" --publish \
        --query Version --output text)
    say "$function: version $version is $image"
    aws lambda wait published-version-active --function-name "$function" --qualifier "$version"
    is_well "$function" "$version" ||
        die "version $version does not say how it is. live stays at version $before: nobody was affected."
    aws lambda update-alias --function-name "$function" --name live --function-version "$version" >/dev/null
    if ! is_well "$function" live; then
        aws lambda update-alias --function-name "$function" --name live --function-version "$before" >/dev/null
        die "version $version failed as live, which is back at version $before."
    fi
    say "$function: live is version $version (before: $before)"
    echo "$version"
}

verb=${1:-}
shift || true
case $verb in
    changed | build | verify | update) "$verb" "$@" ;;
    -h | --help | help) usage ;;
    *) die "${verb:-nothing} is no verb; see $0 --help" ;;
esac
